// Package recompute decides again what a prediction says was decided, from what it
// carries and from the models, routes and policies of the past.
package recompute

import (
	"fmt"
	"math"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// Past is what decided until now; release.Archive is one.
type Past interface {
	// Set is the live set that decided under a route revision, -1 for none, with one of
	// its models, which is its champion here, and on the engine named.
	Set(modelVersion string, revision int64, policyVersion, engine string) (*model.LiveSet, error)
}

// MissingError is that of a prediction whose model, route, policy or engine is not at
// hand.
type MissingError struct {
	Why string // without what varies from prediction to prediction
}

func (e *MissingError) Error() string { return "the decision cannot be made again: " + e.Why }

// Recomputer decides again. It serves one goroutine.
type Recomputer struct {
	read   func() (Past, int64, error)
	past   Past
	newest int64 // revision that was looked for, -1 without one

	sets   map[served]*model.LiveSet
	lacks  map[served]*MissingError // what cannot be had here
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

// New decides again with what read returns: the past, and the number of its newest
// route, -1 without one. It is read at once, and again when a prediction names a route
// that came after.
func New(read func() (past Past, newest int64, err error)) (*Recomputer, error) {
	r := &Recomputer{read: read, newest: -1, scorer: scorer.New()}
	return r, r.load()
}

func (r *Recomputer) load() error {
	past, newest, err := r.read()
	if err != nil {
		return err
	}
	r.past, r.newest = past, max(r.newest, newest)
	r.sets, r.lacks = map[served]*model.LiveSet{}, map[served]*MissingError{}
	return nil
}

// Decide makes a prediction's decision again. It keeps neither the prediction nor its
// result. Its error is a *MissingError where that cannot be done here.
func (r *Recomputer) Decide(p *schemas.Prediction) (schemas.Prediction, error) {
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
func (r *Recomputer) open(key served) {
	set, err := r.past.Set(key.model, key.revision, key.policy, key.engine)
	if err == nil {
		r.sets[key] = set
		return
	}
	if key.engine == model.EngineONNX {
		if _, native := r.past.Set(key.model, key.revision, key.policy, model.EngineNative); native == nil {
			err = fmt.Errorf("the %s engine decided, and only that is missing: %w", key.engine, err)
		}
	}
	r.lacks[key] = &MissingError{Why: err.Error()}
}
