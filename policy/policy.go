// Package policy makes decisions of probabilities: cut-offs, how many inputs may be
// missing, and scorecard points. A policy is a text that a route carries.
package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"

	"go.yaml.in/yaml/v3"

	"github.com/creditstream/creditstream/schemas"
)

// Points is how log-odds become scorecard points:
// offset = base - pdo/ln 2 * ln base_odds; points = round(offset + pdo/ln 2 * ln((1-p)/p))
// (Siddiqi, Credit Risk Scorecards, 2006, scaling).
type Points struct {
	Base     float64
	BaseOdds float64
	PDO      float64 // points to double the odds
}

// Policy turns a probability of default into a decision.
type Policy struct {
	Threshold    float64 // default_prediction is 1 at or above
	ApproveBelow float64 // p < ApproveBelow: approve
	DeclineFrom  float64 // p >= DeclineFrom: decline; between: refer
	MaxMissing   int     // more missing model inputs than this: refer, never approve
	Points       Points

	Text    string // as parsed
	Version string // first 8 hex digits of the text's SHA-256
}

// DefaultText is the policy that serves when no route names another.
const DefaultText = `threshold: 0.5
approve_below: 0.20
decline_from: 0.45
max_missing: 3
points: {base: 600, base_odds: 50, pdo: 20}
`

// policyText is a policy as it is written; nil where a field is absent.
type policyText struct {
	Threshold    *float64 `yaml:"threshold"`
	ApproveBelow *float64 `yaml:"approve_below"`
	DeclineFrom  *float64 `yaml:"decline_from"`
	MaxMissing   *float64 `yaml:"max_missing"` // the library cuts 1.5 to 1
	Points       struct {
		Base     *float64 `yaml:"base"`
		BaseOdds *float64 `yaml:"base_odds"`
		PDO      *float64 `yaml:"pdo"`
	} `yaml:"points"`
}

// maxPoints bounds a policy's scaling, so that points fit an int32 for every p.
const maxPoints = 1e6

// Parse reads and checks a policy's text: every field there, none unknown.
// Its error names each field, its value and what was expected.
func Parse(text string) (*Policy, error) {
	var t policyText
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	d.KnownFields(true)
	if err := d.Decode(&t); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("policy: %w", schemas.Plain(err))
	}
	if err := d.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("policy: expected one YAML document")
	}
	p := &Policy{Text: text}
	var errs []error
	number := func(dst *float64, name string, v *float64, low, high float64) {
		switch {
		case v == nil:
			errs = append(errs, fmt.Errorf("policy: %s is required", name))
		case !(*v >= low && *v <= high):
			errs = append(errs, fmt.Errorf("policy: %s %v: must be %v … %v", name, *v, low, high))
		default:
			*dst = *v
		}
	}
	number(&p.Threshold, "threshold", t.Threshold, 0, 1)
	number(&p.ApproveBelow, "approve_below", t.ApproveBelow, 0, 1)
	number(&p.DeclineFrom, "decline_from", t.DeclineFrom, 0, 1)
	number(&p.Points.Base, "points.base", t.Points.Base, -maxPoints, maxPoints)
	number(&p.Points.BaseOdds, "points.base_odds", t.Points.BaseOdds, 1e-6, maxPoints)
	number(&p.Points.PDO, "points.pdo", t.Points.PDO, 1e-6, maxPoints)
	switch {
	case t.MaxMissing == nil:
		errs = append(errs, errors.New("policy: max_missing is required"))
	case !(*t.MaxMissing >= 0 && *t.MaxMissing <= schemas.NumFeatures) || *t.MaxMissing != math.Trunc(*t.MaxMissing):
		errs = append(errs, fmt.Errorf("policy: max_missing %v: must be a whole number 0 … %d", *t.MaxMissing, schemas.NumFeatures))
	default:
		p.MaxMissing = int(*t.MaxMissing)
	}
	if len(errs) == 0 && p.ApproveBelow > p.DeclineFrom {
		errs = append(errs, fmt.Errorf("policy: approve_below %v: must be at most decline_from, %v", p.ApproveBelow, p.DeclineFrom))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	sum := sha256.Sum256([]byte(text))
	p.Version = hex.EncodeToString(sum[:4])
	return p, nil
}

// Decide is the decision on a probability of default, and default_prediction.
// missing is how many of the model's inputs were missing.
//
// Cut-offs are compared as float32, like the probability: 0.45 on the wire is
// then at a cut-off of 0.45 for whoever reads the record, too.
func (p *Policy) Decide(probability float32, missing int) (decision string, prediction uint8) {
	if probability >= float32(p.Threshold) {
		prediction = 1
	}
	switch {
	case missing > p.MaxMissing:
		return schemas.Refer, prediction
	case probability >= float32(p.DeclineFrom):
		return schemas.Decline, prediction
	case probability < float32(p.ApproveBelow):
		return schemas.Approve, prediction
	}
	return schemas.Refer, prediction
}

// CutOffBetween is the cut-off, as "approve_below 0.2", that two probabilities lie on
// either side of; "" where none lies between them. Of several it is the first in the
// policy's order.
func (p *Policy) CutOffBetween(a, b float32) string {
	for _, c := range []struct {
		name string
		at   float64
	}{{"approve_below", p.ApproveBelow}, {"decline_from", p.DeclineFrom}, {"threshold", p.Threshold}} {
		if cut := float32(c.at); (a < cut) != (b < cut) {
			return fmt.Sprintf("%s %v", c.name, c.at)
		}
	}
	return ""
}

// leastProbability is how near to 0 and 1 a probability counts for points, whose
// formula has no end there.
const leastProbability = 1e-7

// ScorecardPoints are the points for a probability of default, more is safer.
func (p *Policy) ScorecardPoints(probability float32) int32 {
	q := min(max(float64(probability), leastProbability), 1-leastProbability)
	factor := p.Points.PDO / math.Ln2
	return int32(math.Round(p.Points.Base - factor*math.Log(p.Points.BaseOdds) + factor*math.Log((1-q)/q)))
}
