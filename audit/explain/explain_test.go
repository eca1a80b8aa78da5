package explain

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// applicant has features that are somewhat late and somewhat missing.
func applicant(late int32, missing ...int) (f schemas.Features) {
	for k, rule := range schemas.FeatureRules {
		f[k] = max(rule.Min, 0) + 1
	}
	f[0] = 50_000
	for k := 5; k < 11; k++ {
		f[k] = late
	}
	for k := 11; k < 17; k++ {
		f[k] = 20_000
	}
	for _, k := range missing {
		f[k] = schemas.Missing
	}
	return f
}

// subject is a recorded decision on an applicant, with a shadow.
func subject(t *testing.T, f schemas.Features) *Subject {
	set, err := model.Fixed(shipped.Bundle, model.EngineNative, policy.DefaultText)
	require.NoError(t, err)
	return decided(t, *set, f)
}

// decided is a recorded decision of a set that is its own shadow.
func decided(t *testing.T, set model.LiveSet, f schemas.Features) *Subject {
	serving := set
	serving.Shadow = set.Champion
	serving.Revision = 3
	set.Revision = 3
	app := []schemas.Application{{ApplicationID: "A-1", AppliedAt: 5, Features: f}}
	out := make([]schemas.Prediction, 1)
	require.NoError(t, scorer.New().Decide(&serving, schemas.ChannelAPI, 7, app, out))
	return &Subject{
		Source: schemas.Source{Topic: "t.predictions", Partition: 3, Offset: 918}, Recorded: out[0], Set: &set, Shadow: set.Champion,
		Route: &schemas.Route{Champion: "v1", Canary: &schemas.Canary{ModelVersion: "v2", Share: 0.1}, By: "ann", Why: "try"},
	}
}

func TestADecisionComesOutTheSameAndAddsUp(t *testing.T) {
	set, err := model.Fixed(shipped.Bundle, model.EngineNative, policy.DefaultText)
	require.NoError(t, err)
	for late := int32(-2); late < 9; late++ {
		for _, missing := range [][]int{nil, {0, 5}, {0, 5, 11, 17}} {
			s := decided(t, *set, applicant(late, missing...))
			e, err := Explain(s)
			require.NoError(t, err)
			require.Equal(t, Reproduction{Exact, model.EngineNative, []Difference{}}, e.Reproduction)
			require.Equal(t, Exact, e.Shadow.Reproduced)
			require.True(t, e.Shadow.Agrees)

			groups, inputs := 0.0, 0.0
			given := 0
			for i, g := range e.Groups {
				groups += float64(g.Contribution)
				sum := 0.0
				for k, in := range g.Inputs {
					sum += in.Contribution
					require.True(t, k == 0 || in.Contribution <= g.Inputs[k-1].Contribution)
				}
				inputs += sum
				require.InDelta(t, sum, g.Contribution, model.ContributionTolerance)
				require.True(t, i == 0 || g.Contribution <= e.Groups[i-1].Contribution)
				if g.Reason {
					given++
				}
			}
			require.Len(t, s.Recorded.Reasons, given)
			require.InDelta(t, e.Score.Contributions, inputs, 1e-12)
			require.InDelta(t, e.Score.LogOdds, e.Score.Base+inputs, 1e-5)
			require.InDelta(t, e.Score.LogOdds, e.Score.Base+groups, 1e-5)
			require.InDelta(t, e.Score.Probability, 1/(1+math.Exp(-float64(e.Score.LogOdds))), 1e-6)

			decides := 0
			for _, step := range e.Policy.Steps {
				if step.Decides {
					decides++
					require.True(t, strings.HasSuffix(step.Says, ": "+s.Recorded.Decision) || strings.Contains(step.Says, ": "+s.Recorded.Decision+","), step.Says)
				}
				require.Contains(t, policy.DefaultText, step.Line)
			}
			require.Equal(t, 1, decides)
			require.Len(t, e.Features, schemas.NumFeatures)
			used := 0
			for k, one := range e.Features {
				require.Equal(t, s.Recorded.Features[k] == schemas.Missing, one.Value == nil)
				if one.Used {
					used++
				}
			}
			require.Equal(t, 20, used)
			require.Equal(t, "t.predictions/3/918", e.Source)
		}
	}
}

