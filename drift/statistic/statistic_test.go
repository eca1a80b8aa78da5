package statistic

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// near holds two ways to the same number to twelve digits.
func near(t *testing.T, want, got float64, name string) {
	t.Helper()
	require.InDelta(t, want, got, 1e-12+1e-10*math.Abs(want), name)
}

func figures(t *testing.T, into any) {
	text, err := os.ReadFile(filepath.Join("testdata", "figures.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into))
}

func TestDistancesAreSciPys(t *testing.T) {
	t.Parallel()
	var recorded struct {
		Distances []struct {
			Edges       []float64
			Reference   []int64
			Current     []int64
			PSI         float64
			JS          float64 `json:"jensen_shannon"`
			KS          float64
			Wasserstein float64
			ChiSquare   float64 `json:"chi_square"`
			ChiSquareP  float64 `json:"chi_square_p"`
			DF          int
			G           float64
			Evidence    float64
		}
	}
	figures(t, &recorded)
	require.NotEmpty(t, recorded.Distances)
	for _, d := range recorded.Distances {
		near(t, d.PSI, PSI(d.Reference, d.Current), "PSI")
		near(t, d.JS, JensenShannon(d.Reference, d.Current), "Jensen-Shannon")
		near(t, d.KS, KS(d.Reference, d.Current), "KS")
		near(t, d.Wasserstein, Wasserstein(Representatives(d.Edges), d.Reference, d.Current), "Wasserstein")
		x2, df, p := ChiSquare(d.Reference, d.Current)
		near(t, d.ChiSquare, x2, "chi-square")
		require.Equal(t, d.DF, df)
		near(t, d.ChiSquareP, p, "p of chi-square")
		g, df := G(d.Reference, d.Current)
		require.InDelta(t, d.G, g, 1e-8*max(1, d.G), "G") // a difference of large numbers
		require.Equal(t, d.DF, df)
		require.InDelta(t, min(d.Evidence, mostEvidence), Evidence(g, df), 1e-7*max(1, d.Evidence), "evidence")
	}
}

func TestTailsAreSciPys(t *testing.T) {
	t.Parallel()
	var recorded struct {
		Tails []struct {
			X, Evidence float64
			DF          int
		}
		NormalTails []struct{ Z, Evidence float64 } `json:"normal_tails"`
	}
	figures(t, &recorded)
	require.NotEmpty(t, recorded.Tails)
	for _, c := range recorded.Tails {
		require.InDelta(t, c.Evidence, Evidence(c.X, c.DF), 1e-9*max(1, c.Evidence), c)
	}
	require.NotEmpty(t, recorded.NormalTails)
	for _, c := range recorded.NormalTails {
		require.InDelta(t, c.Evidence, NormalEvidence(c.Z), 1e-9*max(1, c.Evidence), c)
	}
	require.Equal(t, float64(mostEvidence), Evidence(1e6, 3), "beyond what a float64 can tell")
	require.Equal(t, float64(mostEvidence), NormalEvidence(1e3))
}

func TestRankingIsScikitLearns(t *testing.T) {
	t.Parallel()
	var recorded struct {
		Rankings []struct {
			Goods, Bads   []int64
			AUC, KS       float64
			StandardError float64 `json:"standard_error"`
		}
	}
	figures(t, &recorded)
	require.NotEmpty(t, recorded.Rankings)
	for _, c := range recorded.Rankings {
		auc, e := AUC(c.Goods, c.Bads)
		near(t, c.AUC, auc, "AUC")
		near(t, c.StandardError, e, "standard error")
		near(t, c.KS, KS(c.Goods, c.Bads), "KS")
		near(t, 2*c.AUC-1, Gini(auc), "Gini")
	}
}

func TestCalibrationIsNumPys(t *testing.T) {
	t.Parallel()
	var recorded struct {
		Loans struct {
			Probabilities []float64
			Bands         []int
			ECE           float64
			Defaulted     []int64
		}
	}
	figures(t, &recorded)
	l := recorded.Loans
	var loans, defaulted [10]int64
	var expected [10]float64
	for i, band := range l.Bands {
		loans[band]++
		defaulted[band] += l.Defaulted[i]
		expected[band] += l.Probabilities[i]
	}
	near(t, l.ECE, ECE(loans[:], defaulted[:], expected[:]), "ECE")
	require.Zero(t, ECE(nil, nil, nil))
}

func TestIntervalsAreSciPys(t *testing.T) {
	t.Parallel()
	var recorded struct {
		Jeffreys []struct {
			K, N         int64
			Lower, Upper float64
		}
		Ratios []struct {
			A, N, B, M          int64
			Ratio, Lower, Upper float64
		}
	}
	figures(t, &recorded)
	require.NotEmpty(t, recorded.Jeffreys)
	for _, c := range recorded.Jeffreys {
		lower, upper := Jeffreys(c.K, c.N)
		near(t, c.Lower, lower, "lower")
		near(t, c.Upper, upper, "upper")
	}
	require.NotEmpty(t, recorded.Ratios)
	for _, c := range recorded.Ratios {
		ratio, lower, upper := Ratio(c.A, c.N, c.B, c.M)
		near(t, c.Ratio, ratio, "ratio")
		near(t, c.Lower, lower, "lower")
		near(t, c.Upper, upper, "upper")
	}
	ratio, lower, upper := Ratio(0, 100, 50, 100)
	require.Less(t, ratio, 0.05)
	require.Positive(t, lower)
	require.Less(t, upper, 0.2, "none of a hundred is far below half")
	for _, few := range [][4]int64{{1, 1, 300, 400}, {1, 1, 1, 1}, {300, 400, 2, 2}, {0, 1, 300, 400}} {
		_, lower, upper := Ratio(few[0], few[1], few[2], few[3])
		require.Less(t, lower, 0.75, few)
		require.Greater(t, upper, 1.25, "a decision or two say next to nothing", few)
	}
}

func TestTheSameIsNoDistance(t *testing.T) {
	t.Parallel()
	same := []int64{10, 0, 30, 5}
	require.Zero(t, PSI(same, same))
	require.Zero(t, JensenShannon(same, same))
	require.Zero(t, KS(same, same))
	require.Zero(t, Wasserstein([]float64{1, 2, 3, 4}, same, same))
	g, df := G(same, same)
	require.Less(t, g, 1e-10)
	require.Equal(t, 2, df)
}

func TestNothingInCommonIsTheMostThereIs(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1.0, JensenShannon([]int64{10, 0}, []int64{0, 3}))
	require.Equal(t, 1.0, KS([]int64{10, 0}, []int64{0, 3}))
}

func TestNothingCountedIsNothingKnown(t *testing.T) {
	t.Parallel()
	none, some := []int64{0, 0, 0}, []int64{1, 2, 3}
	for _, pair := range [][2][]int64{{none, some}, {some, none}, {none, none}} {
		require.Zero(t, PSI(pair[0], pair[1]))
		require.Zero(t, JensenShannon(pair[0], pair[1]))
		require.Zero(t, KS(pair[0], pair[1]))
		require.Zero(t, Wasserstein([]float64{1, 2, 3}, pair[0], pair[1]))
		_, _, p := ChiSquare(pair[0], pair[1])
		require.Equal(t, 1.0, p)
		g, df := G(pair[0], pair[1])
		require.Zero(t, Evidence(g, df))
	}
	auc, e := AUC(none, some)
	require.Equal(t, 0.5, auc)
	require.Equal(t, 0.5, e)
	lower, upper := Jeffreys(0, 0)
	require.Equal(t, []float64{0, 1}, []float64{lower, upper})
	require.Zero(t, Share(3, 0))
}

// Counts that cannot be are refused where panes are read; should some come by
// another way, no figure of theirs may be one that JSON cannot write.
func TestCountsThatCannotBeSayNothing(t *testing.T) {
	t.Parallel()
	finite := func(figures ...float64) {
		t.Helper()
		for _, f := range figures {
			require.False(t, math.IsNaN(f) || math.IsInf(f, 0), figures)
		}
	}
	good := []int64{100, 200, 300}
	for _, bad := range [][]int64{{-1e9, 1e9, 600}, {-1, -2, -3}, {1, -1, 0}, {math.MaxInt64, 1, 1}, {math.MinInt64, 5, 5}} {
		for _, pair := range [][2][]int64{{good, bad}, {bad, good}, {bad, bad}} {
			a, b := pair[0], pair[1]
			finite(PSI(a, b), JensenShannon(a, b), KS(a, b), Wasserstein([]float64{1, 2, 3}, a, b))
			x2, _, p := ChiSquare(a, b)
			g, df := G(a, b)
			auc, e := AUC(a, b)
			finite(x2, p, g, Evidence(g, df), auc, e, Gini(auc), ECE(a, b, []float64{1, 2, 3}))
		}
	}
	finite(Evidence(math.NaN(), 3), NormalEvidence(math.NaN()), NormalEvidence(math.Inf(1)), NormalEvidence(math.Inf(-1)))
	for _, k := range [][2]int64{{9, -5}, {-1, 5}, {6, 5}, {3, 0}} {
		lower, upper := Jeffreys(k[0], k[1])
		require.Equal(t, []float64{0, 1}, []float64{lower, upper}, k)
		ratio, lower, upper := Ratio(k[0], k[1], 3, 10)
		require.Equal(t, []float64{1, 0, math.MaxFloat64}, []float64{ratio, lower, upper}, k)
		ratio, _, _ = Ratio(3, 10, k[0], k[1])
		require.Equal(t, 1.0, ratio, k)
	}
}

func TestRepresentativesStandForTheirBins(t *testing.T) {
	t.Parallel()
	require.Equal(t, []float64{1.5, 2.5}, Representatives([]float64{2}))
	require.Equal(t, []float64{-5, 5, 15, 25}, Representatives([]float64{0, 10, 20}))
	require.Equal(t, []float64{0}, Representatives(nil))
	require.InDelta(t, 19*(1/24000.0+1/500.0), PSINoise(20, 24000, 500), 1e-15)
}

func TestDeviations_AreSciPys(t *testing.T) {
	t.Parallel()
	var recorded struct {
		Deviations []struct {
			Trials    []Trials
			Succeeded int64
			Evidence  float64
		}
	}
	figures(t, &recorded)
	require.NotEmpty(t, recorded.Deviations)
	for _, c := range recorded.Deviations {
		require.InDelta(t, c.Evidence, DeviationEvidence(c.Trials, c.Succeeded), 1e-9*max(1, c.Evidence), c)
	}
}

// exactly is the distribution of how many of independent trials succeed, one by one.
func exactly(p []float64) []float64 {
	of := []float64{1}
	for _, q := range p {
		next := make([]float64, len(of)+1)
		for k, w := range of {
			next[k] += w * (1 - q)
			next[k+1] += w * q
		}
		of = next
	}
	return of
}

// Of trials that are only known by the mean of their probabilities the evidence is
// never more than that of the trials themselves.
func TestDeviations_OfMeansAreABound(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var all []float64
		var trials []Trials
		for range 1 + r.IntN(4) {
			n, most, sum := 1+r.IntN(60), r.Float64(), 0.0
			if r.IntN(2) == 0 {
				most /= 50
			}
			for range n {
				p := most * r.Float64()
				all, sum = append(all, p), sum+p
			}
			trials = append(trials, Trials{int64(n), sum / float64(n)})
		}
		distribution, mean := exactly(all), 0.0
		for _, p := range all {
			mean += p
		}
		for k := range distribution {
			tail := Sum(distribution[k:])
			if float64(k) < mean {
				tail = Sum(distribution[:k+1])
			}
			require.LessOrEqual(t, DeviationEvidence(trials, int64(k)), max(0, -math.Log10(2*tail))+1e-9, "%d of %v", k, trials)
		}
	}
}

