package replica

import (
	"math"
	"testing"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/store"
	"github.com/stretchr/testify/require"
)

// shown are the median and the count of an encoded sketch.
func shown(t *testing.T, b []byte) (median time.Duration, count float64) {
	t.Helper()
	s, err := decodeSketch(b)
	require.NoError(t, err)
	if at := quantiles(s, 0.5); at != nil {
		median = at[0]
	}
	return median, s.GetCount()
}

func about(t *testing.T, want, have time.Duration) {
	t.Helper()
	require.InEpsilon(t, want.Seconds(), have.Seconds(), 1.01*LatencyAccuracy)
}

func TestLatenciesOfLateAndInAll(t *testing.T) {
	t.Parallel()
	l := NewLatencies()
	recent, total := l.Turn()
	require.Nil(t, recent, "nothing was timed")
	require.Nil(t, total)
	l.Observe(10*time.Millisecond, 99)
	l.Observe(time.Second, 1)
	recent, total = l.Turn()
	require.Equal(t, recent, total)
	s, err := decodeSketch(total)
	require.NoError(t, err)
	at := quantiles(s, 0.5, 1)
	about(t, 10*time.Millisecond, at[0])
	about(t, time.Second, at[1])
	for range RecentTurns - 1 { // it stays among the last ten
		recent, _ = l.Turn()
	}
	_, n := shown(t, recent)
	require.Equal(t, 100.0, n)
	l.Observe(3*time.Millisecond, 1)
	recent, total = l.Turn() // and then leaves them
	median, n := shown(t, recent)
	require.Equal(t, 1.0, n)
	about(t, 3*time.Millisecond, median)
	_, n = shown(t, total)
	require.Equal(t, 101.0, n)
}

func TestLatenciesTakeWhatClocksMakeOfThem(t *testing.T) {
	t.Parallel()
	l := NewLatencies()
	l.Observe(-time.Second, 2)
	l.Observe(time.Nanosecond, 1)
	l.Observe(math.MaxInt64, 1) // applied in the year 1
	l.Observe(time.Second, 0)
	recent, _ := l.Turn()
	s, err := decodeSketch(recent)
	require.NoError(t, err)
	require.Equal(t, 4.0, s.GetCount())
	require.Equal(t, 2.0, s.GetZeroCount())
	about(t, math.MaxInt64, quantiles(s, 1)[0])
	var nobody *Latencies
	nobody.Observe(time.Second, 1)
}

// What every replica sends is small, however its latencies are spread.
func TestASketchIsBounded(t *testing.T) {
	t.Parallel()
	l := NewLatencies()
	for took := time.Microsecond; took < 24*time.Hour; took += took/200 + 1 {
		l.Observe(took, 1_000_003)
	}
	_, total := l.Turn()
	require.Less(t, len(total), 10<<10)
}

func TestSketchesOfReplicasAreMerged(t *testing.T) {
	t.Parallel()
	fast, slow := NewLatencies(), NewLatencies()
	fast.Observe(time.Millisecond, 900)
	slow.Observe(time.Second, 100)
	_, a := fast.Turn()
	_, b := slow.Turn()
	all, err := decodeSketch(a)
	require.NoError(t, err)
	more, err := decodeSketch(b)
	require.NoError(t, err)
	merge(all, more)
	at := quantiles(all, 0.5, 0.99)
	about(t, time.Millisecond, at[0])
	about(t, time.Second, at[1])
}

func TestASketchOfAnotherKindIsRefused(t *testing.T) {
	t.Parallel()
	other, err := ddsketch.NewDefaultDDSketch(0.02)
	require.NoError(t, err)
	require.NoError(t, other.Add(1))
	_, err = decodeSketch(encodeSketch(other))
	require.ErrorContains(t, err, "mapping")
	far := ddsketch.NewDDSketch(latencyMapping(), store.NewSparseStore(), store.NewSparseStore())
	far.GetPositiveValueStore().AddWithCount(maxBin+1, 1)
	_, err = decodeSketch(encodeSketch(far))
	require.ErrorContains(t, err, "bin 1201")
	less := ddsketch.NewDDSketch(latencyMapping(), store.NewSparseStore(), store.NewSparseStore())
	less.GetPositiveValueStore().AddWithCount(1, -3)
	_, err = decodeSketch(encodeSketch(less))
	require.ErrorContains(t, err, "a count of -3")
	half := ddsketch.NewDDSketch(latencyMapping(), store.NewSparseStore(), store.NewSparseStore())
	half.GetPositiveValueStore().AddWithCount(1, 2.5)
	_, err = decodeSketch(encodeSketch(half))
	require.ErrorContains(t, err, "a count of 2.5")
	many := ddsketch.NewDDSketch(latencyMapping(), store.NewSparseStore(), store.NewSparseStore())
	many.GetPositiveValueStore().AddWithCount(1, maxCount)
	_, err = decodeSketch(encodeSketch(many))
	require.NoError(t, err)
	many.GetPositiveValueStore().AddWithCount(2, 1)
	_, err = decodeSketch(encodeSketch(many))
	require.ErrorContains(t, err, "together")
	l := NewLatencies()
	l.Observe(time.Second, 7)
	_, total := l.Turn()
	_, err = decodeSketch(total[:len(total)-1])
	require.Error(t, err, "cut short")
}

func FuzzDecodeSketch(f *testing.F) {
	l := NewLatencies()
	l.Observe(0, 3)
	for took := time.Microsecond; took < time.Hour; took *= 2 {
		l.Observe(took, 5)
	}
	_, total := l.Turn()
	f.Add(total)
	f.Add([]byte{})
	f.Add([]byte{0xff, 0x01, 0x02})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSketch(b)
		if err != nil {
			return
		}
		if at := quantiles(s, 0, 0.5, 1); at != nil {
			require.LessOrEqual(t, at[0], at[1])
			require.LessOrEqual(t, at[1], at[2])
		}
		again, err := decodeSketch(encodeSketch(s))
		require.NoError(t, err)
		require.InEpsilon(t, 1+s.GetCount(), 1+again.GetCount(), 1e-9)
	})
}
