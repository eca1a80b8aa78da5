package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Names of the metrics that a replica reports of itself.
const (
	MetricDecisions  = "creditstream_api_decisions_total"
	MetricUnrecorded = "creditstream_api_unrecorded_total"
)

type metrics struct {
	requests   *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	inFlight   prometheus.Gauge
	decisions  *prometheus.CounterVec
	unrecorded prometheus.Counter
	replayed   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	return &metrics{
		requests:   f.NewCounterVec(prometheus.CounterOpts{Name: "creditstream_api_requests_total", Help: "Requests by route, method and status."}, []string{"route", "method", "code"}),
		seconds:    f.NewHistogramVec(prometheus.HistogramOpts{Name: "creditstream_api_request_seconds", Help: "Time to answer a request, streams left out.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17)}, []string{"route"}),
		inFlight:   f.NewGauge(prometheus.GaugeOpts{Name: "creditstream_api_in_flight", Help: "Requests being answered, streams included."}),
		decisions:  f.NewCounterVec(prometheus.CounterOpts{Name: MetricDecisions, Help: "Recorded decisions by outcome."}, []string{"decision"}),
		unrecorded: f.NewCounter(prometheus.CounterOpts{Name: MetricUnrecorded, Help: "Decisions that the log did not acknowledge in time."}),
		replayed:   f.NewCounter(prometheus.CounterOpts{Name: "creditstream_api_replayed_total", Help: "Answers given again for an Idempotency-Key."}),
	}
}

// observe counts an answered request. Its labels are few, whatever a client sends.
func (m *metrics) observe(r *http.Request, status int, took time.Duration) {
	route := chi.RouteContext(r.Context()).RoutePattern()
	if route == "" || route == "/*" {
		route = "none"
	}
	method := "other"
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		method = r.Method
	}
	if status == 0 { // nothing written
		status = http.StatusOK
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	if route != streamRoute {
		m.seconds.WithLabelValues(route).Observe(took.Seconds())
	}
}
