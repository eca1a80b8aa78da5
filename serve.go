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
		all = append([]lifecycle.Component{&telemetryServer{l, reg, components}}, components...)
	}
	return lifecycle.Run(p.ctx, drainTime, p.log, all...)
}

// telemetryServer shows what the other components of the process are doing.
type telemetryServer struct {
	listener   net.Listener
	registry   *prometheus.Registry
	components []lifecycle.Component
}

func (*telemetryServer) Name() string { return "telemetry" }

func (*telemetryServer) Ready() error { return nil }

func (t *telemetryServer) Run(ctx context.Context) error {
	return telemetry.Serve(ctx, t.listener, telemetry.Handler(t.registry,
		func() error { return lifecycle.NotReady(t.components...) },
		func() error { return lifecycle.Pending(t.components...) },
	))
}
