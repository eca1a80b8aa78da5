package view

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Names of the metrics that a replica reports of itself.
const (
	MetricWritten     = "creditstream_view_written_total"
	MetricRedisErrors = "creditstream_view_redis_errors_total"
	MetricLag         = "creditstream_view_lag"
)

type metrics struct {
	written     prometheus.Counter
	stale       prometheus.Counter
	expired     prometheus.Counter
	undecodable prometheus.Counter
	unreadable  prometheus.Counter
	batches     prometheus.Counter
	redisErrors prometheus.Counter
	refills     prometheus.Counter
	readable    prometheus.Histogram
	lag         *prometheus.GaugeVec
	refilling   prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	return &metrics{
		written:     f.NewCounter(prometheus.CounterOpts{Name: MetricWritten, Help: "Predictions written to Redis."}),
		stale:       f.NewCounter(prometheus.CounterOpts{Name: "creditstream_view_stale_total", Help: "Predictions not written: Redis held the same or a newer one."}),
		expired:     f.NewCounter(prometheus.CounterOpts{Name: "creditstream_view_expired_total", Help: "Predictions not written: older than their time to live."}),
		undecodable: f.NewCounter(prometheus.CounterOpts{Name: "creditstream_view_undecodable_total", Help: "Records on the predictions topic that are no prediction."}),
		unreadable:  f.NewCounter(prometheus.CounterOpts{Name: "creditstream_view_unreadable_offsets_total", Help: "Offsets of the predictions topic left out because their batch cannot be read."}),
		batches:     f.NewCounter(prometheus.CounterOpts{Name: "creditstream_view_batches_total", Help: "Batches written to Redis."}),
		redisErrors: f.NewCounter(prometheus.CounterOpts{Name: MetricRedisErrors, Help: "Failed attempts to reach Redis; each is made again."}),
		refills:     f.NewCounter(prometheus.CounterOpts{Name: "creditstream_view_refills_total", Help: "Partitions read again because Redis had lost what was written."}),
		readable:    f.NewHistogram(prometheus.HistogramOpts{Name: "creditstream_view_readable_seconds", Help: "From decided_at until a prediction can be read from Redis, but for those that were there when this replica took their partition over.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 18)}),
		lag:         f.NewGaugeVec(prometheus.GaugeOpts{Name: MetricLag, Help: "Committed offsets that are not in Redis yet. What lies behind an open transaction does not count (creditstream_open_transaction_records)."}, []string{"partition"}),
		refilling:   f.NewGauge(prometheus.GaugeOpts{Name: "creditstream_view_refilling_partitions", Help: "Partitions that have not reached the end they had when this replica took them over."}),
	}
}
