package release

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/creditstream/creditstream/model"
)

type metrics struct {
	revision prometheus.Gauge
	newest   prometheus.Gauge
	model    *prometheus.GaugeVec
	refused  *prometheus.GaugeVec
	opening  *prometheus.GaugeVec
	problems prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	m := &metrics{
		revision: f.NewGauge(prometheus.GaugeOpts{Name: "creditstream_models_route_revision", Help: "Route revision that serves, -1 where none does."}),
		newest:   f.NewGauge(prometheus.GaugeOpts{Name: "creditstream_models_newest_revision", Help: "Newest route revision, -1 where there is none; above the one that serves: it waits for a bundle."}),
		model:    f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_models_serving", Help: "1 for each model in use, by role: champion, canary, shadow."}, []string{"version", "role"}),
		refused:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_models_refused", Help: "1 for each model that a route names and that cannot serve; the log says why."}, []string{"version"}),
		opening:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_models_opening", Help: "1 for each model that is being opened."}, []string{"version"}),
		problems: f.NewCounter(prometheus.CounterOpts{Name: "creditstream_models_ignored_records_total", Help: "Records of models and routes that could not be used; the log says why."}),
	}
	m.revision.Set(-1)
	m.newest.Set(-1)
	return m
}

func (m *metrics) serving(set *model.LiveSet) {
	m.revision.Set(float64(set.Revision))
	m.model.Reset()
	m.model.WithLabelValues(set.Champion.Version, "champion").Set(1)
	if set.Canary != nil {
		m.model.WithLabelValues(set.Canary.Version, "canary").Set(1)
	}
	if set.Shadow != nil {
		m.model.WithLabelValues(set.Shadow.Version, "shadow").Set(1)
	}
}

func (m *metrics) nowOpening(versions []string) {
	m.opening.Reset()
	for _, v := range versions {
		m.opening.WithLabelValues(v).Set(1)
	}
}