func TestEveryFieldThatDiffersIsNamed(t *testing.T) {
	set, err := model.Fixed(shipped.Bundle, model.EngineNative, policy.DefaultText)
	require.NoError(t, err)
	f := func(field, result string, change func(p *schemas.Prediction)) {
		t.Helper()
		s := decided(t, *set, applicant(3))
		change(&s.Recorded)
		e, err := Explain(s)
		require.NoError(t, err)
		require.Equal(t, result, e.Reproduction.Result)
		require.Len(t, e.Reproduction.Differences, 1)
		require.Equal(t, field, e.Reproduction.Differences[0].Field)
		require.NotEqual(t, e.Reproduction.Differences[0].Recorded, e.Reproduction.Differences[0].Again)
		require.Equal(t, result == Near, e.Reproduction.Differences[0].Near)
	}
	f("default_probability", Differs, func(p *schemas.Prediction) { p.DefaultProbability += 0.001 })
	f("default_probability", Near, func(p *schemas.Prediction) {
		p.DefaultProbability = math.Nextafter32(p.DefaultProbability, 1)
	})
	f("default_prediction", Differs, func(p *schemas.Prediction) { p.DefaultPrediction ^= 1 })
	f("decision", Differs, func(p *schemas.Prediction) { p.Decision = schemas.Approve })
	f("points", Differs, func(p *schemas.Prediction) { p.Points++ })
	f("reasons", Differs, func(p *schemas.Prediction) { p.Reasons = p.Reasons[1:] })
	f("policy_version", Differs, func(p *schemas.Prediction) { p.PolicyVersion = "x" })
	f("model_version", Differs, func(p *schemas.Prediction) { p.ModelVersion = "x" })
	s := decided(t, *set, applicant(3))
	code := s.Recorded.Reasons[0].Code
	f("reasons."+code, Near, func(p *schemas.Prediction) { p.Reasons[0].Contribution += 1e-6 })
	f("reasons."+code, Differs, func(p *schemas.Prediction) { p.Reasons[0].Contribution += 1e-3 })
}

func TestTheShadowIsMadeAgainToo(t *testing.T) {
	f := func(reproduced string, change func(s *Subject)) *Explanation {
		t.Helper()
		s := subject(t, applicant(3))
		change(s)
		e, err := Explain(s)
		require.NoError(t, err)
		require.Contains(t, e.Shadow.Reproduced, reproduced)
		return e
	}
	f(Differs, func(s *Subject) { s.Recorded.Shadow.DefaultProbability = 0 })
	f(Near, func(s *Subject) {
		s.Recorded.Shadow.DefaultProbability = math.Nextafter32(s.Recorded.Shadow.DefaultProbability, 1)
	})
	require.False(t, f(Differs, func(s *Subject) { s.Recorded.Shadow.Decision = schemas.Approve }).Shadow.Agrees)
	f("unknown: it is gone", func(s *Subject) { s.Shadow, s.NoShadow = nil, "it is gone" })
	s := subject(t, applicant(3))
	s.Shadow = nil
	_, err := Explain(s)
	require.Error(t, err)
	s.Recorded.Shadow = nil
	e, err := Explain(s)
	require.NoError(t, err)
	require.Nil(t, e.Shadow)
}

func TestTheRouteSaysWhyTheCanaryDecided(t *testing.T) {
	s := subject(t, applicant(3))
	e, err := Explain(s)
	require.NoError(t, err)
	split := model.Split{Canary: "v2"}
	require.Equal(t, Route{Revision: 3, Role: schemas.RouteChampion, Champion: "v1", By: "ann", Why: "try", Canary: "v2", Share: 0.1, Bucket: float64(split.Bucket("A-1")) / model.ShareScale}, e.Route)
	s.Route = nil
	s.Recorded.RouteRevision, s.Set.Revision = -1, -1
	e, err = Explain(s)
	require.NoError(t, err)
	require.Equal(t, Route{Revision: -1, Role: schemas.RouteChampion}, e.Route)
}

func TestAnExplanationIsReadable(t *testing.T) {
	s := subject(t, applicant(3, 0))
	e, err := Explain(s)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, e.Print(&out))
	for _, want := range []string{
		"the same, bit for bit", "A-1", "t.predictions/3/918", "RECENT_DELAY", "(a reason given)", "base", "log-odds", "decline_from: 0.45",
		"▶", "canary v2: its share 0.1", "limit_bal", "missing", "the model does not read it", "The shadow, ", "would have decided alike",
	} {
		require.Contains(t, out.String(), want)
	}
	s.Recorded.Points++
	e, err = Explain(s)
	require.NoError(t, err)
	out.Reset()
	require.NoError(t, e.Print(&out))
	require.Contains(t, out.String(), "NOT the same")
	require.Contains(t, out.String(), "points: recorded ")
}
