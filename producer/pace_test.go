package producer

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// taker takes from a pace all the time and counts.
type taker struct {
	passed atomic.Int64
	cancel context.CancelFunc
	ended  chan error
}

func (k *taker) run(p *pace, limit int) {
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel, k.ended = cancel, make(chan error, 1)
	go func() {
		for {
			n, err := p.take(ctx, limit)
			if err != nil {
				k.ended <- err
				return
			}
			k.passed.Add(int64(n))
		}
	}()
}

// after lets time pass and says how many had been let through by then.
func (k *taker) after(d time.Duration) int {
	time.Sleep(d)
	synctest.Wait()
	return int(k.passed.Load())
}

func TestPaceLetsThroughWhatIsDue(t *testing.T) {
	t.Parallel()
	f := func(rate float64, d time.Duration, want int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var k taker
			k.run(newPace(rate), batchSize)
			// Sleeps are whole ticks: a moment after d, all that is due at d has gone.
			require.Equal(t, want, k.after(d+paceTick-1), "%v/s after %s", rate, d)
			k.cancel()
			require.ErrorIs(t, <-k.ended, context.Canceled)
		})
	}
	f(1, 0, 1)
	f(1, 10*time.Second, 11)
	f(100, 10*time.Second, 1_001)
	f(0.01, 99*time.Second, 1)
	f(0.01, 100*time.Second, 2)
	f(1_000, time.Second, 1_001)
	f(50_000, time.Second, 50_001)
	f(1e-9, time.Hour, 1)
}

func TestPaceCatchesUpAtMostASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(100)
		n, _, _ := p.due(time.Now(), 1)
		require.Equal(t, 1, n)
		time.Sleep(time.Hour) // a stall: nobody takes
		n, _, _ = p.due(time.Now(), 1_000_000)
		require.Equal(t, 101, n)
		time.Sleep(50 * time.Millisecond)
		n, _, _ = p.due(time.Now(), 1_000_000)
		require.Equal(t, 5, n, "then at the rate again")
	})
}

func TestPaceHandsOutAtMostTheLimit(t *testing.T) {
	t.Parallel()
	p := newPace(0)
	n, err := p.take(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, 7, n)
	synctest.Test(t, func(t *testing.T) {
		p := newPace(1_000)
		_, _, _ = p.due(time.Now(), 1)
		time.Sleep(time.Second)
		n, err := p.take(t.Context(), 3)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		n, err = p.take(t.Context(), 5_000)
		require.NoError(t, err)
		require.Equal(t, 997, n, "the rest is not forgotten")
	})
}

func TestANewRateIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(0.0001) // the second is due in almost three hours
		var k taker
		k.run(p, batchSize)
		require.Equal(t, 1, k.after(time.Second))
		p.set(10)
		require.Equal(t, 1+11, k.after(time.Second+paceTick))
		p.set(1)
		require.Equal(t, 12+3, k.after(2*time.Second+paceTick))
		rate, paused := p.get()
		require.Equal(t, 1.0, rate)
		require.False(t, paused)
		k.cancel()
	})
}

func TestAPauseHoldsEverythingBackAndOwesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(10)
		var k taker
		k.run(p, batchSize)
		require.Equal(t, 11, k.after(time.Second+paceTick))
		p.pause(true)
		p.pause(true)
		require.Equal(t, 11, k.after(time.Hour))
		_, paused := p.get()
		require.True(t, paused)
		p.pause(false)
		require.Equal(t, 11+11, k.after(time.Second+paceTick))
		p.pause(true)
		k.cancel()
		require.ErrorIs(t, <-k.ended, context.Canceled, "a paused one can be stopped")
	})
}
