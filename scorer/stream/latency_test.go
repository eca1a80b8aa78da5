package stream

import (
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
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
		s.tellLatencies(b, time.Now())
		require.Equal(t, n, l.n)
		require.LessOrEqual(t, l.calls, mostTimed)
		require.Equal(t, n, l.longer, "they were applied in 1970")
	}
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
