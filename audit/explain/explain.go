// Package explain makes a decision again and takes it apart: what every feature
// moved, how log-odds became a probability and points, and which lines of the policy
// decided.
package explain

import (
	"errors"
	"math"
	"time"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// Explanation is a decision taken apart.
type Explanation struct {
	ApplicationID string            `json:"application_id"`
	Source        string            `json:"source"` // topic/partition/offset of the prediction
	AppliedAt     schemas.Timestamp `json:"applied_at"`
	DecidedAt     schemas.Timestamp `json:"decided_at"`
	Channel       string            `json:"channel"`

	Reproduction Reproduction `json:"reproduction"`
	Model        Model        `json:"model"`
	Route        Route        `json:"route"`
	Score        Score        `json:"score"`
	Groups       []Group      `json:"groups"`   // largest towards default first
	Features     []Feature    `json:"features"` // as handed in, in the contract's order
	Policy       Policy       `json:"policy"`
	Shadow       *Shadow      `json:"shadow"` // null where none ran
}

// Model is the model that decided.
type Model struct {
	Version   string    `json:"version"`
	Digest    string    `json:"digest"`
	Engine    string    `json:"engine"` // that decided, as recorded
	CreatedAt time.Time `json:"created_at"`
}

// Route is the route that served.
type Route struct {
	Revision int64  `json:"revision"` // -1: none
	Role     string `json:"role"`     // champion or canary
	Champion string `json:"champion,omitempty"`
	By       string `json:"by,omitempty"`
	Why      string `json:"why,omitempty"`
	// Where there was a canary: it decides an application whose bucket is below its
	// share, both 0 … 1. A bucket of 0 is left out.
	Canary string  `json:"canary,omitempty"`
	Share  float64 `json:"canary_share,omitempty"`
	Bucket float64 `json:"canary_bucket,omitempty"`
}

// Score is how the contributions become points.
type Score struct {
	Base          float64 `json:"base"`          // log-odds, the mean over the training rows
	Contributions float64 `json:"contributions"` // their sum
	LogOdds       float32 `json:"log_odds"`
	Probability   float32 `json:"default_probability"`
	Points        int32   `json:"points"`
}

// Group is a reason group and what its inputs moved.
type Group struct {
	Code         string  `json:"code"`
	Text         string  `json:"text"`
	Contribution float32 `json:"contribution"` // log-odds, above 0 towards default
	Reason       bool    `json:"reason"`       // it is among the reasons given
	Inputs       []Input `json:"inputs"`       // largest towards default first
}

// Input is what the trees read: a feature as handed in, an imputed or an engineered
// one.
type Input struct {
	Name         string   `json:"name"`
	Value        *float32 `json:"value"` // null: no tree asks for it
	Contribution float64  `json:"contribution"`
}

// Feature is a feature as it was handed in.
type Feature struct {
	Name  string `json:"name"`
	Value *int32 `json:"value"` // null: missing
	Used  bool   `json:"used"`  // the model reads it
}

// Shadow is what the shadow model said.
type Shadow struct {
	ModelVersion string  `json:"model_version"`
	Probability  float32 `json:"default_probability"`
	Decision     string  `json:"decision"`
	Agrees       bool    `json:"agrees"` // it would have decided alike
	Reproduced   string  `json:"reproduced"`
}

// Explain makes the decision again and takes it apart.
func Explain(s *Subject) (*Explanation, error) {
	p := &s.Recorded
	var out [1]schemas.Prediction
	app := [1]schemas.Application{{ApplicationID: p.ApplicationID, AppliedAt: p.AppliedAt, Features: p.Features}}
	if err := scorer.New().Decide(s.Set, p.Channel, p.DecidedAt, app[:], out[:]); err != nil {
		return nil, err
	}
	again := &out[0]
	again.Route = p.Route // the set is of the one model that decided, whichever its role was
	var row [model.NumInputs]float32
	p.Features.Row(row[:])
	shadow, err := s.shadow(row[:])
	if err != nil {
		return nil, err
	}
	m := s.Set.Champion
	e := &Explanation{
		ApplicationID: p.ApplicationID, Source: s.Source.String(), AppliedAt: p.AppliedAt, DecidedAt: p.DecidedAt, Channel: p.Channel,
		Reproduction: reproduce(p, again, s.Set.Policy, m.Missing(&p.Features)),
		Model:        Model{m.Version, m.Digest, p.Engine, m.Manifest.CreatedAt},
		Route:        s.route(), Features: features(m, &p.Features), Shadow: shadow,
	}
	shown := again
	if e.Reproduction.Result == Near { // what was decided is what is explained
		shown = p
	}
	e.Policy = steps(s.Set.Policy, m, shown)
	if err := e.score(m, row[:], shown); err != nil {
		return nil, err
	}
	return e, nil
}

func (s *Subject) route() Route {
	r := Route{Revision: s.Recorded.RouteRevision, Role: s.Recorded.Route}
	if s.Route == nil {
		return r
	}
	r.Champion, r.By, r.Why = s.Route.Champion, s.Route.By, s.Route.Why
	if c := s.Route.Canary; c != nil {
		r.Canary, r.Share = c.ModelVersion, c.Share
		split := model.Split{Canary: c.ModelVersion}
		r.Bucket = float64(split.Bucket(s.Recorded.ApplicationID)) / model.ShareScale
	}
	return r
}

// score fills in how the model came to its probability.
func (e *Explanation) score(m *model.Model, row []float32, p *schemas.Prediction) error {
	var result [1]model.Result
	if err := m.Evaluate(row, result[:]); err != nil {
		return err
	}
	contributions, err := m.Contributions(row)
	if err != nil {
		return err
	}
	read, err := m.TreeRow(row)
	if err != nil {
		return err
	}
	e.Score = Score{
		Base: m.Manifest.ExpectedValue, LogOdds: result[0].LogOdds,
		Probability: p.DefaultProbability, Points: p.Points,
	}
	groups := make([]Group, len(m.Groups))
	for g := range groups {
		groups[g] = Group{Code: m.Groups[g].Code, Text: m.Groups[g].Text, Contribution: result[0].Groups[g], Inputs: []Input{}}
		for _, r := range p.Reasons {
			groups[g].Reason = groups[g].Reason || r.Code == groups[g].Code
		}
	}
	for i, c := range contributions {
		e.Score.Contributions += c.Value
		in := Input{Name: c.Input, Contribution: c.Value}
		if v := read[i]; !math.IsNaN(float64(v)) {
			in.Value = &v
		}
		for g := range groups {
			if groups[g].Code == c.Group {
				groups[g].Inputs = append(groups[g].Inputs, in)
			}
		}
	}
	for g := range groups {
		byContribution(groups[g].Inputs, func(in Input) float64 { return in.Contribution })
	}
	byContribution(groups, func(g Group) float64 { return float64(g.Contribution) })
	e.Groups = groups
	return nil
}

// features are the features as they were handed in.
func features(m *model.Model, f *schemas.Features) []Feature {
	out := make([]Feature, len(f))
	for i := range f {
		out[i].Name = schemas.FeatureRules[i].Name
		if v := f[i]; v != schemas.Missing {
			out[i].Value = &v
		}
	}
	for _, i := range m.Inputs {
		out[i].Used = true
	}
	return out
}

// shadow is what the shadow said, and whether it says so again.
func (s *Subject) shadow(row []float32) (*Shadow, error) {
	p := s.Recorded.Shadow
	if p == nil {
		return nil, nil
	}
	out := &Shadow{
		ModelVersion: p.ModelVersion, Probability: p.DefaultProbability, Decision: p.Decision,
		Agrees: p.Decision == s.Recorded.Decision, Reproduced: Exact,
	}
	if s.Shadow == nil {
		if s.NoShadow == "" {
			return nil, errors.New("explain: a subject whose shadow is not there says why")
		}
		out.Reproduced = "unknown: " + s.NoShadow
		return out, nil
	}
	var result [1]model.Result
	if err := s.Shadow.Evaluate(row, result[:]); err != nil {
		return nil, err
	}
	// Of the recorded probability: a cut-off may lie between two that are alike.
	decision, _ := s.Set.Policy.Decide(p.DefaultProbability, s.Shadow.Missing(&s.Recorded.Features))
	switch {
	case decision != p.Decision || !near(p.DefaultProbability, result[0].Probability, model.ProbabilityTolerance):
		out.Reproduced = Differs
	case p.DefaultProbability != result[0].Probability:
		out.Reproduced = Near
	}
	return out, nil
}
