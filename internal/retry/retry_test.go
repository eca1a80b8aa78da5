package retry

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPause_GrowsUpToItsMaximum(t *testing.T) {
	p := Pause{First: time.Second, Max: 5 * time.Second}
	for range 3 {
		for _, most := range []time.Duration{1, 2, 4, 5, 5} {
			got := p.Next()
			require.LessOrEqual(t, got, most*time.Second)
			require.GreaterOrEqual(t, got, most*time.Second/2)
		}
		p.Reset()
	}
}

func TestPause_DiffersFromOthers(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 20 {
		p := Pause{First: time.Second, Max: time.Minute}
		seen[p.Next()] = true
	}
	require.Greater(t, len(seen), 10)
}

func TestPause_WaitsAtLeastHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := Pause{First: time.Second, Max: time.Minute}
		require.True(t, p.Wait(t.Context()))
		require.GreaterOrEqual(t, time.Since(began), time.Second/2)
		require.LessOrEqual(t, time.Since(began), time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.False(t, p.Wait(ctx))
	})
}

func TestUntil_TriesUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, pauses := 0, []time.Duration{}
		err := Until(t.Context(), Pause{First: time.Second, Max: time.Hour}, func(context.Context) (bool, error) {
			if tries++; tries == 7 {
				return false, nil
			}
			return tries == 5, errors.New("not yet")
		}, func(_ error, in time.Duration) error {
			pauses = append(pauses, in)
			return nil
		})
		require.NoError(t, err)
		require.Len(t, pauses, 6)
		for i, most := range []time.Duration{1, 2, 4, 8, 1, 2} { // the fifth got somewhere
			require.LessOrEqual(t, pauses[i], most*time.Second)
			require.GreaterOrEqual(t, pauses[i], most*time.Second/2)
		}
	})
}

func TestUntil_EndsWithWhatNoAttemptWouldHelp(t *testing.T) {
	refused := errors.New("refused")
	err := Until(t.Context(), Pause{First: time.Hour, Max: time.Hour}, func(context.Context) (bool, error) {
		return false, refused
	}, func(err error, _ time.Duration) error { return err })
	require.ErrorIs(t, err, refused)
}

func TestUntil_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := Until(ctx, Pause{First: time.Hour, Max: time.Hour}, func(context.Context) (bool, error) {
		tries++
		cancel()
		return false, errors.New("cut off")
	}, func(_ error, in time.Duration) error {
		require.Zero(t, in)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 1, tries)
}

type refusal bool

func (refusal) Error() string     { return "refused" }
func (r refusal) Permanent() bool { return bool(r) }

func TestIsPermanent_AsksWhatIsWrapped(t *testing.T) {
	require.True(t, IsPermanent(fmt.Errorf("asking: %w", refusal(true))))
	require.False(t, IsPermanent(fmt.Errorf("asking: %w", refusal(false))))
	require.False(t, IsPermanent(errors.New("away")))
	require.False(t, IsPermanent(nil))
}
