package cli

import (
	"context"
	"fmt"
	"math"

	"github.com/creditstream/creditstream/consumer/verify"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// recomputer decides again what a prediction says was decided, from what it
// carries and what stands on the models and routes topics. It serves one
// goroutine.
type recomputer struct {
	unrouted [][]byte // bundles that may have served without a route
	read     func() (*release.History, error)
	archive  *release.Archive
	newest   int64 // revision that was looked for in the topics, -1 without one

	sets   map[served]*model.LiveSet
	lacks  map[served]*verify.UnreproducibleError // what cannot be had here
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

// newRecomputer reads models and routes to their ends; again when a prediction
// names a route that came after. unrouted are bundles that may have served
// without a route.
func newRecomputer(ctx context.Context, c kafka.Config, topics schemas.Topics, unrouted ...[]byte) (*recomputer, error) {
	r := &recomputer{unrouted: unrouted, newest: -1, scorer: scorer.New(), read: func() (*release.History, error) {
		return release.ReadAll(ctx, c, topics)
	}}
	return r, r.load()
}

func (r *recomputer) load() error {
	history, err := r.read()
	if err != nil {
		return err
	}
	r.archive, err = release.NewArchive(history, r.unrouted...)
	if err != nil {
		return fmt.Errorf("the bundle that served without a route: %w", err)
	}
	r.sets, r.lacks = map[served]*model.LiveSet{}, map[served]*verify.UnreproducibleError{}
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
	if r.sets[key] == nil && r.lacks[key] == nil {
		r.open(key)
	}
	set := r.sets[key]
	if set == nil {
		return schemas.Prediction{}, r.lacks[key]
	}
	r.app[0] = schemas.Application{ApplicationID: p.ApplicationID, AppliedAt: p.AppliedAt, Features: p.Features}
	if err := r.scorer.Decide(set, p.Channel, p.DecidedAt, r.app[:], r.out[:]); err != nil {
		return schemas.Prediction{}, err
	}
	again := &r.out[0]
	again.Route = p.Route // the set is of the one model that decided, whichever its role was
	if math.Abs(float64(again.DefaultProbability)-float64(p.DefaultProbability)) <= model.ProbabilityTolerance {
		// Engines and processors differ by so much. A cut-off may lie between the two: what
		// must hold is that the policy makes of the recorded probability what was recorded.
		again.Decision, again.DefaultPrediction = set.Policy.Decide(p.DefaultProbability, set.Champion.Missing(&p.Features))
		again.Points = set.Policy.ScorecardPoints(p.DefaultProbability)
	}
	return *again, nil
}

// open opens what decided, or notes what cannot be had here: the model, its route or
// the engine in this build.
func (r *recomputer) open(key served) {
	set, err := r.archive.Set(key.model, key.revision, key.policy, key.engine)
	if err == nil {
		r.sets[key] = set
		return
	}
	if key.engine == model.EngineONNX {
		if _, native := r.archive.Set(key.model, key.revision, key.policy, model.EngineNative); native == nil {
			err = fmt.Errorf("the %s engine decided, and only that is missing: %w", key.engine, err)
		}
	}
	r.lacks[key] = &verify.UnreproducibleError{Why: err.Error()}
}
