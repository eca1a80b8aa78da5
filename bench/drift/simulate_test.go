package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
)

// dataset writes rows with the dataset's columns.
func dataset(t *testing.T, rows int) string {
	rng := rand.New(rand.NewPCG(1, 1))
	var b strings.Builder
	b.WriteString("ID")
	for _, rule := range schemas.FeatureRules {
		b.WriteString("," + strings.ToUpper(rule.Name))
	}
	b.WriteString(",default.payment.next.month\n")
	for i := range rows {
		fmt.Fprint(&b, i+1)
		for _, rule := range schemas.FeatureRules {
			low, high := max(rule.Min, -10_000), min(rule.Max, 400_000)
			fmt.Fprintf(&b, ",%d.0", low+rng.Int32N(high-low+1))
		}
		b.WriteString(",0\n")
	}
	path := filepath.Join(t.TempDir(), "rows.csv")
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	return path
}

func smallPopulation(t *testing.T) *population {
	p, err := readPopulation(dataset(t, 3000), shipped.Bundle)
	require.NoError(t, err)
	require.Len(t, p.bins, 3000)
	return p
}

func TestAShiftHasExactlyItsPSI(t *testing.T) {
	p := smallPopulation(t)
	feature := p.feature("bill_amt1")
	for _, want := range shiftSizes {
		s := p.shifted(feature, want)
		size := p.sizes()[feature]
		base, moved := make([]float64, size), make([]float64, size)
		before, total := 0.0, s.sums[len(s.sums)-1]
		for i := range p.bins {
			b := p.bins[i][feature]
			base[b] += 1 / float64(len(p.bins))
			moved[b] += (s.sums[i] - before) / total
			before = s.sums[i]
		}
		require.InDelta(t, want, psiOfShares(base, moved), 1e-6)
	}
}

func TestASimulationIsRepeatable(t *testing.T) {
	p := smallPopulation(t)
	s := settings{Runs: 4, Reference: 2000, Window: 500, Longest: 20, Seed: 9}
	one := p.quietRuns(s, 1, newPlain)
	require.Equal(t, one, p.quietRuns(s, 3, newPlain))
	feature := p.feature("limit_bal")
	first := p.delays(s, 1, feature, 0.1, newDeciding)
	require.Equal(t, first, p.delays(s, 3, feature, 0.1, newDeciding))
	require.Zero(t, first.Missed)
}

func TestTheBoundIsBelowTheMean(t *testing.T) {
	r := runLength{Windows: 1000}
	r.bound()
	require.Equal(t, 1000.0, r.Mean)
	require.InDelta(t, 333.8, r.Lower, 0.1, "-ln 0.05 is 2.996")
	r = runLength{Windows: 1000, Alarms: 10}
	r.bound()
	require.Equal(t, 100.0, r.Mean)
	require.InDelta(t, 58.9, r.Lower, 0.1)
}

func TestDelaysCountWhatWasMissed(t *testing.T) {
	d := newDelay("x", 0.1, 5, []int{6, 1, 3, 2, 6})
	require.Equal(t, 3.0, d.Median)
	require.Equal(t, 2, d.Missed)
}

func TestEveryDecisionIsCounted(t *testing.T) {
	took, err := count(dataset(t, 500), 10_001)
	require.NoError(t, err)
	require.Equal(t, 10_001, took.Rows)
	require.Positive(t, took.MiB)
}
