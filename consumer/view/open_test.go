package view

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What lies behind a transaction that hangs is said, and is no lag; the view is ready.
func TestView_SaysWhatWaitsBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.ends = 5 * time.Millisecond
	v, _ := w.start()
	w.emit(0, 40, 1)
	require.Eventually(t, func() bool { return testutil.ToFloat64(v.metrics.written) == 40 }, time.Minute, time.Millisecond)
	hangs, err := kgo.NewClient(append(w.config.Kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("hangs"))...)
	require.NoError(t, err)
	t.Cleanup(hangs.Close)
	require.NoError(t, hangs.BeginTransaction())
	record := w.record(partitionOf(0), 0, w.predict(0, 2))
	record.Timestamp = time.Now().Add(-time.Minute)
	require.NoError(t, hangs.ProduceSync(t.Context(), record).FirstErr())
	w.emit(partitions, 2*partitions, 3)
	require.Eventually(t, func() bool { return v.Pending() != nil }, time.Minute, time.Millisecond)
	require.ErrorContains(t, v.Pending(), "2 records behind an open transaction on "+record.Topic+"/0 since ")
	require.NoError(t, v.Ready())
	require.Eventually(t, func() bool { return testutil.ToFloat64(v.metrics.lag.WithLabelValues("0")) == 0 }, time.Minute, time.Millisecond)

	require.NoError(t, hangs.EndTransaction(context.WithoutCancel(t.Context()), kgo.TryAbort))
	require.Eventually(t, func() bool { return v.Pending() == nil && testutil.ToFloat64(v.metrics.written) == 40+partitions }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { return testutil.ToFloat64(v.metrics.lag.WithLabelValues("0")) == 0 }, time.Minute, time.Millisecond)
}

// A view that is held up reads nothing, and its lag grows all the same.
func TestView_LooksUpItsLagWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.ends = 5 * time.Millisecond
	v, stop := w.start()
	w.emit(0, 40, 1)
	require.Eventually(t, func() bool { return testutil.ToFloat64(v.metrics.written) == 40 }, time.Minute, time.Millisecond)
	w.redis.Close()
	w.emit(40, 140, 1)
	require.Eventually(t, func() bool {
		lag := 0.0
		for _, p := range []string{"0", "1", "2", "3"} {
			lag += testutil.ToFloat64(v.metrics.lag.WithLabelValues(p))
		}
		return lag == 100
	}, time.Minute, time.Millisecond)
	stop()
}
