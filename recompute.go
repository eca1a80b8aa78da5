package main

import (
	"fmt"

	"github.com/creditstream/creditstream/consumer/verify"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// recomputer decides again what a prediction says was decided, from what it
// carries and what stands on the models and routes topics. It serves one
// goroutine.
type recomputer struct {
	unrouted []byte // the bundle that served where a prediction names no route
	read     func() (*release.History, error)
	archive  *release.Archive
	newest   int64 // revision that was looked for in the topics, -1 without one

	sets   map[served]*release.LiveSet // nil where it cannot be had here
	scorer *scorer.Scorer
	app    [1]schemas.Application
	out    [1]schemas.Prediction
}

// served is what decided a prediction, as it says.
type served struct {
	model    string
	revision int64
	policy   string
	engine   string
}

// newRecomputer takes the bundle that served without a route, shipped or a file,
// and what read says of the others. read is called again when a prediction names
// a route that came after.
func newRecomputer(name string, read func() (*release.History, error)) (*recomputer, error) {
	bundle, err := modelFlags{Model: name}.bundle()
	if err != nil {
		return nil, err
	}
	r := &recomputer{unrouted: bundle, read: read, newest: -1, scorer: scorer.New()}
	return r, r.load()
}

func (r *recomputer) load() error {
	history, err := r.read()
	if err != nil {
		return err
	}
	r.archive, err = release.NewArchive(history, r.unrouted)
	if err != nil {
		return fmt.Errorf("--model: %w", err)
	}
	r.sets = map[served]*release.LiveSet{}
	if c := history.Current(); c != nil {
		r.newest = max(r.newest, c.Number)
	}
	return nil
}

// recompute is verify.Config's.
func (r *recomputer) recompute(p *schemas.Prediction) (schemas.Prediction, error) {
	if p.RouteRevision > r.newest {
		r.newest = p.RouteRevision // one that is not there is not looked for twice
		if err := r.load(); err != nil {
			return schemas.Prediction{}, err
		}
	}
	key := served{p.ModelVersion, p.RouteRevision, p.PolicyVersion, p.Engine}
	set, tried := r.sets[key]
	if !tried {
		// Whatever is wrong, it cannot be computed again here, which verify counts.
		set, _ = r.archive.Set(key.model, key.revision, key.policy, key.engine)
		r.sets[key] = set
	}
	if set == nil {
		return schemas.Prediction{}, verify.ErrUnreproducible
	}
	r.app[0] = schemas.Application{ApplicationID: p.ApplicationID, AppliedAt: p.AppliedAt, Features: p.Features}
	if err := r.scorer.Decide(set, p.Channel, p.DecidedAt, r.app[:], r.out[:]); err != nil {
		return schemas.Prediction{}, err
	}
	r.out[0].Route = p.Route // the set is of the one model that decided, whichever its role was
	return r.out[0], nil
}
