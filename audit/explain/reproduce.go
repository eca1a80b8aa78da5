package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// How a decision that was made again compares with the recorded one.
const (
	Exact   = "exact"   // bit for bit
	Near    = "near"    // within what two engines or processors may differ by
	Differs = "differs" // it is another decision
)

// Reproduction says whether the decision comes out again.
type Reproduction struct {
	Result      string       `json:"result"` // exact, near or differs
	Engine      string       `json:"engine"` // on which it was made again: the decision's may not be at hand
	Differences []Difference `json:"differences"`
}

// Difference is a field that came out otherwise.
type Difference struct {
	Field    string `json:"field"`
	Recorded string `json:"recorded"`
	Again    string `json:"again"`
	Near     bool   `json:"near"` // within tolerance
	// Why a difference is near that is not one of two numbers alone; "" otherwise.
	Why string `json:"why,omitempty"`
}

// reproduce compares a decision with the one made again, under one policy. missing is
// how many of the model's inputs are.
//
// Engines agree on a probability to model.ProbabilityTolerance. Where a cut-off lies
// between their two values each decides otherwise, and rightly: what the policy makes
// of the recorded probability is then what was recorded.
func reproduce(p, again *schemas.Prediction, under *policy.Policy, missing int) Reproduction {
	r := Reproduction{Result: Exact, Engine: again.Engine, Differences: []Difference{}}
	differ := func(field, recorded, now string, near bool, why string) {
		r.Differences = append(r.Differences, Difference{field, recorded, now, near, why})
		if !near {
			r.Result = Differs
		} else if r.Result == Exact {
			r.Result = Near
		}
	}
	text := func(field, recorded, now string) {
		if recorded != now {
			differ(field, recorded, now, false, "")
		}
	}
	number := func(field string, recorded, now float32, tolerance float64) {
		if recorded != now {
			differ(field, float(recorded), float(now), near(recorded, now, tolerance), "")
		}
	}
	alike := near(p.DefaultProbability, again.DefaultProbability, model.ProbabilityTolerance)
	followed := func(field, recorded, now, follows string) {
		switch {
		case recorded == now:
		case alike && recorded == follows:
			differ(field, recorded, now, true, onTheEdge(under, p.DefaultProbability, again.DefaultProbability))
		default:
			differ(field, recorded, now, false, "")
		}
	}
	decision, prediction := under.Decide(p.DefaultProbability, missing)
	points := under.ScorecardPoints(p.DefaultProbability)
	number("default_probability", p.DefaultProbability, again.DefaultProbability, model.ProbabilityTolerance)
	followed("default_prediction", strconv.Itoa(int(p.DefaultPrediction)), strconv.Itoa(int(again.DefaultPrediction)), strconv.Itoa(int(prediction)))
	followed("decision", p.Decision, again.Decision, decision)
	followed("points", strconv.Itoa(int(p.Points)), strconv.Itoa(int(again.Points)), strconv.Itoa(int(points)))
	text("model_version", p.ModelVersion, again.ModelVersion)
	text("policy_version", p.PolicyVersion, again.PolicyVersion)
	if codes, now := codesOf(p.Reasons), codesOf(again.Reasons); codes != now {
		differ("reasons", codes, now, false, "")
		return r
	}
	for i := range p.Reasons {
		number("reasons."+p.Reasons[i].Code, p.Reasons[i].Contribution, again.Reasons[i].Contribution, model.ContributionTolerance)
	}
	return r
}

// onTheEdge says what lies between two probabilities that are alike.
func onTheEdge(under *policy.Policy, a, b float32) string {
	if cut := under.CutOffBetween(a, b); cut != "" {
		return fmt.Sprintf("within %g of the cut-off %s", model.ProbabilityTolerance, cut)
	}
	return fmt.Sprintf("within %g of where points are rounded", model.ProbabilityTolerance)
}

func near(a, b float32, tolerance float64) bool { return math.Abs(float64(a)-float64(b)) <= tolerance }

func float(v float32) string { return strconv.FormatFloat(float64(v), 'g', -1, 32) }

func codesOf(reasons []schemas.Reason) string {
	codes := make([]string, len(reasons))
	for i := range reasons {
		codes[i] = reasons[i].Code
	}
	return fmt.Sprint(codes)
}

// byContribution sorts what moved most towards default first.
func byContribution[T any](all []T, of func(T) float64) {
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Compare(of(b), of(a)) })
}
