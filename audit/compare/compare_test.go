package compare

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/schemas"
)

func shippedModel(t *testing.T) *model.Model {
	m, err := model.Parse(shipped.Bundle, model.EngineNative)
	require.NoError(t, err)
	return m
}

func smallModel(t *testing.T) *model.Model {
	b, err := os.ReadFile("../testdata/small.bundle")
	require.NoError(t, err)
	m, err := model.Parse(b, model.EngineNative)
	require.NoError(t, err)
	return m
}

func defaultPolicy(t *testing.T) *policy.Policy {
	p, err := policy.Parse(policy.DefaultText)
	require.NoError(t, err)
	return p
}

// rows are applicants of the population. Those of whom the outcome is known
// defaulted as the truth model says, so that it must turn out the better one.
func rows(t *testing.T, n int, labelled float64, truth *model.Model) []Row {
	population, err := producer.ShippedPopulation()
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	var out []Row
	for f := range producer.Applicants(population, 3, n) {
		row := Row{ID: "A", Features: *f, Defaulted: Unknown}
		if r.Float64() < 0.05 {
			row.Features[5+r.IntN(6)] = schemas.Missing
		}
		if r.Float64() < labelled {
			var at [model.NumInputs]float32
			row.Features.Row(at[:])
			var result [1]model.Result
			require.NoError(t, truth.Evaluate(at[:], result[:]))
			if row.Defaulted = 0; r.Float64() < float64(result[0].Probability) {
				row.Defaulted = 1
			}
		}
		out = append(out, row)
	}
	return out
}

func compared(t *testing.T, a, b *model.Model, all []Row, examples int) *Comparison {
	c := New(a, b, defaultPolicy(t), examples)
	for i := range all {
		require.NoError(t, c.Add(&all[i]))
	}
	out, err := c.Result()
	require.NoError(t, err)
	return out
}

func TestAModelDoesNotDifferFromItself(t *testing.T) {
	m := shippedModel(t)
	c := compared(t, m, m, rows(t, 3000, 0.5, m), 5)
	require.EqualValues(t, 3000, c.N)
	require.Zero(t, c.Flips)
	require.Zero(t, c.MeanGain.Value)
	require.Zero(t, c.Score.PSI)
	require.Zero(t, c.ScoreKS)
	require.Zero(t, c.AUC.Difference)
	require.Empty(t, c.Why)
	require.Empty(t, c.Segments)
	require.Empty(t, c.Examples)
	require.Greater(t, c.AUC.A.Value, 0.65)
}

