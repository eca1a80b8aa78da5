package policy

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func TestPolicy_DecidesAtItsCutOffs(t *testing.T) {
	p, err := Parse(DefaultText)
	require.NoError(t, err)
	require.Len(t, p.Version, 8)
	for _, c := range []struct {
		p        float32
		missing  int
		decision string
		defaults uint8
	}{
		{0, 0, schemas.Approve, 0}, {0.19, 3, schemas.Approve, 0}, {0.19, 4, schemas.Refer, 0}, {0.2, 0, schemas.Refer, 0},
		{0.44, 0, schemas.Refer, 0}, {0.45, 0, schemas.Decline, 0}, {0.5, 0, schemas.Decline, 1}, {0.9, 23, schemas.Refer, 1}, {1, 0, schemas.Decline, 1},
	} {
		decision, prediction := p.Decide(c.p, c.missing)
		require.Equal(t, c.decision, decision, c)
		require.Equal(t, c.defaults, prediction, c)
	}
	// Odds of 50 to 1 are worth the base, twice the odds 20 points more.
	require.Equal(t, int32(600), p.ScorecardPoints(1.0/51))
	require.Equal(t, int32(620), p.ScorecardPoints(1.0/101))
	require.Equal(t, int32(530), p.ScorecardPoints(0.18342), "the contract's example")
	require.Greater(t, p.ScorecardPoints(0), p.ScorecardPoints(1))
	require.Equal(t, p.ScorecardPoints(0), p.ScorecardPoints(math.SmallestNonzeroFloat32))
}

func TestParse_NamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ old, with, says string }{
		{"threshold: 0.5", "", "threshold is required"},
		{"threshold: 0.5", "threshold: 1.5", "threshold 1.5: must be 0 … 1"},
		{"threshold: 0.5", "threshold: .nan", "threshold NaN"},
		{"threshold: 0.5", "cutoff: 0.5", "unknown field cutoff"},
		{"threshold: 0.5", "threshold: 0.5\nthreshold: 0.6", "already defined"},
		{"threshold: 0.5", "threshold: high", `"high", expected a number`},
		{"0.20", "0.50", "approve_below 0.5: must be at most decline_from"},
		{"max_missing: 3", "max_missing: 24", "max_missing 24: must be a whole number 0 … 23"},
		{"max_missing: 3", "max_missing: 1.5", "max_missing 1.5: must be a whole number 0 … 23"},
		{"pdo: 20", "pdo: 0", "points.pdo 0"},
		{"points:", "---\npoints:", "one YAML document"},
	} {
		require.Contains(t, DefaultText, c.old)
		_, err := Parse(strings.Replace(DefaultText, c.old, c.with, 1))
		require.ErrorContains(t, err, c.says)
	}
	_, err := Parse("")
	require.ErrorContains(t, err, "approve_below is required")
}

func TestParse_NamesFieldsAndNoTypesOfGo(t *testing.T) {
	for text, want := range map[string]string{
		"threshold: x\n":            `policy: line 1: "x", expected a number`,
		"threshold: [1]\n":          `policy: line 1: a list, expected a number`,
		"max_missing: x\n":          `policy: line 1: "x", expected a number`,
		"points: 3\n":               `policy: line 1: "3", expected a mapping`,
		"unknown: 3\n":              `policy: line 1: unknown field unknown`,
		"[]\n":                      `policy: line 1: a list, expected a mapping`,
		"threshold: {a: 1}\nx: 1\n": "policy: line 1: a mapping, expected a number\nline 2: unknown field x",
	} {
		_, err := Parse(text)
		require.EqualError(t, err, want, text)
		require.False(t, strings.Contains(err.Error(), "struct") || strings.Contains(err.Error(), "float64"))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(DefaultText)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		for _, v := range []float32{0, 0.3, 1} {
			decision, _ := p.Decide(v, 0)
			require.Contains(t, []string{schemas.Approve, schemas.Refer, schemas.Decline}, decision)
			p.ScorecardPoints(v)
		}
	})
}
