package producer

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func shipped(t testing.TB) *Population {
	t.Helper()
	p, err := ShippedPopulation()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sample draws n applicants under one weather, by feature, and who defaults.
func sample(t testing.TB, n int, seed uint64, w weather) (columns [schemas.NumFeatures][]float64, defaulted []float64) {
	g := newGenerator(shipped(t), seed, "A-")
	var f schemas.Features
	for i := range n {
		defaulted = append(defaulted, float64(g.draw(uint64(i), w, &f)))
		for k, v := range f {
			columns[k] = append(columns[k], float64(v))
		}
	}
	return columns, defaulted
}

func mean(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func TestSameSeedAndNumberGiveTheSameApplication(t *testing.T) {
	t.Parallel()
	forward, backward := newGenerator(shipped(t), 7, "A-"), newGenerator(shipped(t), 7, "A-")
	var want [200]schemas.Features
	var fates [200]uint8
	for n := range want {
		fates[n] = forward.draw(uint64(n), weather{}, &want[n])
	}
	for n := len(want) - 1; n >= 0; n-- {
		var got schemas.Features
		if fate := backward.draw(uint64(n), weather{}, &got); got != want[n] || fate != fates[n] {
			t.Fatalf("application %d: %v %d, was %v %d", n, got, fate, want[n], fates[n])
		}
	}
}

func TestOtherSeedsGiveOtherApplicationsAndIDs(t *testing.T) {
	t.Parallel()
	seen := map[schemas.Features]uint64{}
	tags := map[string]uint64{}
	for seed := range uint64(500) {
		g := newGenerator(shipped(t), seed, "A-")
		var f schemas.Features
		g.draw(0, weather{}, &f)
		if other, twice := seen[f]; twice {
			t.Fatalf("seeds %d and %d draw the same applicant %v", other, seed, f)
		}
		seen[f] = seed
		id := string(g.appendID(nil, 0))
		if other, twice := tags[id]; twice {
			t.Fatalf("seeds %d and %d give the same id %s", other, seed, id)
		}
		tags[id] = seed
	}
}

func TestNeighbouringNumbersAreIndependent(t *testing.T) {
	t.Parallel()
	columns, _ := sample(t, 20_000, 3, weather{})
	for i, c := range columns {
		if r := correlation(ranks(c[1:]), ranks(c[:len(c)-1])); math.Abs(r) > 0.03 {
			t.Errorf("%s: rank correlation %.3f with the application before, want about 0", schemas.FeatureRules[i].Name, r)
		}
	}
}

func TestEveryApplicationKeepsTheContract(t *testing.T) {
	t.Parallel()
	for _, scenario := range Scenarios() {
		for seed := range uint64(5) {
			s := &synthetic{generator: newGenerator(shipped(t), seed, "A-")}
			play := script{name: scenario, from: 100, ramp: 300}
			var (
				a       applicant
				decoded schemas.Application
				buf     []byte
				invalid int
			)
			for n := range uint64(4_000) {
				w := play.at(n)
				if err := s.next(&a, n, w); err != nil {
					t.Fatal(err)
				}
				app := schemas.Application{ApplicationID: string(a.id), AppliedAt: 1_800_000_000_000_000, Features: a.features}
				broken := w.fault.apply(n, &app.Features)
				buf = schemas.AppendApplication(buf[:0], &app)
				err := schemas.DecodeApplication(buf, &decoded)
				if (err != nil) != broken {
					t.Fatalf("scenario %s seed %d application %d: error %v, counted as malformed: %v\n%s", scenario, seed, n, err, broken, buf)
				}
				if broken {
					invalid++
				} else if decoded != app {
					t.Fatalf("scenario %s seed %d application %d: read back as %+v, was %+v", scenario, seed, n, decoded, app)
				}
			}
			if (invalid > 0) != (scenario == BrokenFeed) {
				t.Errorf("scenario %s seed %d: %d applications out of range", scenario, seed, invalid)
			}
		}
	}
}

func TestMarginalsFollowThePopulation(t *testing.T) {
	t.Parallel()
	p := shipped(t)
	const n, seed = 20_000, 11
	columns, _ := sample(t, n, seed, weather{})
	for i, c := range columns {
		if v := psi(expectedShares(&p.marginals[i]), c); v > 0.05 {
			t.Errorf("%s: PSI %.4f of %d applications (seed %d) against the population, want < 0.05", schemas.FeatureRules[i].Name, v, n, seed)
		}
	}
}

// expectedShares are bins of a marginal by their upper edges, with their
// shares, about twenty for quantiles and one per value otherwise.
func expectedShares(m *marginal) (bins []bin) {
	if len(m.values) > 0 {
		last := 0.0
		for i, v := range m.values {
			bins = append(bins, bin{float64(v), m.cumulative[i] - last})
			last = m.cumulative[i]
		}
		return bins
	}
	// The shares of a fine even grid of probabilities, so that a value that many
	// quantiles share weighs what it does in drawing.
	const grid = 200_000
	values := make([]float64, grid)
	for i := range values {
		values[i] = float64(m.at((float64(i) + 0.5) / grid))
	}
	for k := 1; k <= 20; k++ {
		edge := values[min(k*grid/20, grid-1)]
		if len(bins) == 0 || edge > bins[len(bins)-1].upTo {
			bins = append(bins, bin{upTo: edge})
		}
	}
	for _, v := range values {
		bins[slices.IndexFunc(bins, func(b bin) bool { return v <= b.upTo })].share += 1.0 / grid
	}
	return bins
}

type bin struct{ upTo, share float64 }

// psi is the population stability index, Σ (q − p) ln(q/p).
func psi(expected []bin, values []float64) float64 {
	counts := make([]float64, len(expected))
	for _, v := range values {
		i := slices.IndexFunc(expected, func(b bin) bool { return v <= b.upTo })
		if i < 0 {
			i = len(expected) - 1
		}
		counts[i]++
	}
	var sum float64
	for i, b := range expected {
		p, q := max(b.share, 1e-5), max(counts[i]/float64(len(values)), 1e-5)
		sum += (q - p) * math.Log(q/p)
	}
	return sum
}

func TestFeaturesDependOnEachOtherAsInThePopulation(t *testing.T) {
	t.Parallel()
	p := shipped(t)
	const n, seed = 20_000, 5
	columns, _ := sample(t, n, seed, weather{})
	// Between features without long ties: for those the rank correlation of a
	// Gaussian copula is 6/π asin(ρ/2) (Kruskal 1958).
	latent := func(i, j int) (rho float64) {
		for k := range min(i, j) + 1 {
			rho += p.cholesky[i*(i+1)/2+k] * p.cholesky[j*(j+1)/2+k]
		}
		return rho
	}
	for _, pair := range [][2]int{{limitBal, age}, {limitBal, payAmt}, {limitBal, billAmt}, {billAmt, billAmt + 1}, {billAmt, billAmt + 5}, {payAmt, payAmt + 1}, {payAmt, billAmt + 1}, {age, billAmt}} {
		i, j := pair[0], pair[1]
		want := 6 / math.Pi * math.Asin(latent(i, j)/2)
		got := correlation(ranks(columns[i]), ranks(columns[j]))
		// Bills are bounded by the limit, which adds a little to what the copula says.
		if math.Abs(got-want) > 0.09 {
			t.Errorf("%s and %s: rank correlation %.3f (seed %d), want %.3f", schemas.FeatureRules[i].Name, schemas.FeatureRules[j].Name, got, seed, want)
		}
	}
}

func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case x[a] < x[b]:
			return -1
		case x[a] > x[b]:
			return 1
		}
		return 0
	})
	r := make([]float64, len(x))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && x[order[j]] == x[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			r[order[k]] = float64(i+j-1) / 2
		}
		i = j
	}
	return r
}

