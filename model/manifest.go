package model

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// FormatVersion is the bundle format that this package reads.
const FormatVersion = 1

// Group is a reason group: tree inputs whose contributions are summed.
type Group struct {
	Code string `json:"code"` // travels on predictions
	Text string `json:"text"` // for the applicant
}

// TreeInput is one input of the tree ensemble, raw or engineered, and the reason
// group that its contribution counts towards.
type TreeInput struct {
	Name  string `json:"name"`
	Group string `json:"group"`
}

// File is what the manifest says of another entry of the bundle.
type File struct {
	SHA256 string `json:"sha256"` // hex
	Bytes  int64  `json:"bytes"`
}

// Manifest says what a bundle is and how it came to be.
type Manifest struct {
	Format        int             `json:"format"`
	Version       string          `json:"version"`
	CreatedAt     time.Time       `json:"created_at"`
	Inputs        []string        `json:"inputs"`      // the raw features, in the graph's order
	UsedInputs    []string        `json:"used_inputs"` // those that feed a node
	Algorithm     string          `json:"algorithm"`
	ExpectedValue float64         `json:"expected_value"` // SHAP's base, log-odds
	TreeInputs    []TreeInput     `json:"tree_inputs"`
	Groups        []Group         `json:"groups"`
	Training      json.RawMessage `json:"training"` // facts for people: dataset digests, rows, parameters, libraries
	Metrics       json.RawMessage `json:"metrics"`  // on the hold-out
	Forced        json.RawMessage `json:"forced"`   // why a gate was overruled, null when none was
	Files         map[string]File `json:"files"`
}

// AUC is that of the test rows, nil where its metrics do not say.
func (m *Manifest) AUC() *float64 {
	var metrics struct {
		Test struct {
			AUC *float64 `json:"auc"`
		} `json:"test"`
	}
	if json.Unmarshal(m.Metrics, &metrics) != nil {
		return nil
	}
	return metrics.Test.AUC
}

// maxVersion bounds a version's length: it stands on every prediction.
const maxVersion = 64

// CheckVersion says what is wrong with a model version, nil when nothing is:
// 1 to 64 letters, digits, dots, dashes and underscores.
func CheckVersion(v string) error {
	ok := v != "" && len(v) <= maxVersion
	for i := 0; ok && i < len(v); i++ {
		c := v[i]
		ok = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte(".-_", c) >= 0
	}
	if !ok {
		return fmt.Errorf("model version %q: expected 1 to %d letters, digits, dots, dashes and underscores", v, maxVersion)
	}
	return nil
}

func parseManifest(text []byte) (*Manifest, error) {
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", schemas.Plain(err))
	}
	if m.Format != FormatVersion {
		return nil, fmt.Errorf("manifest.json: format is %d, this build reads %d", m.Format, FormatVersion)
	}
	if err := CheckVersion(m.Version); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	if len(m.Inputs) != NumInputs {
		return nil, fmt.Errorf("manifest.json: inputs has %d names, expected the contract's %d features", len(m.Inputs), NumInputs)
	}
	for i, name := range m.Inputs {
		if want := schemas.FeatureRules[i].Name; name != want {
			return nil, fmt.Errorf("manifest.json: inputs[%d] is %q, expected %q", i, name, want)
		}
	}
	if math.IsNaN(m.ExpectedValue) || math.IsInf(m.ExpectedValue, 0) {
		return nil, fmt.Errorf("manifest.json: expected_value is %v, expected a number", m.ExpectedValue)
	}
	if len(m.Groups) == 0 || len(m.Groups) > MaxGroups {
		return nil, fmt.Errorf("manifest.json: %d reason groups, expected 1 to %d", len(m.Groups), MaxGroups)
	}
	for i, g := range m.Groups {
		if err := checkCode(g.Code); err != nil {
			return nil, fmt.Errorf("manifest.json: groups[%d].code %w", i, err)
		}
		if err := checkText(g.Text); err != nil {
			return nil, fmt.Errorf("manifest.json: groups[%d].text %w", i, err)
		}
		if slices.ContainsFunc(m.Groups[:i], func(o Group) bool { return o.Code == g.Code }) {
			return nil, fmt.Errorf("manifest.json: reason group %s is there twice", g.Code)
		}
	}
	for i, in := range m.TreeInputs {
		if err := checkText(in.Name); err != nil {
			return nil, fmt.Errorf("manifest.json: tree_inputs[%d].name %w", i, err)
		}
	}
	if m.Algorithm != "" {
		if err := checkText(m.Algorithm); err != nil {
			return nil, fmt.Errorf("manifest.json: algorithm %w", err)
		}
	}
	return m, nil
}

// inputGroups is the index of each tree input's reason group.
func (m *Manifest) inputGroups() ([]int, error) {
	at := make([]int, len(m.TreeInputs))
	for i, in := range m.TreeInputs {
		at[i] = slices.IndexFunc(m.Groups, func(g Group) bool { return g.Code == in.Group })
		if at[i] < 0 {
			return nil, fmt.Errorf("manifest.json: tree input %s is in group %q, which is not among the groups", in.Name, in.Group)
		}
	}
	return at, nil
}

// usedIndexes are the positions of UsedInputs among Inputs.
func (m *Manifest) usedIndexes() ([]int, error) {
	var at []int
	for _, name := range m.UsedInputs {
		i := slices.Index(m.Inputs, name)
		if i < 0 {
			return nil, fmt.Errorf("manifest.json: used_inputs names %q, which is not an input", name)
		}
		at = append(at, i)
	}
	slices.Sort(at)
	return at, nil
}
