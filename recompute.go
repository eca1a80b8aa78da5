package main

import (
	"context"
	"fmt"

	"github.com/creditstream/creditstream/consumer/verify"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// recomputer decides again what a prediction says was decided, from what it
// carries. It serves one goroutine.
type recomputer struct {
	archive *release.Archive
	scorer  *scorer.Scorer
	app     [1]schemas.Application
	out     [1]schemas.Prediction
}

// newRecomputer reads models and routes to their ends. unrouted are bundles
// that may have served without a route.
func newRecomputer(ctx context.Context, c kafka.Config, topics schemas.Topics, unrouted ...[]byte) (*recomputer, error) {
	history, err := release.ReadAll(ctx, c, topics)
	if err != nil {
		return nil, err
	}
	archive, err := release.NewArchive(history, unrouted...)
	if err != nil {
		return nil, fmt.Errorf("the bundle that served without a route: %w", err)
	}
	return &recomputer{archive: archive, scorer: scorer.New()}, nil
}

// recompute is verify.Config's.
func (r *recomputer) recompute(p *schemas.Prediction) (schemas.Prediction, error) {
	set, err := r.archive.Set(p.ModelVersion, p.RouteRevision, p.PolicyVersion, p.Engine)
	if err != nil {
		// Whatever is missing, the model, its route or the engine in this build: the
		// decision cannot be made again here, which is counted.
		return schemas.Prediction{}, fmt.Errorf("%w: %w", verify.ErrUnreproducible, err)
	}
	r.app[0] = schemas.Application{ApplicationID: p.ApplicationID, AppliedAt: p.AppliedAt, Features: p.Features}
	if err := r.scorer.Decide(set, p.Channel, p.DecidedAt, r.app[:], r.out[:]); err != nil {
		return schemas.Prediction{}, err
	}
	return r.out[0], nil
}
