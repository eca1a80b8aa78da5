package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/telemetry"
)

// drainTime is how long components may take to finish what they have begun.
const drainTime = 20 * time.Second

// serveComponents runs components until the process is told to stop, with their
// metrics, liveness and readiness on listen (nowhere when empty).
func serveComponents(p *process, listen string, reg *prometheus.Registry, components ...lifecycle.Component) error {
	all := components
	if listen != "" {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			return fmt.Errorf("--listen %s: %w", listen, err)
		}
		all = append([]lifecycle.Component{&telemetryServer{l, reg, readiness{components}}}, components...)
	}
	return lifecycle.Run(p.ctx, drainTime, p.log, all...)
}

// readiness is what every /readyz of the process tells, on whichever port: its
// components are set before any of them runs.
type readiness struct {
	components []lifecycle.Component
}

// ready is nil when the work can be done, and otherwise says what is missing.
func (r *readiness) ready() error { return lifecycle.NotReady(r.components...) }

// pending says what is waited for though the work can be done.
func (r *readiness) pending() error { return lifecycle.Pending(r.components...) }

// telemetryServer shows what the other components of the process are doing.
type telemetryServer struct {
	listener net.Listener
	registry *prometheus.Registry
	process  readiness
}

func (*telemetryServer) Name() string { return "telemetry" }

func (*telemetryServer) Ready() error { return nil }

func (t *telemetryServer) Run(ctx context.Context) error {
	return telemetry.Serve(ctx, t.listener, telemetry.Handler(t.registry, t.process.ready, t.process.pending))
}
