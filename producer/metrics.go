package producer

import "github.com/prometheus/client_golang/prometheus"

// MetricApplications is the name of the metric that a replica reports of itself.
const MetricApplications = "creditstream_producer_applications_total"

// register shows the counters as metrics.
func (p *Producer) register(reg prometheus.Registerer) {
	counter := func(name, help string, labels prometheus.Labels, value func() float64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: name, Help: help, ConstLabels: labels,
		}, value))
	}
	counter(MetricApplications, "Applications the broker has acknowledged.", nil,
		func() float64 { return float64(p.produced.Load()) })
	counter("creditstream_producer_outcomes_total", "Outcomes the broker has acknowledged.", nil,
		func() float64 { return float64(p.told.Load()) })
	for k := range NumKinds {
		counter("creditstream_producer_malformed_total", "Malformed records emitted on purpose.", prometheus.Labels{"kind": k.String()},
			func() float64 { return float64(p.malformed[k].Load()) })
	}
}
