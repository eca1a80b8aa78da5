package aggregate

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Names of the metrics that a replica reports of itself.
const (
	MetricDecisions = "creditstream_drift_decisions_total"
	MetricAborts    = "creditstream_drift_aborts_total"
	MetricLag       = "creditstream_drift_lag"
)

type metrics struct {
	decisions   prometheus.Counter
	outcomes    *prometheus.CounterVec
	apart       *prometheus.CounterVec
	late        prometheus.Counter
	declined    prometheus.Counter
	malformed   *prometheus.CounterVec
	panes       prometheus.Counter
	aborts      prometheus.Counter
	batch       prometheus.Histogram
	held        prometheus.Gauge
	joinErrors  prometheus.Counter
	lag         *prometheus.GaugeVec
	unreachable *prometheus.GaugeVec
	removed     *prometheus.GaugeVec
	unreadable  *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	return &metrics{
		decisions:   f.NewCounter(prometheus.CounterOpts{Name: MetricDecisions, Help: "Decisions in committed panes."}),
		outcomes:    f.NewCounterVec(prometheus.CounterOpts{Name: "creditstream_drift_outcomes_total", Help: "Outcomes in committed panes: matched, unmatched or duplicate."}, []string{"result"}),
		apart:       f.NewCounterVec(prometheus.CounterOpts{Name: "creditstream_drift_outcomes_apart_total", Help: "Outcomes in committed panes by name: outcome_too_old (of a decision before the last 8 on its application) and outcome_before_decision (observed before every decision on it), both among those unmatched; outcome_key_differs (the record's key is not the application_id)."}, []string{"reason"}),
		late:        f.NewCounter(prometheus.CounterOpts{Name: "creditstream_drift_late_outcomes_total", Help: "Outcomes in committed panes that were matched, and told long after they were observed."}),
		declined:    f.NewCounter(prometheus.CounterOpts{Name: "creditstream_drift_declined_outcomes_total", Help: "Outcomes in committed panes that were matched to a declined application, and are no loans."}),
		malformed:   f.NewCounterVec(prometheus.CounterOpts{Name: "creditstream_drift_malformed_total", Help: "Records that are no prediction or outcome, left out."}, []string{"topic"}),
		panes:       f.NewCounter(prometheus.CounterOpts{Name: "creditstream_drift_panes_total", Help: "Committed panes."}),
		aborts:      f.NewCounter(prometheus.CounterOpts{Name: MetricAborts, Help: "Aborted transactions; their records are counted again."}),
		batch:       f.NewHistogram(prometheus.HistogramOpts{Name: "creditstream_drift_batch_size", Help: "Records per transaction.", Buckets: prometheus.ExponentialBuckets(1, 4, 11)}),
		held:        f.NewGauge(prometheus.GaugeOpts{Name: "creditstream_drift_held_outcomes", Help: "Outcomes that wait until the view holds every decision made before them."}),
		joinErrors:  f.NewCounter(prometheus.CounterOpts{Name: "creditstream_drift_join_errors_total", Help: "Failed attempts to join outcomes with decisions; each is made again."}),
		lag:         f.NewGaugeVec(prometheus.GaugeOpts{Name: MetricLag, Help: "Offsets of a partition that this process owns between what it has counted and the end of what is committed. The ends of transactions do not count, nor does what lies behind one that is open (creditstream_open_transaction_records)."}, []string{"topic", "partition"}),
		removed:     f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_drift_removed_offsets", Help: "Offsets of a partition that had left the log when this process began its group, though it was to begin before: they were never counted. Only there where there are any."}, []string{"topic", "partition"}),
		unreachable: f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_drift_unreachable_offsets", Help: "Offsets of an owned partition outside the log; the partition is stopped."}, []string{"topic", "partition"}),
		unreadable:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_drift_unreadable_offsets", Help: "Offsets of the next batch of an owned partition, which cannot be read; it is tried again, and then skipped."}, []string{"topic", "partition"}),
	}
}
