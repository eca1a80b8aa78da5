package cli

import "github.com/creditstream/creditstream/producer"

// demoScenario lets the page change what happens.
type demoScenario struct {
	*producer.Producer
}

// Scenarios is part of api.Demo.
func (demoScenario) Scenarios() []string { return producer.Scenarios() }
