package main

import (
	"fmt"

	"github.com/creditstream/creditstream/consumer/verify"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// recomputer decides again what a prediction says was decided, from what it
// carries. It serves one goroutine.
type recomputer struct {
	bundle  []byte                      // served where a prediction names no route
	version string                      // of that bundle
	sets    map[string]*release.LiveSet // by engine; nil where the engine cannot be had
	scorer  *scorer.Scorer
	app     [1]schemas.Application
	out     [1]schemas.Prediction
}

// newRecomputer opens the bundle that served without a route: shipped, or a file.
func newRecomputer(name string) (*recomputer, error) {
	bundle, err := modelFlags{Model: name}.bundle()
	if err != nil {
		return nil, err
	}
	r := &recomputer{bundle: bundle, sets: map[string]*release.LiveSet{}, scorer: scorer.New()}
	set, err := release.Fixed(bundle, model.EngineNative, schemas.DefaultPolicyText)
	if err != nil {
		return nil, fmt.Errorf("--model %s: %w", name, err)
	}
	r.version, r.sets[model.EngineNative] = set.Champion.Version, set
	return r, nil
}

func (r *recomputer) close() {
	for _, set := range r.sets {
		if set != nil {
			set.Champion.Close()
		}
	}
}

// recompute is verify.Config's.
func (r *recomputer) recompute(p *schemas.Prediction) (schemas.Prediction, error) {
	set := r.live(p)
	if set == nil {
		return schemas.Prediction{}, verify.ErrUnreproducible
	}
	r.app[0] = schemas.Application{ApplicationID: p.ApplicationID, AppliedAt: p.AppliedAt, Features: p.Features}
	if err := r.scorer.Decide(set, p.Channel, p.DecidedAt, r.app[:], r.out[:]); err != nil {
		return schemas.Prediction{}, err
	}
	return r.out[0], nil
}

// live is what served when a prediction was made; nil where it is not known.
func (r *recomputer) live(p *schemas.Prediction) *release.LiveSet {
	if p.RouteRevision >= 0 || p.ModelVersion != r.version {
		return nil
	}
	set, tried := r.sets[p.Engine]
	if !tried {
		// A build without ONNX Runtime lacks one engine: the error says only that.
		set, _ = release.Fixed(r.bundle, p.Engine, schemas.DefaultPolicyText)
		r.sets[p.Engine] = set
	}
	if set == nil || p.PolicyVersion != set.Policy.Version {
		return nil
	}
	return set
}