func correlation(x, y []float64) float64 {
	mx, my := mean(x), mean(y)
	var xy, xx, yy float64
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
		yy += (y[i] - my) * (y[i] - my)
	}
	return xy / math.Sqrt(xx*yy)
}

func TestBillsStayPlausibleAgainstTheLimit(t *testing.T) {
	t.Parallel()
	for _, w := range []weather{{}, {newcomers: 1}, {bills: 1}} {
		columns, _ := sample(t, 5_000, 1, w)
		for i, limit := range columns[limitBal] {
			for m := range months {
				if bill := columns[billAmt+m][i]; bill > billToLimit*limit {
					t.Fatalf("application %d: bill %v against a limit of %v", i, bill, limit)
				}
			}
		}
	}
}

func TestDefaultsFollowTheRule(t *testing.T) {
	t.Parallel()
	p := shipped(t)
	const n, seed = 20_000, 9
	g := newGenerator(p, seed, "A-")
	var (
		f                                schemas.Features
		expected, variance, got, atRisk  float64
		riskyExpected, riskyGot, riskyN2 float64
	)
	for i := range uint64(n) {
		fate := float64(g.draw(i, weather{}, &f))
		q := p.DefaultProbability(&f, 0)
		expected += q
		variance += q * (1 - q)
		got += fate
		if q > 0.5 {
			atRisk++
			riskyExpected += q
			riskyGot += fate
			riskyN2 += q * (1 - q)
		}
	}
	if d := math.Abs(got - expected); d > 4*math.Sqrt(variance) {
		t.Errorf("%v of %d default (seed %d), the rule says %.0f ± %.0f", got, n, seed, expected, math.Sqrt(variance))
	}
	if d := math.Abs(riskyGot - riskyExpected); atRisk < 100 || d > 4*math.Sqrt(riskyN2) {
		t.Errorf("%v of the %v riskiest default (seed %d), the rule says %.0f", riskyGot, atRisk, seed, riskyExpected)
	}
	// The data the rule was fitted to has 22 % defaults.
	if rate := got / n; rate < 0.15 || rate > 0.30 {
		t.Errorf("default rate %.3f (seed %d), want about 0.22", rate, seed)
	}
}

