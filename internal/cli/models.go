package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/replica/reports"
)

// newFollower follows models and routes from the flags' starting point.
func newFollower(p *process, k *flags.Kafka, f flags.Model, reg prometheus.Registerer) (*release.Follower, error) {
	fallback, err := f.Read()
	if err != nil {
		return nil, err
	}
	follower, err := release.NewFollower(release.Config{
		Kafka: k.Config(p.log).For("models"), Topics: k.Topics(), Engine: f.Engine, Fallback: fallback,
		Log: p.log, Registerer: reg,
		Known: func(ctx context.Context) (int64, string, error) { return knownRoute(ctx, p, k) },
	})
	if err != nil {
		return nil, fmt.Errorf("--model %s: %w", f.Bundle, err)
	}
	return follower, nil
}

// knownRoute is the highest route revision that a replica has reported, and which
// did. Who may not read what they report knows of none.
func knownRoute(ctx context.Context, p *process, k *flags.Kafka) (int64, string, error) {
	log, err := reports.OpenLog(ctx, k.Config(p.log).For("models"), k.Topics())
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
