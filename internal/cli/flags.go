package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
)

// listenFlags say where a component shows /metrics, /healthz and /readyz.
type listenFlags struct {
	Listen string `help:"Where /metrics, /healthz and /readyz are served; empty: nowhere." default:"" placeholder:"HOST:PORT" address:"listen"`
}

// modelFlags say which models a command serves, and how.
type modelFlags struct {
	Engine string `help:"Engine that computes probabilities: ${enum}. auto is native." enum:"auto,native,onnx" default:"auto" group:"Model"`
	Model  string `help:"Bundle that serves while no route exists: shipped, the one inside the binary, or a file." default:"" placeholder:"shipped|FILE" group:"Model"`
}

// follower follows models and routes from the flags' starting point.
func (f modelFlags) follower(p *process, k kafkaFlags, reg prometheus.Registerer) (*release.Follower, error) {
	fallback, err := f.bundle()
	if err != nil {
		return nil, err
	}
	follower, err := release.NewFollower(release.Config{
		Kafka: k.config(p, "models"), Topics: schemas.NewTopics(k.Prefix), Engine: f.Engine, Fallback: fallback,
		Log: p.log, Registerer: reg,
		Known: func(ctx context.Context) (int64, string, error) { return knownRoute(ctx, p, k) },
	})
	if err != nil {
		return nil, fmt.Errorf("--model %s: %w", f.Model, err)
	}
	return follower, nil
}

// knownRoute is the highest route revision that a replica has reported, and which
// did. Who may not read what they report knows of none.
func knownRoute(ctx context.Context, p *process, k kafkaFlags) (int64, string, error) {
	log, err := reports.OpenLog(ctx, k.config(p, "models"), schemas.NewTopics(k.Prefix))
	_, missing := errors.AsType[*kafka.MissingTopicsError](err)
	_, denied := errors.AsType[*kafka.AccessError](err)
	switch {
	case missing || denied:
		p.log.Warn("whether a route served before is not known", "error", err)
		return -1, "", nil
	case err != nil:
		return -1, "", err
	}
	defer log.Close()
	if err := log.ReadToEnd(ctx); err != nil {
		return -1, "", err
	}
	revision, who := log.Board.Routed()
	return revision, who, nil
}

func (f modelFlags) bundle() ([]byte, error) {
	switch f.Model {
	case "":
		return nil, nil
	case "shipped":
		return shipped.Bundle, nil
	}
	b, err := model.ReadFile(f.Model)
	if err != nil {
		return nil, fmt.Errorf("--model: %w", err)
	}
	return b, nil
}
