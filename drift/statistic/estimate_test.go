package statistic

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// draw is rows of which about a third default, scored twice: the second score knows
// less, and both have ties.
func draw(r *rand.Rand, n int) (defaulted []bool, better, worse []float32) {
	for range n {
		d := r.Float64() < 0.3
		risk := r.NormFloat64()
		if d {
			risk++
		}
		defaulted = append(defaulted, d)
		better = append(better, float32(math.Round(10*risk)/10))
		worse = append(worse, float32(math.Round(10*(risk+r.NormFloat64()))/10))
	}
	return defaulted, better, worse
}

// byDefinition is DeLong's estimate written down as it is defined, pair by pair.
func byDefinition(defaulted []bool, scores ...[]float32) (auc []float64, covariance [][]float64) {
	var bads, goods []int
	for i, d := range defaulted {
		if d {
			bads = append(bads, i)
		} else {
			goods = append(goods, i)
		}
	}
	above := func(s []float32, bad, good int) float64 {
		switch {
		case s[bad] > s[good]:
			return 1
		case s[bad] == s[good]:
			return 0.5
		}
		return 0
	}
	m, n := float64(len(bads)), float64(len(goods))
	v10, v01 := make([][]float64, len(scores)), make([][]float64, len(scores))
	for k, s := range scores {
		v10[k], v01[k] = make([]float64, len(bads)), make([]float64, len(goods))
		sum := 0.0
		for i, b := range bads {
			for j, g := range goods {
				x := above(s, b, g)
				v10[k][i] += x / n
				v01[k][j] += x / m
				sum += x
			}
		}
		auc = append(auc, sum/m/n)
	}
	s := func(a, b []float64, ma, mb float64) (sum float64) {
		for i := range a {
			sum += (a[i] - ma) * (b[i] - mb)
		}
		return sum / float64(len(a)-1)
	}
	for j := range scores {
		var row []float64
		for k := range scores {
			row = append(row, s(v10[j], v10[k], auc[j], auc[k])/m+s(v01[j], v01[k], auc[j], auc[k])/n)
		}
		covariance = append(covariance, row)
	}
	return auc, covariance
}

func TestDeLongIsWhatIsDefined(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		defaulted, better, worse := draw(r, 10+r.IntN(120))
		a, ok := DeLong(defaulted, better, worse)
		if !ok {
			continue
		}
		auc, covariance := byDefinition(defaulted, better, worse)
		require.InDeltaSlice(t, auc, a.AUC, 1e-12)
		for k := range covariance {
			require.InDeltaSlice(t, covariance[k], a.Covariance[k], 1e-12)
		}
		require.Equal(t, len(defaulted), a.Bads+a.Goods)
	}
}

func TestDeLongNeedsRowsOfBothKinds(t *testing.T) {
	t.Parallel()
	f := func(defaulted ...bool) {
		t.Helper()
		_, ok := DeLong(defaulted, make([]float32, len(defaulted)))
		require.False(t, ok)
	}
	f()
	f(true, true, true)
	f(false, false, false)
	f(true, false, false)
	_, ok := DeLong([]bool{true, true, false, false}, []float32{1, 2, 3, 4})
	require.True(t, ok)
}

func TestAPerfectScoreHasTheWholeArea(t *testing.T) {
	t.Parallel()
	a, ok := DeLong([]bool{false, true, false, true}, []float32{1, 3, 2, 4}, []float32{4, 1, 3, 2}, []float32{7, 7, 7, 7})
	require.True(t, ok)
	require.Equal(t, []float64{1, 0, 0.5}, a.AUC)
	require.Equal(t, Interval{1, 1, 1}, a.Area(0))
	require.Equal(t, -1.0, a.Gain(0, 1).Value)
}

// The interval of the difference must hold the truth as often as it says, also
// where the two scores have much in common.
func TestTheIntervalOfADifferenceHoldsTheTruth(t *testing.T) {
	t.Parallel()
	const runs = 600
	r := rand.New(rand.NewPCG(3, 4))
	// What the difference tends to, from many rows.
	defaulted, better, worse := draw(r, 400_000)
	all, ok := DeLong(defaulted, better, worse)
	require.True(t, ok)
	truth := all.Gain(0, 1).Value
	require.Negative(t, truth)
	held, unpaired := 0, 0
	for range runs {
		defaulted, better, worse := draw(r, 400)
		a, _ := DeLong(defaulted, better, worse)
		if g := a.Gain(0, 1); g.Lower <= truth && truth <= g.Upper {
			held++
		}
		otherDefaulted, _, otherWorse := draw(r, 400)
		one, _ := DeLong(defaulted, better)
		other, _ := DeLong(otherDefaulted, otherWorse)
		g := one.GainOver(&other)
		if g.Lower <= truth && truth <= g.Upper {
			unpaired++
		}
		require.Greater(t, g.Upper-g.Lower, a.Gain(0, 1).Upper-a.Gain(0, 1).Lower, "the same rows tell more")
	}
	require.InDelta(t, 0.95, float64(held)/runs, 0.03)
	require.InDelta(t, 0.95, float64(unpaired)/runs, 0.03)
}