func TestATruthTakesTheRulesPlace(t *testing.T) {
	t.Parallel()
	const n, seed = 20_000, 9
	rule, told := newGenerator(shipped(t), seed, "A-"), newGenerator(shipped(t), seed, "A-")
	told.truth = func(f *schemas.Features) float64 {
		if f[limitBal] > 150_000 {
			return -3
		}
		return -1
	}
	for scenario, shift := range map[string]float64{Steady: 0, Recession: recessionLogOdds} {
		hard := script{name: scenario, ramp: 1}
		var (
			f, same            schemas.Features
			expected, got, off float64
		)
		for i := range uint64(n) {
			rule.draw(i, hard.at(i), &same)
			got += float64(told.draw(i, hard.at(i), &f))
			require.Equal(t, same, f, "who applies is the same")
			q := 1 / (1 + math.Exp(-told.truth(&f)-shift))
			expected += q
			off += q * (1 - q)
		}
		require.InDelta(t, expected, got, 4*math.Sqrt(off), "%s, seed %d", scenario, seed)
	}
	_, err := New(Config{File: writeFile(t, uciFile(2)), Truth: told.truth})
	require.ErrorContains(t, err, "needs the synthetic population")
}

func TestScenariosMoveWhatTheySay(t *testing.T) {
	t.Parallel()
	const n, seed = 10_000, 21
	full := func(name string) weather { s := script{name: name, from: 0, ramp: 1}; return s.at(10) }
	steady, steadyDefaults := sample(t, n, seed, full(Steady))

	recession, defaults := sample(t, n, seed, full(Recession))
	for m := range months {
		if was, is := mean(steady[payStatus+m]), mean(recession[payStatus+m]); is < was+0.3 {
			t.Errorf("recession: mean of pay status %d is %.2f, was %.2f: must rise", m, is, was)
		}
		if was, is := mean(steady[payAmt+m]), mean(recession[payAmt+m]); is > 0.8*was {
			t.Errorf("recession: mean payment %d is %.0f, was %.0f: must fall", m, is, was)
		}
	}
	if !slices.Equal(steady[limitBal], recession[limitBal]) || !slices.Equal(steady[age], recession[age]) {
		t.Error("recession: limits and ages must be those of the steady applicants")
	}
	if was, is := mean(steadyDefaults), mean(defaults); is < was+0.1 {
		t.Errorf("recession: default rate %.3f, was %.3f: must rise", is, was)
	}

	segment, _ := sample(t, n, seed, full(NewSegment))
	young := func(c [schemas.NumFeatures][]float64) (share float64) {
		for i := range n {
			if c[age][i] <= 25 && c[limitBal][i] <= 50_000 && c[payStatus+5][i] == -2 && c[billAmt+5][i] == 0 && c[payAmt+5][i] == 0 {
				share += 1.0 / n
			}
		}
		return share
	}
	if was, is := young(steady), young(segment); is < 0.55 || was > 0.05 {
		t.Errorf("new-segment: %.2f of the applicants are young with low limits and no history, were %.2f: must become 0.6", is, was)
	}
}

