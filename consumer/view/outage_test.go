package view

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/capture"
)

// outageLines are what was logged of Redis, by message.
func outageLines(text string) (away, back int) {
	return strings.Count(text, `msg="cannot use Redis`), strings.Count(text, `msg="Redis is back"`)
}

func TestOutage_EndsWhenNoAttemptFails(t *testing.T) {
	t.Parallel()
	var text capture.Output
	o := &outage{log: slog.New(slog.NewTextHandler(&text, nil)), errors: prometheus.NewCounter(prometheus.CounterOpts{Name: "t"})}
	fails, mayEnd, ended := make(chan struct{}, 1000), make(chan struct{}), make(chan error)
	go func() {
		ended <- o.retry(t.Context(), func(context.Context) error {
			select {
			case <-mayEnd:
				return nil
			default:
				fails <- struct{}{}
				return errors.New("READONLY You can't write against a read only replica")
			}
		})
	}()
	<-fails
	<-fails // the first is noted
	for range 3 {
		require.NoError(t, o.retry(t.Context(), func(context.Context) error { return nil })) // it can be read
		require.ErrorContains(t, o.current(), "READONLY")
	}
	close(mayEnd)
	require.NoError(t, <-ended)
	require.NoError(t, o.current())
	away, back := outageLines(text.String())
	require.Equal(t, [2]int{1, 1}, [2]int{away, back}, text.String())

	// One that is given up says nothing of Redis; the next that succeeds does.
	ctx, cancel := context.WithCancel(t.Context())
	err := o.retry(ctx, func(context.Context) error {
		cancel()
		return errors.New("refused")
	})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, o.current(), "refused")
	require.NoError(t, o.retry(t.Context(), func(context.Context) error { return nil }))
	require.NoError(t, o.current())
}

func TestOutage_IsSaidOnceWhereRedisWasNeverReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var text capture.Output
	w.config.Log = slog.New(slog.NewTextHandler(&text, nil))
	w.emit(0, 40, 1)
	w.redis.Server().Close()
	v, _ := w.start()
	away := func() bool { err := v.Ready(); return err != nil && strings.Contains(err.Error(), "without Redis: ") }
	require.Eventually(t, away, patience, tick)
	until := testutil.ToFloat64(v.metrics.redisErrors) + 5
	require.Eventually(t, func() bool {
		require.True(t, away(), "%v", v.Ready())
		return testutil.ToFloat64(v.metrics.redisErrors) > until
	}, patience, tick)
	said, back := outageLines(text.String())
	require.Equal(t, [2]int{1, 0}, [2]int{said, back}, text.String())
	require.NoError(t, w.redis.Server().Restart())
	w.same()
	w.ready(v)
	said, back = outageLines(text.String())
	require.Equal(t, [2]int{1, 1}, [2]int{said, back}, text.String())
}
