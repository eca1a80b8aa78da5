package explain

import (
	"fmt"
	"math"
	"strings"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// Policy is the policy and what each of its lines came to.
type Policy struct {
	Version    string `json:"version"`
	Decision   string `json:"decision"`
	Prediction uint8  `json:"default_prediction"`
	Steps      []Step `json:"steps"` // in the order they are asked
}

// Step is one line of the policy.
type Step struct {
	Line    string `json:"line"` // as it stands in the policy's text
	Says    string `json:"says"`
	Decides bool   `json:"decides"` // it made the decision
}

// steps goes through a policy's lines in the order in which it decides.
func steps(rules *policy.Policy, m *model.Model, p *schemas.Prediction) Policy {
	out := Policy{Version: rules.Version, Decision: p.Decision, Prediction: p.DefaultPrediction}
	decided := false
	step := func(key, says string, decides bool) {
		out.Steps = append(out.Steps, Step{line(rules.Text, key), says, decides && !decided})
		decided = decided || decides
	}
	missing, inputs, q := m.Missing(&p.Features), len(m.Inputs), float(p.DefaultProbability)
	if missing > rules.MaxMissing {
		step("max_missing", fmt.Sprintf("%d of the model's %d inputs are missing, more than %d: %s", missing, inputs, rules.MaxMissing, schemas.Refer), true)
	} else {
		step("max_missing", fmt.Sprintf("%d of the model's %d inputs are missing, at most %d may be", missing, inputs, rules.MaxMissing), false)
	}
	// As float32, like the policy compares.
	if cut := float32(rules.DeclineFrom); p.DefaultProbability >= cut {
		step("decline_from", fmt.Sprintf("%s is not below %s: %s", q, float(cut), schemas.Decline), true)
	} else {
		step("decline_from", fmt.Sprintf("%s is below %s", q, float(cut)), false)
	}
	if cut := float32(rules.ApproveBelow); p.DefaultProbability < cut {
		step("approve_below", fmt.Sprintf("%s is below %s: %s", q, float(cut), schemas.Approve), true)
	} else {
		step("approve_below", fmt.Sprintf("%s is not below %s: %s, where nothing above decided", q, float(cut), schemas.Refer), !decided)
	}
	if cut := float32(rules.Threshold); p.DefaultPrediction == 1 {
		step("threshold", fmt.Sprintf("%s is not below %s: default_prediction 1", q, float(cut)), false)
	} else {
		step("threshold", fmt.Sprintf("%s is below %s: default_prediction 0", q, float(cut)), false)
	}
	factor := rules.Points.PDO / math.Ln2
	offset := rules.Points.Base - factor*math.Log(rules.Points.BaseOdds)
	step("points", fmt.Sprintf("%.4f + %.4f · ln((1 − %s) / %s), rounded: %d", offset, factor, q, q, p.Points), false)
	return out
}

// line is the policy's line for a key, without its comment.
func line(text, key string) string {
	for one := range strings.Lines(text) {
		one, _, _ = strings.Cut(one, "#")
		if one = strings.TrimSpace(one); strings.HasPrefix(one, key+":") {
			return one
		}
	}
	return key // YAML has other ways to write it
}
