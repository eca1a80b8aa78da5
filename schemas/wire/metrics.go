package wire

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	errors  prometheus.Counter
	unknown prometheus.Counter
	refused prometheus.Counter
	cached  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	return &metrics{
		errors:  f.NewCounter(prometheus.CounterOpts{Name: "creditstream_schema_registry_errors_total", Help: "Failed attempts to ask the schema registry; each is made again."}),
		unknown: f.NewCounter(prometheus.CounterOpts{Name: "creditstream_schema_registry_unknown_total", Help: "Times that the schema registry knew no schema of an id."}),
		refused: f.NewCounter(prometheus.CounterOpts{Name: "creditstream_schema_registry_refused_total", Help: "Times that the schema registry did not give a schema and said something else instead."}),
		cached:  f.NewGauge(prometheus.GaugeOpts{Name: "creditstream_schema_registry_cached", Help: "Schemas remembered, those that cannot be read among them."}),
	}
}
