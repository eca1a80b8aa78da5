package app

import (
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// Access is what a component does with topics, as `topics acls` grants it.
func Access(prefix, component string) (all []kafka.Access) {
	principal := map[string]string{ScoreName: "scorer", ViewName: "view", APIName: "api", DriftName: "drift"}[component]
	for _, p := range schemas.Principals(prefix, "") {
		if p.Name == principal {
			all = append(all, topicAccess(p)...)
		}
	}
	return all
}

func topicAccess(p schemas.Principal) (all []kafka.Access) {
	for _, g := range p.Grants {
		if g.Resource != schemas.ResourceTopic {
			continue
		}
		for _, operation := range g.Operations {
			switch operation {
			case schemas.Read:
				all = append(all, kafka.Reads(g.Name)...)
			case schemas.Write:
				all = append(all, kafka.Writes(g.Name)...)
			}
		}
	}
	return all
}
