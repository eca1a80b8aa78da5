package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/creditstream/creditstream/schemas"
)

// What the gates of a bundle came to.
const (
	GatesPassed = "passed"
	GatesForced = "forced" // some failed, and somebody said why it may pass
	GatesFailed = "failed"
	GatesPart   = "incomplete" // it has not been through every one
	GatesNone   = "none"       // it has been through none
)

// gateNames are the gates that every bundle must have been through, in training's
// order. A gate that does not apply, as one that needs a champion where there is none
// yet, is recorded all the same, as passed and without a figure. Training's own names
// are held to these.
var gateNames = []string{
	"data",
	"ONNX Runtime",
	"native engine",
	"golden rows",
	"AUC",
	"calibration",
	"approval ratio by sex",
	"equal opportunity by sex",
	"approval ratio by education",
	"equal opportunity by education",
	"approval ratio by marriage",
	"equal opportunity by marriage",
	"approval ratio by age",
	"equal opportunity by age",
	"score PSI, hold-out",
	"score PSI, champion",
}

// Gate is one that training held a candidate to, as the manifest keeps it.
type Gate struct {
	Name   string   `json:"name"`
	Passed bool     `json:"passed"`
	Figure *float64 `json:"figure"` // null where it could not be measured
	Limit  float64  `json:"limit"`
	Told   string   `json:"told"`   // the verdict in words
	Unsure bool     `json:"unsure"` // it passed though the figure is beyond the limit: its interval reaches that
}

// String is the gate with its figure and what that was held against.
func (g Gate) String() string {
	figure := "none"
	if g.Figure != nil {
		figure = fmt.Sprintf("%g", *g.Figure)
	}
	return fmt.Sprintf("%s: figure %s, limit %g (%s)", g.Name, figure, g.Limit, g.Told)
}

// Gates are the verdicts that stand in a manifest.
type Gates struct {
	Verdict string // one of the constants above
	All     []Gate // as they stand in the manifest
	Failed  []Gate
	Missing []string // names of those that it has not been through, where it has been through others
	Why     string   // forced: why those that failed are overruled
}

// Gates reads the verdicts. A gate that failed is overruled only when the manifest
// names it beside a reason; one that is missing never is.
func (m *Manifest) Gates() (Gates, error) {
	var metrics struct {
		Gates []Gate `json:"gates"`
	}
	if len(m.Metrics) > 0 {
		if err := json.Unmarshal(m.Metrics, &metrics); err != nil {
			return Gates{}, fmt.Errorf("manifest.json: metrics.gates: expected a list of name, passed, figure, limit and told: %w", schemas.Plain(err))
		}
	}
	if len(metrics.Gates) == 0 {
		return Gates{Verdict: GatesNone}, nil
	}
	var forced struct {
		Why   string   `json:"why"`
		Gates []string `json:"gates"`
	}
	if len(m.Forced) > 0 {
		if err := json.Unmarshal(m.Forced, &forced); err != nil {
			return Gates{}, fmt.Errorf("manifest.json: forced: expected null, or why and the gates: %w", schemas.Plain(err))
		}
	}
	for i := range metrics.Gates {
		g := &metrics.Gates[i]
		g.Name, g.Told = Clean(g.Name), Clean(g.Told)
	}
	forced.Why = Clean(forced.Why)
	out := Gates{Verdict: GatesPassed, All: metrics.Gates}
	for _, name := range gateNames {
		if !slices.ContainsFunc(metrics.Gates, func(g Gate) bool { return g.Name == name }) {
			out.Missing = append(out.Missing, name)
		}
	}
	overruled := strings.TrimSpace(forced.Why) != ""
	for _, g := range metrics.Gates {
		if g.Passed {
			continue
		}
		out.Failed = append(out.Failed, g)
		overruled = overruled && slices.Contains(forced.Gates, g.Name)
	}
	switch {
	case len(out.Failed) > 0 && !overruled:
		out.Verdict = GatesFailed
	case len(out.Missing) > 0:
		out.Verdict = GatesPart
	case len(out.Failed) > 0:
		out.Verdict, out.Why = GatesForced, forced.Why
	}
	return out, nil
}
