package stream

import (
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
)

// latencies counts what it is told.
type latencies struct {
	mu     sync.Mutex
	calls  int
	n      int
	longer int // of n: more than a day
}

func (l *latencies) Observe(took time.Duration, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	l.n += n
	if took > 24*time.Hour {
		l.longer += n
	}
}

// Every decision counts, and a large transaction costs no more than a thousand
// observations.
func TestLatenciesOfALargeTransactionAreSampled(t *testing.T) {
	for _, n := range []int{0, 1, 999, 1_000, 1_001, 1_999, maxBatch} {
		l := &latencies{}
		s := newSession(&Scorer{config: Config{Latencies: l}}, "x")
		b := s.newBatch()
		b.sources = make([]*kgo.Record, n)
		b.apps = make([]schemas.Application, n)
		s.observeLatencies(b, time.Now())
		require.Equal(t, n, l.n)
		require.LessOrEqual(t, l.calls, maxTimed)
		require.Equal(t, n, l.longer, "they were applied in 1970")
	}
}

// What a sender's clock says cannot make a sum of seconds fall, or drown the others.
func TestEndToEnd_IsBetweenNothingAndAMonth(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		applied time.Time
		took    time.Duration
		why     string
	}{
		{now.Add(-20 * time.Millisecond), 20 * time.Millisecond, ""},
		{now, 0, ""},
		{now.Add(time.Second), 0, ""},
		{now.Add(5 * time.Minute), 0, appliedInFuture},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), 0, appliedInFuture},
		{now.Add(-29 * 24 * time.Hour), 29 * 24 * time.Hour, ""},
		{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), maxEndToEnd, appliedInPast},
	} {
		took, why := endToEnd(c.applied, now)
		require.Equal(t, c.took, took, c.applied)
		require.Equal(t, c.why, why, c.applied)
	}
}

func TestEndToEnd_ImplausibleOnesAreCounted(t *testing.T) {
	w := newWorld(t)
	s := w.scorer("a", func(c *Config) {
		c.Now = func() time.Time { return time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) } // all apply years later
	})
	stop := run(s)
	w.apply(0, 100)
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.records) == 100 }, time.Minute, time.Millisecond)
	require.NoError(t, stop())
	require.InDelta(t, 90, testutil.ToFloat64(s.metrics.implausible.WithLabelValues(appliedInFuture)), 0)
	require.Zero(t, testutil.ToFloat64(s.metrics.implausible.WithLabelValues(appliedInPast)))
	var m dto.Metric
	require.NoError(t, s.metrics.endToEnd.Write(&m))
	require.EqualValues(t, 90, m.GetHistogram().GetSampleCount())
	require.Zero(t, m.GetHistogram().GetSampleSum())
}

func TestLatenciesAreThoseOfCommittedDecisions(t *testing.T) {
	w := newWorld(t)
	l := &latencies{}
	s := w.scorer("a", func(c *Config) { c.Latencies = l })
	stop := run(s)
	w.apply(0, 100)
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.records) == 100 }, time.Minute, time.Millisecond)
	require.NoError(t, stop())
	require.Equal(t, 90, l.n, "a tenth are dead letters")
}