func TestSharesHaveTheIntervalsOfTheLiterature(t *testing.T) {
	t.Parallel()
	f := func(k, n int64, lower, upper float64) {
		t.Helper()
		i := Wilson(k, n)
		require.InDelta(t, lower, i.Lower, 5e-5)
		require.InDelta(t, upper, i.Upper, 5e-5)
	}
	// Newcombe, Statistics in Medicine 17 (1998) 857–872, table I, method 3.
	f(81, 263, 0.2553, 0.3662)
	f(15, 148, 0.0624, 0.1605)
	f(0, 20, 0, 0.1611)
	f(1, 29, 0.0061, 0.1718)
	f(0, 0, 0, 1)
	f(20, 20, 1-0.1611, 1)
	// Newcombe, Statistics in Medicine 17 (1998) 873–890, table II, method 10.
	g := func(k1, n1, k2, n2 int64, lower, upper float64) {
		t.Helper()
		i := Newcombe(k2, n2, k1, n1)
		require.InDelta(t, lower, i.Lower, 5e-5)
		require.InDelta(t, upper, i.Upper, 5e-5)
	}
	g(56, 70, 48, 80, 0.0524, 0.3339)
	g(9, 10, 3, 10, 0.1705, 0.8090)
	g(10, 10, 0, 10, 0.6075, 1)
	g(0, 10, 0, 10, -0.2775, 0.2775)
}

func TestAMeanIsThatOfItsValues(t *testing.T) {
	t.Parallel()
	var m Mean
	require.Equal(t, Interval{}, m.Interval())
	for _, v := range []float64{2, 4, 4, 4, 5, 5, 7, 9} {
		m.Add(v)
	}
	i := m.Interval()
	require.InDelta(t, 5, i.Value, 1e-12)
	require.InDelta(t, Normal95*math.Sqrt(32.0/7/8), i.Upper-i.Value, 1e-12)
	require.InDelta(t, i.Value-i.Lower, i.Upper-i.Value, 1e-12)
}

func normal(r *rand.Rand, n int, shift float64) (s Scores, z []float64) {
	for range n {
		v := -1 + 1.5*r.NormFloat64() + shift
		z = append(z, v)
		s.Add(float32(1 / (1 + math.Exp(-v))))
	}
	slices.Sort(z)
	return s, z
}

func TestScoresThatAreFartherApartShiftMore(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	base, z := normal(r, 20_000, 0)
	require.Zero(t, base.Shift(&base).PSI)
	require.Zero(t, base.KS(&base))
	last := Shift{}
	for _, by := range []float64{0, 0.2, 0.5, 1} {
		other, y := normal(r, 15_000, by)
		shift := base.Shift(&other)
		require.GreaterOrEqual(t, shift.PSI, last.PSI)
		require.InDelta(t, kolmogorov(z, y), base.KS(&other), 1e-3) // z has more digits
		last = shift
	}
	require.Greater(t, last.PSI, 0.25)
	require.Less(t, last.Noise, 0.003)
	// Half a standard deviation and more of a normal distribution: (Δ/σ)² in theory.
	require.InDelta(t, 1/1.5/1.5, last.PSI, 0.06)
	var empty Scores
	require.Zero(t, base.Shift(&empty))
	require.Zero(t, empty.KS(&base))
	for _, p := range []float32{0, 1, 1e-30, 0.9999999} {
		empty.Add(p)
	}
	require.Positive(t, base.Shift(&empty).PSI)
}

// kolmogorov is the exact distance of two sorted samples.
func kolmogorov(x, y []float64) (largest float64) {
	j := 0
	for i, v := range x {
		for j < len(y) && y[j] <= v {
			j++
		}
		largest = max(largest, math.Abs(float64(i+1)/float64(len(x))-float64(j)/float64(len(y))))
	}
	return largest
}

func TestAShiftByChanceStaysBelowItsNoise(t *testing.T) {
	t.Parallel()
	const runs = 400
	r := rand.New(rand.NewPCG(7, 8))
	below := 0
	for range runs {
		a, _ := normal(r, 3000, 0)
		b, _ := normal(r, 1000, 0)
		if s := a.Shift(&b); s.PSI <= s.Noise {
			below++
		}
	}
	require.InDelta(t, 0.95, float64(below)/runs, 0.035)
}

// The figures are NumPy's and SciPy's of the same scores: quantile (inverted_cdf),
// searchsorted, ks_2samp.
func TestShift_IsThatOfTheScores(t *testing.T) {
	t.Parallel()
	f := func(step int, psi, ks float64) {
		t.Helper()
		scores := func(n, by int, of func(k int) int) (s Scores) {
			for i := range n {
				s.Add(float32(of(i*by%10007)/step*step) / 10007)
			}
			return s
		}
		base := scores(4003, 7919, func(k int) int { return k })
		other := scores(2999, 104729, func(k int) int { return k * k / 10007 })
		require.InDelta(t, psi, base.Shift(&other).PSI, 1e-12)
		require.InDelta(t, ks, base.KS(&other), 1e-12)
	}
	f(1, 0.38521202707686863, 0.2526979390332209)
	f(400, 0.37357417628880885, 0.25226028794509486) // many equal scores
}

func TestShift_OfEqualScoresAndOfNone(t *testing.T) {
	t.Parallel()
	of := func(scores ...float32) *Scores {
		s := &Scores{}
		for _, p := range scores {
			s.Add(p)
		}
		return s
	}
	same := of(0.5, 0.5, 0.5)
	require.Zero(t, same.Shift(of(0.5, 0.5)))
	require.Zero(t, same.Shift(of(0.1, 0.9)), "one bin, and everything is in it")
	// A bin that has none of the other's scores: half a score more in every bin, so
	// 2.5 of 5 and 2.5 of 5 against 0.5 of 3 and 2.5 of 3.
	want := (0.5/3-0.5)*math.Log(0.5/3/0.5) + (2.5/3-0.5)*math.Log(2.5/3/0.5)
	require.InDelta(t, want, of(0.1, 0.1, 0.9, 0.9).Shift(of(0.9, 0.9)).PSI, 1e-12)
}
