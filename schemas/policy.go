package schemas

import (
	"crypto/sha256"
	"encoding/hex"

	"go.yaml.in/yaml/v3"
)

// Points is how log-odds become scorecard points:
// offset = base - pdo/ln 2 * ln base_odds; points = round(offset + pdo/ln 2 * ln((1-p)/p)).
type Points struct {
	Base     float64 `yaml:"base"`
	BaseOdds float64 `yaml:"base_odds"`
	PDO      float64 `yaml:"pdo"` // points to double the odds
}

// Policy turns a probability of default into a decision.
type Policy struct {
	Threshold    float64 `yaml:"threshold"`     // default_prediction is 1 at or above
	ApproveBelow float64 `yaml:"approve_below"` // p < ApproveBelow: approve
	DeclineFrom  float64 `yaml:"decline_from"`  // p >= DeclineFrom: decline; between: refer
	MaxMissing   int     `yaml:"max_missing"`   // more missing model inputs than this: refer, never approve
	Points       Points  `yaml:"points"`

	Text    string `yaml:"-"` // as parsed
	Version string `yaml:"-"` // first 8 hex digits of the text's SHA-256
}

// DefaultPolicyText is the policy that serves when no route names another.
const DefaultPolicyText = `threshold: 0.5
approve_below: 0.20
decline_from: 0.45
max_missing: 3
points: {base: 600, base_odds: 50, pdo: 20}
`

// ParsePolicy reads and checks a policy's text. Its error names the field, the
// value and what was expected.
func ParsePolicy(text string) (*Policy, error) {
	p := &Policy{Text: text}
	if err := yaml.Unmarshal([]byte(text), p); err != nil {
		return nil, err
	}
	d := sha256.Sum256([]byte(text))
	p.Version = hex.EncodeToString(d[:4])
	return p, nil
}
