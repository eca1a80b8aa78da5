package view

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// latencies counts what it is told.
type latencies struct{ n atomic.Int64 }

func TestReadable_IsNeverLessThanNothing(t *testing.T) {
	t.Parallel()
	const now = 1_700_000_000_000_000
	require.Zero(t, readableAfter(now+1, now))
	require.Zero(t, readableAfter(math.MaxInt64, now))
	require.Equal(t, 3*time.Microsecond, readableAfter(now-3, now))
	require.Equal(t, maxReadable, readableAfter(0, now))
}

func (l *latencies) Observe(_ time.Duration, n int) { l.n.Add(int64(n)) }

// What was there before is not timed: it says how old the log is, not how fast the view.
func TestLatenciesAreThoseOfPredictionsThatCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := &latencies{}
	w.config.Latencies = l
	w.emit(0, 50, 1)
	v, stop := w.start()
	w.ready(v)
	require.Zero(t, l.n.Load())
	w.emit(50, 80, 1)
	w.same()
	stop()
	require.Equal(t, int64(30), l.n.Load())
}