func TestWhoIsDecidedOtherwiseAndWhy(t *testing.T) {
	a, b := shippedModel(t), smallModel(t)
	all := rows(t, 20_000, 0.4, a)
	c := compared(t, a, b, all, 7)
	require.Len(t, c.Examples, 7)

	// Counted one by one.
	p := defaultPolicy(t)
	flips, labelled, defaulted := int64(0), int64(0), int64(0)
	matrix := map[turn]int64{}
	sums, flipped := map[string]float64{}, map[string]float64{}
	for i := range all {
		var row [model.NumInputs]float32
		all[i].Features.Row(row[:])
		var ra, rb [1]model.Result
		require.NoError(t, a.Evaluate(row[:], ra[:]))
		require.NoError(t, b.Evaluate(row[:], rb[:]))
		da, _ := p.Decide(ra[0].Probability, a.Missing(&all[i].Features))
		db, _ := p.Decide(rb[0].Probability, b.Missing(&all[i].Features))
		matrix[turn{da, db}]++
		if da != db {
			flips++
		}
		if all[i].Defaulted != Unknown {
			labelled++
			defaulted += int64(all[i].Defaulted)
		}
		for g, group := range a.Groups {
			d := float64(rb[0].Groups[g]) - float64(ra[0].Groups[g])
			sums[group.Code] += d
			if da == schemas.Approve && db == schemas.Refer {
				flipped[group.Code] += d
			}
		}
	}
	require.Positive(t, flips)
	require.Equal(t, flips, c.Flips)
	require.InDelta(t, float64(flips)/20_000, c.FlipShare.Value, 1e-12)
	require.Equal(t, labelled, c.Labelled)
	require.Equal(t, defaulted, c.Defaulted)
	n := int64(0)
	for _, cell := range c.Matrix {
		require.Equal(t, matrix[turn{cell.A, cell.B}], cell.N)
		n += cell.N
	}
	require.EqualValues(t, 20_000, n)
	require.InDelta(t, c.B.Mean-c.A.Mean, c.MeanGain.Value, 1e-9)
	require.Positive(t, c.Score.PSI)

	// The labels were drawn from A.
	require.Negative(t, c.AUC.Difference.Value)
	require.InDelta(t, c.AUC.B.Value-c.AUC.A.Value, c.AUC.Difference.Value, 1e-12)
	require.Less(t, c.AUC.Difference.Upper-c.AUC.Difference.Lower, c.AUC.A.Upper-c.AUC.A.Lower, "a pair tells more")

	turned := int64(0)
	for i, one := range c.Why {
		turned += one.N
		require.True(t, i == 0 || one.N <= c.Why[i-1].N)
		require.Equal(t, matrix[turn{one.A, one.B}], one.N)
		if one.A == schemas.Approve && one.B == schemas.Refer {
			require.Len(t, one.Groups, len(a.Groups))
			for _, g := range one.Groups {
				require.InDelta(t, sums[g.Code]/20_000, g.OfAll, 1e-9)
				require.InDelta(t, flipped[g.Code]/float64(one.N), g.Difference, 1e-9)
			}
		}
	}
	require.Equal(t, flips, turned)

	require.NotEmpty(t, c.Segments)
	for _, s := range c.Segments {
		require.Greater(t, s.Lift, 1.0)
		require.Greater(t, s.Share.Lower, c.FlipShare.Value)
		require.GreaterOrEqual(t, s.N, int64(leastSegment))
	}
}

func TestSegmentsAreCountedInTheReferencesBins(t *testing.T) {
	a := shippedModel(t)
	s := newSegments(a.Reference)
	all := rows(t, 2000, 0, a)
	for i := range all {
		s.add(&all[i].Features, all[i].Features[5] >= 2 || all[i].Features[6] == schemas.Missing)
	}
	flips := int64(0)
	for _, c := range s.counts[0] {
		flips += c.flips
	}
	found := s.result(2000, flips)
	require.NotEmpty(t, found)
	// Every flip has pay_0 of two or more, or pay_2 missing; whoever has it flips.
	whole := map[string]bool{}
	for _, one := range found {
		if one.Flips == one.N {
			whole[one.Feature+" "+one.Values] = true
		}
	}
	require.True(t, whole["pay_0 2"], "%+v", found)
	require.Equal(t, "missing", s.values(6, len(s.counts[6])-1))
	require.Equal(t, "-2", s.values(5, 0))
	require.Equal(t, "9", s.values(5, len(s.counts[5])-2))
	require.Contains(t, s.values(0, 0), "1 … ")
	require.Contains(t, s.values(0, len(s.counts[0])-2), " … 2796202")
}

func TestAComparisonIsReadable(t *testing.T) {
	a, b := shippedModel(t), smallModel(t)
	var out bytes.Buffer
	require.NoError(t, compared(t, a, b, rows(t, 3000, 0.4, a), 2).Print(&out))
	for _, want := range []string{"small.1", "decided otherwise", "AUC, B − A", "A \\ B", "Why decisions differ", "RECENT_DELAY", "Where decisions differ more", "Some of them"} {
		require.Contains(t, out.String(), want)
	}
	out.Reset()
	require.NoError(t, compared(t, a, b, nil, 2).Print(&out))
	require.Contains(t, out.String(), "AUC", "nothing is no reason to fail")
}
