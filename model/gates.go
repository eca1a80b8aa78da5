package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// What the gates of a bundle came to.
const (
	GatesPassed = "passed"
	GatesForced = "forced" // some failed, and somebody said why it may pass
	GatesFailed = "failed"
	GatesNone   = "none" // it has been through none
)

// Gate is one that training held a candidate to, as the manifest keeps it.
type Gate struct {
	Name   string   `json:"name"`
	Passed bool     `json:"passed"`
	Figure *float64 `json:"figure"` // null where it could not be measured
	Limit  float64  `json:"limit"`
	Told   string   `json:"told"` // the verdict in words
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
	Failed  []Gate
	Why     string // forced: why those that failed are overruled
}

// Gates reads the verdicts. A gate that failed is overruled only when the manifest
// names it beside a reason.
func (m *Manifest) Gates() (Gates, error) {
	var metrics struct {
		Gates []Gate `json:"gates"`
	}
	if len(m.Metrics) > 0 {
		if err := json.Unmarshal(m.Metrics, &metrics); err != nil {
			return Gates{}, fmt.Errorf("manifest.json: metrics.gates: expected a list of name, passed, figure, limit and told: %w", err)
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
			return Gates{}, fmt.Errorf("manifest.json: forced: expected null, or why and the gates: %w", err)
		}
	}
	out := Gates{Verdict: GatesPassed}
	overruled := strings.TrimSpace(forced.Why) != ""
	for _, g := range metrics.Gates {
		if g.Passed {
			continue
		}
		out.Failed = append(out.Failed, g)
		overruled = overruled && slices.Contains(forced.Gates, g.Name)
	}
	switch {
	case len(out.Failed) == 0:
	case overruled:
		out.Verdict, out.Why = GatesForced, forced.Why
	default:
		out.Verdict = GatesFailed
	}
	return out, nil
}
