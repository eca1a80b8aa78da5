package stream

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
)

func (w *world) transactional(id string) *kgo.Client {
	producer, err := kgo.NewClient(append(w.config.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(id))...)
	require.NoError(w.t, err)
	w.t.Cleanup(producer.Close)
	return producer
}

// lags says whether a scorer shows the same lag for every partition.
func lags(s *Scorer, want float64) bool {
	for _, p := range []string{"0", "1", "2", "3"} {
		if testutil.ToFloat64(s.metrics.lag.WithLabelValues(p)) != want {
			return false
		}
	}
	return true
}

// The ends of producers' transactions take offsets that nobody answers: an idle scorer
// has no lag, though it has committed nothing past them, and commits nothing for their
// sake.
func TestScorer_ShowsNoLagWhereOnlyTheEndsOfTransactionsAreLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.scorer("one")
	s.lagInterval = 5 * time.Millisecond
	stop := run(s)
	producer := w.transactional("producer")
	write := func(first, last int, end kgo.TransactionEndTry) {
		require.NoError(t, producer.BeginTransaction())
		require.NoError(t, producer.ProduceSync(t.Context(), w.applications(first, last)...).FirstErr())
		require.NoError(t, producer.EndTransaction(t.Context(), end))
	}
	write(0, 40, kgo.TryCommit)
	write(40, 80, kgo.TryAbort)
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.records) == 40 && lags(s, 0) }, time.Minute, time.Millisecond)
	write(80, 120, kgo.TryAbort)
	for p := range partitions {
		s.metrics.lag.WithLabelValues(strconv.Itoa(p)).Set(-1) // until the next look
	}
	require.Eventually(t, func() bool { return lags(s, 0) }, time.Minute, time.Millisecond)
	adm := kadm.NewClient(w.client)
	ends, err := kafka.ListEnds(t.Context(), adm, w.topics.Applications)
	require.NoError(t, err)
	committed, err := adm.FetchOffsetsForTopics(t.Context(), "g", w.topics.Applications)
	require.NoError(t, err)
	behind := int64(0)
	for partition, end := range ends[w.topics.Applications] {
		o, ok := committed.Lookup(w.topics.Applications, partition)
		require.True(t, ok)
		behind += end.Stable - o.At
	}
	require.Positive(t, behind, "Kafka's own figure counts them")

	// A member that takes over reads them again, and has no lag either.
	require.NoError(t, stop())
	next := w.scorer("two")
	next.lagInterval = 5 * time.Millisecond
	stop = run(next)
	require.Eventually(t, func() bool { return testutil.CollectAndCount(next.metrics.lag) == partitions && lags(next, 0) }, time.Minute, time.Millisecond)
	w.apply(120, 160)
	w.exact(40 + 40)
	require.NoError(t, stop())
}

// What lies behind an open transaction is no lag: it is said apart, and the rest is
// answered.
func TestScorer_SaysWhatWaitsBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log capture.Output
	reg := prometheus.NewRegistry()
	s := w.scorer("one", func(c *Config) {
		c.Log, c.Registerer = slog.New(slog.NewTextHandler(&log, nil)), reg
	})
	s.lagInterval = 5 * time.Millisecond
	stop := run(s)
	w.apply(0, 40)
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.records) == 40 }, time.Minute, time.Millisecond)

	producer := w.transactional("hangs")
	require.NoError(t, producer.BeginTransaction())
	held := w.applications(40, 41) // partition 0
	held[0].Timestamp = time.Now().Add(-time.Minute)
	require.NoError(t, producer.ProduceSync(t.Context(), held...).FirstErr())
	w.apply(41, 80)
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.records) == 40+30 }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { // the last look may be one from before all of them were there
		why := s.Pending()
		return why != nil && strings.HasPrefix(why.Error(), "10 records") && lags(s, 0)
	}, time.Minute, time.Millisecond)
	require.ErrorContains(t, s.Pending(), "10 records behind an open transaction on "+w.topics.Applications+"/0 since ")
	require.NoError(t, s.Ready())
	require.Contains(t, log.String(), "records wait behind an open transaction")
	require.InDelta(t, 10, gauge(t, reg, "creditstream_open_transaction_records", "0"), 0)
	require.InDelta(t, 0, gauge(t, reg, "creditstream_open_transaction_records", "1"), 0)
	require.GreaterOrEqual(t, gauge(t, reg, "creditstream_open_transaction_seconds", "0"), 60.0)

	require.NoError(t, producer.EndTransaction(context.WithoutCancel(t.Context()), kgo.TryCommit))
	w.exact(80)
	require.Eventually(t, func() bool { return s.Pending() == nil && lags(s, 0) }, time.Minute, time.Millisecond)
	require.InDelta(t, 0, gauge(t, reg, "creditstream_open_transaction_records", "0"), 0)
	require.InDelta(t, 0, gauge(t, reg, "creditstream_open_transaction_seconds", "0"), 0)
	require.Contains(t, log.String(), "the open transaction has ended")
	require.NoError(t, stop())
}

// gauge is the value of a metric of one partition.
func gauge(t *testing.T, reg *prometheus.Registry, name, partition string) float64 {
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == "partition" && l.GetValue() == partition {
					return m.GetGauge().GetValue()
				}
			}
		}
	}
	require.Fail(t, "no "+name+" of partition "+partition)
	return 0
}
