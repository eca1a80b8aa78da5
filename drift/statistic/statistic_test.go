package statistic

import (
	"encoding/json"
	"math"
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
	require.Equal(t, 1.0, JensenShannon([]int64{10, 0}, []int64{0, 3}))
	require.Equal(t, 1.0, KS([]int64{10, 0}, []int64{0, 3}))
}

func TestNothingCountedIsNothingKnown(t *testing.T) {
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
	require.Equal(t, []float64{1.5, 2.5}, Representatives([]float64{2}))
	require.Equal(t, []float64{-5, 5, 15, 25}, Representatives([]float64{0, 10, 20}))
	require.Equal(t, []float64{0}, Representatives(nil))
	require.InDelta(t, 19*(1/24000.0+1/500.0), PSINoise(20, 24000, 500), 1e-15)
}
