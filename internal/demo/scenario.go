package demo

import "github.com/creditstream/creditstream/producer"

// scenario lets the page change what happens.
type scenario struct {
	*producer.Producer
}

// Scenarios is part of api.Demo.
func (scenario) Scenarios() []string { return producer.Scenarios() }