func TestScenariosBeginAndRampAsDocumented(t *testing.T) {
	t.Parallel()
	f := func(name string, n uint64, want weather) {
		t.Helper()
		s := script{name: name, from: 1_000, ramp: 500}
		if got := s.at(n); got != want {
			t.Errorf("%s at %d: %+v, want %+v", name, n, got, want)
		}
	}
	half := weather{delays: recessionDelays / 2, payments: recessionPayments / 2, bills: recessionBills / 2, logOdds: recessionLogOdds / 2}
	whole := weather{delays: recessionDelays, payments: recessionPayments, bills: recessionBills, logOdds: recessionLogOdds}
	f(Steady, 5_000, weather{})
	f(Recession, 999, weather{})
	f(Recession, 1_249, half)
	f(Recession, 1_499, whole)
	f(Recession, 1_000_000, whole)
	f(NewSegment, 999, weather{})
	f(NewSegment, 1_249, weather{newcomers: newcomerShare / 2})
	f(NewSegment, 9_999, weather{newcomers: newcomerShare})
	f(BrokenFeed, 999, weather{})
	for i, fault := range []fault{faultNull, faultConstant, faultOutOfRange, faultScaled, 0, 0, 0, 0, faultNull} {
		f(BrokenFeed, 1_000+500*uint64(i), weather{fault: fault})
		f(BrokenFeed, 1_499+500*uint64(i), weather{fault: fault})
	}
}

func TestApplicantsAreTheSameUntilTheScenarioBegins(t *testing.T) {
	t.Parallel()
	draw := func(name string) string {
		s := &synthetic{generator: newGenerator(shipped(t), 4, "A-")}
		play := script{name: name, from: 50, ramp: 10}
		var a applicant
		var all string
		for n := range uint64(50) {
			if err := s.next(&a, n, play.at(n)); err != nil {
				t.Fatal(err)
			}
			all += fmt.Sprintln(string(a.id), a.features, a.fate)
		}
		return all
	}
	for _, name := range Scenarios() {
		if draw(name) != draw(Steady) {
			t.Errorf("%s changes applications before it begins", name)
		}
	}
}

func TestAScenarioSetWhileRunningBeginsWithTheNextApplication(t *testing.T) {
	t.Parallel()
	d := newDirector(Steady, 0, 100)
	if w := d.at(70); w != (weather{}) {
		t.Fatalf("steady: %+v", w)
	}
	d.set(NewSegment)
	if w := d.at(71); math.Abs(w.newcomers-newcomerShare/100) > 1e-12 {
		t.Errorf("first application after the change: %+v, want a hundredth of the segment", w)
	}
	if w := d.at(170); w.newcomers != newcomerShare {
		t.Errorf("a ramp later: %+v, want the whole segment", w)
	}
	d.set(Steady)
	if w := d.at(171); w != (weather{}) {
		t.Errorf("steady again: %+v", w)
	}
}
