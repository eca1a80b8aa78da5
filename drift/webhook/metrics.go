package webhook

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	told     *prometheus.CounterVec
	failures prometheus.Counter
}

func newMetrics(r prometheus.Registerer, waiting func() int) *metrics {
	f := promauto.With(r)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "creditstream_drift_webhook_waiting", Help: "Alerts whose newest state the Alertmanager has not heard of."}, func() float64 { return float64(waiting()) })
	return &metrics{
		told:     f.NewCounterVec(prometheus.CounterOpts{Name: "creditstream_drift_webhook_alerts_total", Help: "Alerts that the Alertmanager took, by state; what fires is told again every minute."}, []string{"state"}),
		failures: f.NewCounter(prometheus.CounterOpts{Name: "creditstream_drift_webhook_failures_total", Help: "Requests that the Alertmanager did not take; they are tried again."}),
	}
}
