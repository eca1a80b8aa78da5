package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
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
		err := Group{Components: []Component{untilStopped("telemetry"), failing}, Drain: time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))}.Run(t.Context())
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
		require.EqualError(t, Group{Components: []Component{untilStopped("telemetry"), failing}, Drain: time.Second, Log: log}.Run(t.Context()), "view: asking Redis: context canceled")

		ctx, stop := context.WithCancel(t.Context())
		told := component{"view", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		time.AfterFunc(time.Second, stop)
		require.NoError(t, Group{Components: []Component{told}, Drain: time.Second, Log: log}.Run(ctx))
	})
}

func TestOneThatDoesNotDrainIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		defer close(release)
		hanging := component{"view", func(context.Context) error { <-release; return nil }}
		time.AfterFunc(time.Minute, cancel)
		err := Group{Components: []Component{untilStopped("telemetry"), hanging}, Drain: time.Second, Log: slog.New(slog.DiscardHandler)}.Run(ctx)
		require.EqualError(t, err, "view: not drained within 1s")
	})
}

func TestASignalIsNoFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	obeying := component{"api", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	require.NoError(t, Group{Components: []Component{obeying}, Drain: time.Minute, Log: slog.New(slog.DiscardHandler)}.Run(ctx))
}

// delayed is a group of an api and a telemetry server, what happened to it in order,
// and how to stop it.
func delayed(t *testing.T, hurry <-chan struct{}) (said func() string, stop func(error), ended chan error, working chan error) {
	var mu sync.Mutex
	var order []string
	say := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	working, ended = make(chan error), make(chan error, 1)
	api := component{"api", func(ctx context.Context) error {
		select {
		case err := <-working:
			return err
		case <-ctx.Done():
		}
		say("api stops")
		time.Sleep(time.Second) // of the bubble: what it has begun
		say("api has stopped")
		return nil
	}}
	telemetry := component{"telemetry", func(ctx context.Context) error { <-ctx.Done(); say("telemetry stops"); return nil }}
	g := Group{
		Components: []Component{api}, Watchers: []Component{telemetry}, Drain: time.Minute, Log: slog.New(slog.DiscardHandler),
		Stopping: func() { say("unready") },
		Delay: func(cause error) (time.Duration, <-chan struct{}) {
			say("told: " + cause.Error())
			return 5 * time.Second, hurry
		},
	}
	go func() { ended <- g.Run(ctx) }()
	return func() string {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(order, ", ")
	}, cancel, ended, working
}

func TestGroup_IsUnreadyBeforeItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said, stop, ended, _ := delayed(t, nil)
		require.Empty(t, said())
		stop(errors.New("terminated"))
		require.Equal(t, "unready, told: terminated", said())
		time.Sleep(5*time.Second - time.Nanosecond)
		require.Equal(t, "unready, told: terminated", said(), "it goes on working")
		time.Sleep(time.Nanosecond)
		require.Equal(t, "unready, told: terminated, api stops", said(), "telemetry answers on")
		require.NoError(t, <-ended)
		require.Equal(t, "unready, told: terminated, api stops, api has stopped, telemetry stops", said())
	})
}

func TestGroup_HurryCutsTheDelayShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hurry := make(chan struct{})
		said, stop, ended, _ := delayed(t, hurry)
		stop(errors.New("terminated"))
		require.Equal(t, "unready, told: terminated", said())
		close(hurry)
		require.Equal(t, "unready, told: terminated, api stops", said())
		require.NoError(t, <-ended)
	})
}

// A failure is no reason to wait: nobody could be answered.
func TestGroup_FailureIsNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said, _, ended, working := delayed(t, nil)
		working <- errors.New("no listener")
		require.EqualError(t, <-ended, "api: no listener")
		require.Equal(t, "unready, telemetry stops", said())

		said, stop, ended, working := delayed(t, nil)
		stop(errors.New("terminated"))
		require.Equal(t, "unready, told: terminated", said())
		working <- errors.New("no listener")
		require.EqualError(t, <-ended, "api: no listener")
		require.Equal(t, "unready, told: terminated, telemetry stops", said())
	})
}
