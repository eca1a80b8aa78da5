package stream

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/creditstream/creditstream/model"
)

// Names of the metrics that a replica reports of itself.
const (
	MetricRecords     = "creditstream_scorer_records_total"
	MetricDecisions   = "creditstream_scorer_decisions_total"
	MetricDeadLetters = "creditstream_scorer_dead_letters_total"
	MetricAborts      = "creditstream_scorer_aborts_total"
	MetricLag         = "creditstream_scorer_lag"
)

type metrics struct {
	records     prometheus.Counter
	decisions   *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	aborts      prometheus.Counter
	batch       prometheus.Histogram
	scoring     prometheus.Histogram
	transaction prometheus.Histogram
	endToEnd    prometheus.Histogram
	implausible *prometheus.CounterVec
	lag         *prometheus.GaugeVec
	unreachable *prometheus.GaugeVec
	unreadable  *prometheus.GaugeVec
	removed     *prometheus.GaugeVec
	revision    prometheus.Gauge
	model       *prometheus.GaugeVec

	mu      sync.Mutex // guards version
	version string     // the model gauge's label
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 18)
	implausible := f.NewCounterVec(prometheus.CounterOpts{Name: "creditstream_scorer_implausible_applied_at_total", Help: "Decisions on applications whose applied_at is more than a minute ahead of their commit (future) or more than 30 days before it (past)."}, []string{"why"})
	for _, why := range []string{appliedInFuture, appliedInPast} {
		implausible.WithLabelValues(why)
	}
	return &metrics{
		implausible: implausible,
		records:     f.NewCounter(prometheus.CounterOpts{Name: MetricRecords, Help: "Applications whose transaction was committed."}),
		decisions:   f.NewCounterVec(prometheus.CounterOpts{Name: MetricDecisions, Help: "Committed decisions by outcome."}, []string{"decision"}),
		deadLetters: f.NewCounterVec(prometheus.CounterOpts{Name: MetricDeadLetters, Help: "Committed dead letters by error class."}, []string{"class"}),
		aborts:      f.NewCounter(prometheus.CounterOpts{Name: MetricAborts, Help: "Aborted transactions; their applications are read again."}),
		batch:       f.NewHistogram(prometheus.HistogramOpts{Name: "creditstream_scorer_batch_size", Help: "Applications per transaction.", Buckets: prometheus.ExponentialBuckets(1, 4, 9)}),
		scoring:     f.NewHistogram(prometheus.HistogramOpts{Name: "creditstream_scorer_scoring_seconds", Help: "Decoding, scoring and explaining one batch.", Buckets: prometheus.ExponentialBuckets(0.00001, 4, 9)}),
		transaction: f.NewHistogram(prometheus.HistogramOpts{Name: "creditstream_scorer_transaction_seconds", Help: "From a transaction's begin to its commit.", Buckets: seconds}),
		endToEnd:    f.NewHistogram(prometheus.HistogramOpts{Name: "creditstream_scorer_end_to_end_seconds", Help: "From applied_at to the commit of the decision, between 0 and 30 days: applied_at is by the sender's clock.", Buckets: seconds}),
		lag:         f.NewGaugeVec(prometheus.GaugeOpts{Name: MetricLag, Help: "Offsets of a partition that this process owns between what it has answered and the end of what is committed. The ends of transactions do not count, nor does what lies behind one that is open (creditstream_open_transaction_records)."}, []string{"partition"}),
		unreachable: f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_scorer_unreachable_offsets", Help: "Offsets of an owned partition outside the log; the partition is stopped."}, []string{"partition"}),
		unreadable:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_scorer_unreadable_offsets", Help: "Offsets of the next batch of an owned partition, which cannot be read; the partition is stopped."}, []string{"partition"}),
		removed:     f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_scorer_removed_offsets", Help: "Offsets of a partition that had left the log when this process began its group: they were never scored, and cannot be judged. Only there where there are any."}, []string{"partition"}),
		revision:    f.NewGauge(prometheus.GaugeOpts{Name: "creditstream_scorer_route_revision", Help: "Route revision of the last batch, -1 without a route."}),
		model:       f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_scorer_model_info", Help: "1 for the champion of the last batch."}, []string{"version"}),
	}
}

// serving notes which models the last batch was decided with. The new version is
// there before the old one goes: no scrape finds none.
func (m *metrics) serving(live *model.LiveSet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision.Set(float64(live.Revision))
	if version := live.Champion.Version; version != m.version {
		m.model.WithLabelValues(version).Set(1)
		if m.version != "" {
			m.model.DeleteLabelValues(m.version)
		}
		m.version = version
	}
}
