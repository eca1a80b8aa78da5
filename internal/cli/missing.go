package cli

import (
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// access is what a component does with topics, as `topics acls` grants it.
func access(prefix, component string) (all []kafka.Access) {
	principal := map[string]string{scoreName: "scorer", viewName: "view", apiName: "api", driftName: "drift"}[component]
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
