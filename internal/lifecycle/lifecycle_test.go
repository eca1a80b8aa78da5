package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// component is one that a test scripts.
type component struct {
	name string
	run  func(ctx context.Context) error
}

func (c component) Name() string                  { return c.name }
func (c component) Ready() error                  { return nil }
func (c component) Run(ctx context.Context) error { return c.run(ctx) }

func untilStopped(name string) component {
	return component{name, func(ctx context.Context) error { <-ctx.Done(); return nil }}
}

// Why a component failed is in the error, for the caller to tell, and in nothing else.
func TestAFailureIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		failing := component{"scorer", func(context.Context) error { return errors.New("no topic") }}
		err := Run(t.Context(), time.Second, slog.New(slog.NewTextHandler(&log, nil)), untilStopped("telemetry"), failing)
		require.EqualError(t, err, "scorer: no topic")
		require.NotContains(t, log.String(), "no topic")
		require.Equal(t, 1, strings.Count(log.String(), "component=scorer"))
	})
}

// Nobody told it to stop: what cancelled it is a failure like any other.
func TestOneThatIsCancelledByItselfHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		failing := component{"view", func(context.Context) error { return fmt.Errorf("asking Redis: %w", context.Canceled) }}
		require.EqualError(t, Run(t.Context(), time.Second, log, untilStopped("telemetry"), failing), "view: asking Redis: context canceled")

		ctx, stop := context.WithCancel(t.Context())
		told := component{"view", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		time.AfterFunc(time.Second, stop)
		require.NoError(t, Run(ctx, time.Second, log, told))
	})
}

func TestOneThatDoesNotDrainIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		defer close(release)
		hanging := component{"view", func(context.Context) error { <-release; return nil }}
		time.AfterFunc(time.Minute, cancel)
		err := Run(ctx, time.Second, slog.New(slog.DiscardHandler), untilStopped("telemetry"), hanging)
		require.EqualError(t, err, "view: not drained within 1s")
	})
}

func TestASignalIsNoFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	obeying := component{"api", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	require.NoError(t, Run(ctx, time.Minute, slog.New(slog.DiscardHandler), obeying))
}
