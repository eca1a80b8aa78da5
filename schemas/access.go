package schemas

// Resource types of a grant, as Kafka's ACLs name them.
const (
	ResourceTopic         = "topic"
	ResourceGroup         = "group"
	ResourceTransactional = "transactional-id"
	ResourceCluster       = "cluster"
)

// Operations of a grant. READ and WRITE include DESCRIBE.
const (
	Read            = "READ"
	Write           = "WRITE"
	Create          = "CREATE"
	Delete          = "DELETE"
	Alter           = "ALTER"
	Describe        = "DESCRIBE"
	AlterConfigs    = "ALTER_CONFIGS"
	DescribeConfigs = "DESCRIBE_CONFIGS"
)

// Grant allows operations on one resource, or on all that begin with its name.
type Grant struct {
	Resource   string   `json:"resource"`
	Name       string   `json:"name"`
	Prefixed   bool     `json:"prefixed"`
	Operations []string `json:"operations"`
}

// Principal is one part of the system and all that it may do.
type Principal struct {
	Name   string  `json:"name"`
	Doc    string  `json:"doc"`
	Grants []Grant `json:"grants"`
}

// Principals lists what each part of the system needs of a cluster with ACLs, and
// no more. group is the scorer's consumer group, "" its default. Idempotent producing needs no
// grant of its own: WRITE on any topic includes it.
func Principals(prefix, group string) []Principal {
	n := NewTopics(prefix)
	if group == "" {
		group = GroupName(prefix, GroupScorer)
	}
	view, drift := GroupName(prefix, GroupView), GroupName(prefix, GroupDrift)
	read := func(topics ...string) []Grant { return onTopics(Read, topics) }
	write := func(topics ...string) []Grant { return onTopics(Write, topics) }
	// What would lose state, and how large a record may be.
	settings := func(topics ...string) []Grant { return onTopics(DescribeConfigs, topics) }
	groups := func(name string) Grant { return Grant{ResourceGroup, name, true, []string{Read}} }
	transactions := func(name string) Grant {
		return Grant{ResourceTransactional, prefix + "-" + name + "-", true, []string{Write}}
	}
	all := func(parts ...[]Grant) (grants []Grant) {
		for _, p := range parts {
			grants = append(grants, p...)
		}
		return grants
	}
	return []Principal{
		{"scorer", "scores the stream (score)", all(
			read(n.Applications, n.Predictions, n.Models, n.Routes, n.Replicas), write(n.Predictions, n.DLQ, n.Replicas),
			settings(n.Applications, n.Predictions, n.DLQ, n.Models, n.Routes),
			[]Grant{{ResourceGroup, group, false, []string{Read}}, transactions(group)})},
		{"producer", "emits applications and outcomes (produce)", all(
			read(n.Predictions), write(n.Applications, n.Outcomes, n.Replicas))},
		{"view", "keeps Redis (view)", all(
			read(n.Predictions, n.Outcomes), write(n.Replicas), settings(n.Predictions), []Grant{groups(view)})},
		{"api", "answers over HTTP (api)", all(
			read(n.Predictions, n.Models, n.Routes, n.DriftStatus, n.DriftAlerts, n.Replicas), write(n.Predictions, n.Replicas),
			settings(n.Predictions, n.Models, n.Routes))},
		{"drift", "counts and judges decisions (drift)", all(
			read(n.Predictions, n.Outcomes, n.Models, n.Routes, n.DriftPanes, n.DriftStatus, n.DriftAlerts, n.Replicas),
			write(n.DriftPanes, n.DriftStatus, n.DriftAlerts, n.Replicas),
			settings(n.Predictions, n.Outcomes, n.Models, n.Routes, n.DriftPanes, n.DriftStatus, n.DriftAlerts),
			[]Grant{
				groups(drift), {ResourceGroup, prefix + "-drift-evaluator", false, []string{Read}},
				transactions(drift), {ResourceTransactional, prefix + "-drift-evaluator", false, []string{Write}},
			})},
		{"releaser", "releases models and routes to them (model)", all(
			read(n.Models, n.Routes, n.Replicas), write(n.Models, n.Routes), settings(n.Models, n.Routes),
			[]Grant{{ResourceTransactional, prefix + "-router", false, []string{Write}}})},
		{"operator", "makes topics (topics apply) and replays dead letters (dlq replay)", all(
			[]Grant{
				{ResourceTopic, prefix + ".", true, []string{Create, Describe, DescribeConfigs, AlterConfigs, Alter}},
				{ResourceCluster, "kafka-cluster", false, []string{Describe, DescribeConfigs}},
				{ResourceGroup, group, false, []string{Describe, DescribeConfigs, AlterConfigs}},
			},
			read(n.Applications, n.DLQ), write(n.Applications, n.DLQ),
			[]Grant{{ResourceTransactional, prefix + "-dlq-replay", false, []string{Write}}})},
		{"reader", "looks and judges (tail, verify, dlq list, explain, dataset, model compare, model judge, drift report, replicas)", all(
			read(n.Applications, n.Predictions, n.DLQ, n.Outcomes, n.Models, n.Routes, n.DriftPanes, n.DriftStatus, n.DriftAlerts, n.Replicas),
			[]Grant{{ResourceGroup, group, false, []string{Describe}}})},
	}
}

// WithFormerGroups are principals with what an upgrade needs besides, from a release
// whose groups were called scorer, view and drift, whatever the deployment: the parts
// join those until topics adopt-groups, as the operator, has moved their offsets.
func WithFormerGroups(prefix string, principals []Principal) []Principal {
	n := NewTopics(prefix)
	joins := func(group string) []Grant { return []Grant{{ResourceGroup, group, false, []string{Read}}} }
	works := func(group string) []Grant {
		return append(joins(group), Grant{ResourceTransactional, prefix + "-" + group + "-", true, []string{Write}})
	}
	adopts := onTopics(Read, []string{n.Predictions, n.Outcomes})
	for _, group := range []string{GroupScorer, GroupView, GroupDrift} {
		adopts = append(adopts, Grant{ResourceGroup, group, false, []string{Read, Delete}},
			Grant{ResourceGroup, GroupName(prefix, group), true, []string{Read, Delete}})
	}
	more := map[string][]Grant{"scorer": works(GroupScorer), "view": joins(GroupView), "drift": works(GroupDrift), "operator": adopts}
	all := make([]Principal, len(principals))
	for i, p := range principals {
		p.Grants = append(p.Grants[:len(p.Grants):len(p.Grants)], more[p.Name]...)
		all[i] = p
	}
	return all
}

func onTopics(operation string, topics []string) (grants []Grant) {
	for _, t := range topics {
		grants = append(grants, Grant{ResourceTopic, t, false, []string{operation}})
	}
	return grants
}
