package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/telemetry"
)

// DrainTime is how long components may take to finish what they have begun.
const DrainTime = 20 * time.Second

// serve runs components until the process is told to stop, with what shown shows at a
// listener (nowhere when nil), which answers until the components have ended. Told by what a balancer has to hear of, they go on working for the delay,
// unready.
func serve(
	ctx context.Context, log *slog.Logger, at net.Listener, shown http.Handler, state *readiness,
	delay func(cause error) (time.Duration, <-chan struct{}),
) error {
	group := lifecycle.Group{Components: state.components, Stopping: state.stop, Drain: DrainTime, Log: log, Delay: delay}
	if at != nil {
		group.Watchers = []lifecycle.Component{&telemetryServer{at, shown}}
	}
	return group.Run(ctx)
}

// readiness is what every /readyz of the process tells, on whichever port: its
// components are set before any of them runs.
type readiness struct {
	components []lifecycle.Component
	*stopping
}

// stopping says whether a process is about to stop.
type stopping struct {
	once  sync.Once
	begun chan struct{} // closed when it is
}

func newStopping() *stopping { return &stopping{begun: make(chan struct{})} }

// stop makes the process unready for good.
func (s *stopping) stop() { s.once.Do(func() { close(s.begun) }) }

var errStopping = errors.New("stopping: the process was told to stop, or a component has ended")

// ready is nil when the work can be done, and otherwise says what is missing.
func (r *readiness) ready() error {
	select {
	case <-r.begun:
		return errStopping
	default:
		return lifecycle.NotReady(r.components...)
	}
}

// pending says what is waited for though the work can be done.
func (r *readiness) pending() error { return lifecycle.Pending(r.components...) }

// telemetryServer shows what the other components of the process are doing.
type telemetryServer struct {
	listener net.Listener
	shown    http.Handler
}

func (*telemetryServer) Name() string { return "telemetry" }

func (*telemetryServer) Ready() error { return nil }

func (t *telemetryServer) Run(ctx context.Context) error {
	return telemetry.Serve(ctx, t.listener, t.shown)
}
