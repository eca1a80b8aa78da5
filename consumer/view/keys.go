package view

// keys are the names of everything the view of one deployment keeps in Redis. All
// begin with the deployment's prefix and a colon, which no prefix contains, so two
// deployments share none. Those of an application stand alone, so that a Redis
// Cluster spreads them; those of the view itself share one slot, and one script
// sees them all.
type keys struct {
	predictions string // + id: the prediction's JSON, with a Stamp as its last member
	decisions   string // + id: what outcomes need of the last decisions, a line each, see Decided

	progress   string // hash, partition → log:offset; everything below is in the view
	rebuild    string // hash: the rebuild under way
	generation string // rebuilds begun so far
	cluster    string // id of the Kafka cluster whose log the view is made of
}

func keysOf(prefix string) keys {
	return keys{
		predictions: prefix + ":prediction:", decisions: prefix + ":decided:",
		progress: prefix + ":{view}:progress", rebuild: prefix + ":{view}:rebuild", generation: prefix + ":{view}:generation",
		cluster: prefix + ":{view}:cluster",
	}
}

func (k keys) prediction(id string) string { return k.predictions + id }

func (k keys) decided(id string) string { return k.decisions + id }
