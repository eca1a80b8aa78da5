// Package scorer turns applications into explained decisions. It is pure: no
// input or output, no clock.
package scorer

import (
	"errors"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Scorer decides applications. It keeps scratch memory, so a Scorer serves one
// goroutine at a time.
type Scorer struct {
	rows    []float32
	results []model.Result
	shadow  []model.Result
	at      []int // index of each application, champion's first, then canary's
}

// New returns a Scorer.
func New() *Scorer { return &Scorer{} }

// Decide writes a prediction for every application into out, which has the same
// length and whose slices are reused. All are decided under one live set, in one
// channel, at one instant.
func (s *Scorer) Decide(set *model.LiveSet, channel string, at schemas.Timestamp, apps []schemas.Application, out []schemas.Prediction) error {
	if len(apps) != len(out) {
		return errors.New("scorer: as many predictions as applications are needed")
	}
	n := len(apps)
	if cap(s.results) < n {
		s.rows = make([]float32, n*model.NumInputs)
		s.results = make([]model.Result, n)
		s.at = make([]int, n)
	}
	s.rows, s.results, s.at = s.rows[:n*model.NumInputs], s.results[:n], s.at[:n]
	champions := s.split(set, apps)
	for k, i := range s.at {
		apps[i].Features.Row(s.rows[k*model.NumInputs:])
	}
	if err := evaluate(set.Champion, s.rows, s.results, 0, champions); err != nil {
		return err
	}
	if champions < n {
		if err := evaluate(set.Canary, s.rows, s.results, champions, n); err != nil {
			return err
		}
	}
	if set.Shadow != nil {
		if cap(s.shadow) < n {
			s.shadow = make([]model.Result, n)
		}
		s.shadow = s.shadow[:n]
		if err := evaluate(set.Shadow, s.rows, s.shadow, 0, n); err != nil {
			return err
		}
	}
	for k, i := range s.at {
		served, route := set.Champion, schemas.RouteChampion
		if k >= champions {
			served, route = set.Canary, schemas.RouteCanary
		}
		a, p, result := &apps[i], &out[i], &s.results[k]
		decision, prediction := set.Policy.Decide(result.Probability, served.Missing(&a.Features))
		*p = schemas.Prediction{
			ApplicationID: a.ApplicationID, AppliedAt: a.AppliedAt, DecidedAt: at, Channel: channel,
			DefaultProbability: result.Probability, DefaultPrediction: prediction, Decision: decision,
			Points: set.Policy.ScorecardPoints(result.Probability), Reasons: adverse(p.Reasons[:0], served.Groups, result),
			ModelVersion: served.Version, Engine: served.Engine, Route: route, RouteRevision: set.Revision,
			PolicyVersion: set.Policy.Version, Features: a.Features,
		}
		if set.Shadow != nil {
			decision, _ := set.Policy.Decide(s.shadow[k].Probability, set.Shadow.Missing(&a.Features))
			p.Shadow = &schemas.Shadow{ModelVersion: set.Shadow.Version, DefaultProbability: s.shadow[k].Probability, Decision: decision}
		}
	}
	return nil
}

// split orders the applications in s.at, the champion's before the canary's, and
// returns how many are the champion's.
func (s *Scorer) split(set *model.LiveSet, apps []schemas.Application) (champions int) {
	end, split := len(apps), set.Split()
	for i := range apps {
		if split.IsCanary(apps[i].ApplicationID) {
			end--
			s.at[end] = i
		} else {
			s.at[champions] = i
			champions++
		}
	}
	return champions
}

func evaluate(m *model.Model, rows []float32, results []model.Result, from, to int) error {
	if from == to {
		return nil
	}
	return m.Evaluate(rows[from*model.NumInputs:to*model.NumInputs], results[from:to])
}

// adverse appends the reason groups that moved the decision most towards
// default, largest first, at most schemas.MaxReasons. Equal ones keep the
// manifest's order.
func adverse(dst []schemas.Reason, groups []model.Group, r *model.Result) []schemas.Reason {
	for g := range groups {
		c := r.Groups[g]
		if !(c > 0) {
			continue
		}
		k := len(dst)
		for k > 0 && dst[k-1].Contribution < c {
			k--
		}
		if k == schemas.MaxReasons {
			continue
		}
		if len(dst) < schemas.MaxReasons {
			dst = append(dst, schemas.Reason{})
		}
		copy(dst[k+1:], dst[k:])
		dst[k] = schemas.Reason{Code: groups[g].Code, Contribution: c}
	}
	return dst
}
