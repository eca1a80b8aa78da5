package schemas

// Topics are the names of every topic under one prefix.
type Topics struct {
	Applications string
	Predictions  string
	DLQ          string
	Outcomes     string
	DriftPanes   string
	DriftStatus  string
	DriftAlerts  string
	Models       string
	Routes       string
	Replicas     string
}

// NewTopics names the topics under a prefix ("credit").
func NewTopics(prefix string) Topics {
	return Topics{
		Applications: prefix + ".applications",
		Predictions:  prefix + ".predictions",
		DLQ:          prefix + ".applications.dlq",
		Outcomes:     prefix + ".outcomes",
		DriftPanes:   prefix + ".drift.panes",
		DriftStatus:  prefix + ".drift.status",
		DriftAlerts:  prefix + ".drift.alerts",
		Models:       prefix + ".models",
		Routes:       prefix + ".routes",
		Replicas:     prefix + ".replicas",
	}
}

// Topic is one entry of the catalogue: everything `topics apply` sets.
type Topic struct {
	Name       string
	Key        string            // what records are keyed by
	Doc        string            // what is in it
	Partitions int32             // by default
	Configs    map[string]string // every setting explicit
}

// Catalogue lists every topic under a prefix with its default settings.
func Catalogue(prefix string) []Topic {
	n := NewTopics(prefix)
	return []Topic{{Name: n.Applications, Partitions: 12}, {Name: n.Predictions, Partitions: 12}, {Name: n.DLQ, Partitions: 12}, {Name: n.Outcomes, Partitions: 12},
		{Name: n.DriftPanes, Partitions: 1}, {Name: n.DriftStatus, Partitions: 1}, {Name: n.DriftAlerts, Partitions: 1}, {Name: n.Models, Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact", "max.message.bytes": "8388608"}}, {Name: n.Routes, Partitions: 1}, {Name: n.Replicas, Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact"}}}
}
