package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/loopback"
	"github.com/creditstream/creditstream/internal/telemetry"
)

// worker is a component that works until it is told to stop, and then drains until
// the test lets it go.
type worker struct {
	draining, release chan struct{}
}

func (worker) Name() string { return "scorer" }
func (worker) Ready() error { return nil }

func (w worker) Run(ctx context.Context) error {
	<-ctx.Done()
	close(w.draining)
	<-w.release
	return nil
}

// Whoever asks a process that drains hears that it does.
func TestServe_TelemetryIsUnreadyWhileTheyDrain(t *testing.T) {
	at, _, err := loopback.Free(1)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	w := worker{make(chan struct{}), make(chan struct{})}
	state := &readiness{[]lifecycle.Component{w}, newStopping()}
	l, err := net.Listen("tcp", at)
	require.NoError(t, err)
	ended := make(chan error)
	go func() {
		ended <- serve(ctx, slog.New(slog.DiscardHandler), l, telemetry.Handler(telemetry.NewRegistry(), state.ready, state.pending), state, nil)
	}()
	ask := func(path string) (int, string) {
		r, err := http.Get("http://" + at + path)
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = r.Body.Close() }()
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, string(text)
	}
	require.Eventually(t, func() bool { status, _ := ask("/readyz"); return status == http.StatusOK }, time.Minute, time.Millisecond)
	stop()
	<-w.draining
	status, text := ask("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.True(t, strings.HasPrefix(text, "stopping"), text)
	status, _ = ask("/healthz")
	require.Equal(t, http.StatusOK, status)
	status, _ = ask("/metrics")
	require.Equal(t, http.StatusOK, status)
	close(w.release)
	require.NoError(t, <-ended)
	status, _ = ask("/healthz")
	require.Zero(t, status)
}

// Profiles show what is in memory: they are there only where they were asked for. One
// that takes longer than the process ends with it.
func TestRun_ShowsProfilesWhenAsked(t *testing.T) {
	for _, profiles := range []bool{false, true} {
		s := New(Config{Log: slog.New(slog.DiscardHandler)})
		if profiles {
			s.ShowProfiles()
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		w := worker{make(chan struct{}), make(chan struct{})}
		s.AddParts(w)
		ended := make(chan error)
		go func() { ended <- s.Run(ctx, l) }()
		get := func(path string) (status int, body string, err error) {
			r, err := http.Get("http://" + l.Addr().String() + path)
			if err != nil {
				return 0, "", err
			}
			defer func() { _ = r.Body.Close() }()
			text, err := io.ReadAll(r.Body)
			return r.StatusCode, string(text), err
		}
		status, _, err := get("/debug/pprof/goroutine?debug=1")
		require.NoError(t, err)
		require.Equal(t, profiles, status == http.StatusOK)
		type answer struct {
			status int
			err    error
		}
		long := make(chan answer, 1)
		if profiles {
			go func() {
				status, _, err := get("/debug/pprof/profile?seconds=600")
				long <- answer{status, err}
			}()
			require.Eventually(t, func() bool {
				_, running, err := get("/debug/pprof/goroutine?debug=2")
				require.NoError(t, err)
				return strings.Contains(running, "net/http/pprof.Profile(")
			}, time.Minute, time.Millisecond)
		}
		stop()
		<-w.draining
		close(w.release)
		require.NoError(t, <-ended)
		if profiles {
			require.Equal(t, answer{status: http.StatusOK}, <-long)
		}
	}
}