// A deviation with evidence e comes as often by chance as that says, or less often:
// also where defaults are rare.
func TestDeviations_ComeByChanceAsOftenAsTheySay(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.0005, 0.002, 0.01, 0.05, 0.2} {
		for _, n := range []int{500, 1000} {
			p := make([]float64, n)
			for i := range p {
				p[i] = rate
			}
			distribution := exactly(p)
			evidence := make([]float64, len(distribution))
			for k := range distribution {
				evidence[k] = DeviationEvidence([]Trials{{int64(n), rate}}, int64(k))
			}
			for _, e := range []float64{1, 2.5, 5, 8} {
				chance := 0.0
				for k, w := range distribution {
					if evidence[k] >= e {
						chance += w
					}
				}
				require.LessOrEqual(t, chance, math.Pow(10, -e), "rate %v, %d loans", rate, n)
				require.True(t, e > 2.5 || rate*float64(n) < 20 || chance > math.Pow(10, -e)/4, "rate %v, %d loans: %v", rate, n, chance)
			}
		}
	}
}

func TestDeviations_HoldAtTheEnds(t *testing.T) {
	t.Parallel()
	require.Zero(t, DeviationEvidence(nil, 0))
	require.Zero(t, DeviationEvidence([]Trials{{100, 0.5}}, 50))
	require.Zero(t, DeviationEvidence([]Trials{{100, 0}}, 0))
	require.Zero(t, DeviationEvidence([]Trials{{100, 1}}, 100))
	require.Equal(t, float64(mostEvidence), DeviationEvidence([]Trials{{100, 0}}, 1), "what cannot be")
	require.Equal(t, float64(mostEvidence), DeviationEvidence([]Trials{{100, 1}}, 99))
	require.Equal(t, float64(mostEvidence), DeviationEvidence([]Trials{{100, 0}, {50, 0.1}}, 60))
	require.InDelta(t, 100*math.Log10(2)-math.Log10(2), DeviationEvidence([]Trials{{100, 0.5}}, 100), 1e-9)
	require.InDelta(t, 100*math.Log10(2)-math.Log10(2), DeviationEvidence([]Trials{{100, 0.5}}, 0), 1e-9)
	many := DeviationEvidence([]Trials{{500_000_000, 0.1}, {500_000_000, 0.3}}, 200_080_000)
	require.InDelta(t, NormalEvidence(80_000/math.Sqrt(150e6))-math.Log10(2), many, 0.01, "as a normal where there are very many")
}
