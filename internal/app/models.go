package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
)

// Models says which models a process serves, and how.
type Models struct {
	Engine string // that computes probabilities: model.EngineAuto, …Native or …ONNX
	Bundle []byte // that serves while no route exists; nil: none
	Name   string // of the bundle, in errors
}

// follower follows models and routes, for all components that serve them.
func (s *Services) follower() (*release.Follower, error) {
	if s.models != nil {
		return s.models, nil
	}
	models, err := release.NewFollower(release.Config{
		Kafka: s.Client("models"), Topics: s.topics, Engine: s.config.Models.Engine, Fallback: s.config.Models.Bundle,
		Log: s.log, Registerer: s.reg, Known: s.knownRoute,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.config.Models.Name, err)
	}
	s.models, s.all = models, append(s.all, models)
	return models, nil
}

// knownRoute is the highest route revision that a replica has reported, and which
// did. Who may not read what they report knows of none.
func (s *Services) knownRoute(ctx context.Context) (int64, string, error) {
	log, err := reports.OpenLog(ctx, s.Client("models"), s.topics)
	_, missing := errors.AsType[*kafka.MissingTopicsError](err)
	_, denied := errors.AsType[*kafka.AccessError](err)
	switch {
	case missing || denied:
		s.log.Warn("whether a route served before is not known", "error", err)
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

// servedModels is what a follower serves, as it is reported.
func servedModels(f *release.Follower) *schemas.ReplicaModels {
	status := f.Status()
	m := &schemas.ReplicaModels{RouteRevision: -1, NewestRevision: status.Newest, Pending: status.Pending}
	if live := f.Live(); live != nil {
		m.RouteRevision, m.Champion = live.Revision, live.Champion.Version
		if live.Canary != nil {
			m.Canary = live.Canary.Version
		}
		if live.Shadow != nil {
			m.Shadow = live.Shadow.Version
		}
	}
	for _, r := range status.Refused {
		m.Refused = append(m.Refused, schemas.Refusal{ModelVersion: r.Version, Reason: r.Reason})
	}
	return m
}
