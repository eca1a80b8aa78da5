package judging

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/drift/statistic"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

func TestAShiftFiresItsFeatureAndResolves(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.blocks(20)
	require.Empty(t, b.told)
	require.Equal(t, drift.Quiet, b.status().State)
	b.city.Move("limit_bal", 2)
	b.blocks(4)
	require.Equal(t, []string{"firing drift/limit_bal"}, b.told)
	a := b.all[0]
	require.Equal(t, "evidence", a.Statistic)
	require.GreaterOrEqual(t, a.Value, a.Threshold)
	require.Equal(t, "limit_bal", a.Contributors[0].Feature)
	require.Equal(t, []string{b.judge.champion.ModelVersion}, a.ModelVersions)
	require.Equal(t, b.judge.champion.Digest, a.Reference)
	require.Equal(t, "docs/runbook.md#drift", a.Runbook)
	require.Equal(t, int64(0), a.Window.Decisions%500)
	s := b.status()
	require.Equal(t, drift.Act, s.State)
	require.Equal(t, drift.Act, s.Windows[0].Features[0].State)
	require.Equal(t, drift.Quiet, s.Windows[0].Features[5].State)
	b.city.Move("limit_bal", 0)
	b.blocks(12)
	require.Equal(t, []string{"firing drift/limit_bal", "resolved drift/limit_bal"}, b.told)
	over := b.all[1]
	require.Less(t, over.Value, over.Threshold, "what decided that it is over, not the shift before")
	require.Equal(t, float64(sequential.Watch), over.Threshold)
	require.LessOrEqual(t, over.Window.Decisions, int64(2000))
	b.blocks(30)
	require.Len(t, b.told, 2, "what was counted during the shift is not told again")
}

func TestAnAlertLastsAWhile(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.judge.settings.MinFiring = 60 * time.Second // sixty panes
	b.city.Move("age", 3)
	b.blocks(2)
	b.city.Move("age", 0)
	b.blocks(9)
	require.Equal(t, []string{"firing drift/age"}, b.told)
	b.blocks(4)
	require.Equal(t, []string{"firing drift/age", "resolved drift/age"}, b.told)
}

func TestABlockTakesItsTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.judge.settings.BlockTime = 10 * time.Second
	for range 10 {
		b.fold(b.city.Pane(1000))
	}
	require.Empty(t, b.judge.past)
	b.fold(b.city.Pane(1000))
	require.Len(t, b.judge.past, 1)
	require.Equal(t, int64(11_000), b.judge.past[0].Decisions)
}

func TestMissingValuesFireTheirFeature(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3)
	for range 10 {
		p := b.city.Pane(100)
		for range 5 { // a twentieth at least
			for i := range p.Features[4].Bins {
				if p.Features[4].Bins[i] > 0 {
					p.Features[4].Bins[i]--
					p.Features[4].Missing++
					break
				}
			}
		}
		b.fold(p)
	}
	require.Equal(t, []string{"firing drift/age"}, b.told)
	require.InDelta(t, 0.05, b.status().Windows[0].Features[4].Missing, 0.001)
}

func TestScoresAndDecisionsAreComparedWithTheReference(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4)
	b.city.MoveScores(4)
	b.blocks(3)
	require.ElementsMatch(t, []string{"firing drift/score", "firing drift/decisions"}, b.told)
	w := b.status().Windows[0]
	current := []int64{}
	for _, share := range []float64{w.Rates.Approve, w.Rates.Refer, w.Rates.Decline} {
		current = append(current, int64(math.Round(share*float64(w.Decisions))))
	}
	psi := statistic.PSI(w.Rates.Reference, current)
	require.Equal(t, psi, w.Rates.PSIAllBins)
	require.InDelta(t, psi-statistic.PSINoise(3, statistic.Sum(w.Rates.Reference), w.Decisions), w.Rates.PSI, 1e-12)
	require.Equal(t, statistic.JensenShannon(w.Rates.Reference, current), w.Rates.JensenShannon)
	x2, _, p := statistic.ChiSquare(w.Rates.Reference, current)
	require.Equal(t, []float64{x2, p}, []float64{w.Rates.ChiSquare, w.Rates.ChiSquareP})
	require.Greater(t, w.Rates.PSI, 0.05)
	require.Less(t, w.Rates.ChiSquareP, 1e-8)
	scores := b.judge.champion.Reference.Scores.Counts
	require.Equal(t, statistic.Sum(scores), statistic.Sum(w.Rates.Reference), "all of the reference's scores are decided")
}

func TestAnotherPolicyIsComparedWithWhatItDecides(t *testing.T) {
	t.Parallel()
	b := newBench(t, 5)
	b.blocks(3)
	text := "threshold: 0.5\napprove_below: 0.10\ndecline_from: 0.30\nmax_missing: 3\npoints: {base: 600, base_odds: 50, pdo: 20}\n"
	rules, err := policy.Parse(text)
	require.NoError(t, err)
	c := *b.judge.champion
	c.Policy = rules
	b.city.Champion = &c
	b.hear(b.judge.serve(&c, b.city.At))
	b.blocks(10)
	require.Empty(t, b.told)
	c.Policy = b.judge.champion.Policy
	old := drifttest.ShippedChampion(t)
	b.city.Champion = old // decides by the policy before
	b.blocks(3)
	require.Equal(t, []string{"firing drift/decisions"}, b.told)
	b.hear(b.judge.serve(old, b.city.At))
	require.Equal(t, []string{"firing drift/decisions", "resolved drift/decisions"}, b.told)
}

func TestAnotherChampionBeginsAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t, 6)
	b.city.Move("pay_0", 3)
	b.blocks(3)
	require.Equal(t, []string{"firing drift/pay_0"}, b.told)
	c := drifttest.ShippedChampion(t)
	c.ModelVersion, c.Digest = "next", "sha256:next"
	b.hear(b.judge.serve(c, b.city.At))
	require.Equal(t, []string{"firing drift/pay_0", "resolved drift/pay_0"}, b.told)
	told, known := b.judge.fold(b.city.Pane(1000), b.n, b.city.At, b.city.At)
	require.False(t, known, "counted over the reference before")
	require.Empty(t, told)
	require.Zero(t, b.judge.block.Decisions)
	require.Equal(t, int64(2500), b.judge.decisions)
}

func TestSilenceIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, 7)
	b.blocks(1)
	last := b.city.At
	require.Nil(t, b.judge.silence(last+micros(4*time.Minute)))
	a := b.judge.silence(last + micros(5*time.Minute))
	require.NotNil(t, a)
	require.Equal(t, "no-decisions", a.Alert)
	require.Equal(t, 300.0, a.Value)
	require.Nil(t, b.judge.silence(last+micros(9*time.Minute)))
	b.city.At = last + micros(10*time.Minute)
	b.blocks(1)
	require.Equal(t, []string{"resolved no-decisions"}, b.told)
}

func TestAGroupApprovedTooSeldomFires(t *testing.T) {
	t.Parallel()
	b := newBench(t, 8)
	b.blocks(10)
	require.Empty(t, b.told)
	b.city.Lower = 0.5
	b.blocks(20)
	require.Contains(t, b.told, "firing fairness/sex/2")
	require.NotContains(t, b.told, "firing fairness/sex/1")
	s := b.status()
	group := s.Windows[1].Groups[1]
	require.Equal(t, "2", group.Group)
	require.Less(t, group.Upper, FourFifths)
	require.Equal(t, drift.Act, group.State)
	b.city.Lower = 0
	b.blocks(8)
	require.Contains(t, b.told, "resolved fairness/sex/2", "four blocks as before, three looks: not sixteen")
	over := b.all[slices.Index(b.told, "resolved fairness/sex/2")]
	require.GreaterOrEqual(t, over.Value, over.Threshold)
	b.blocks(2) // the decisions are resolved by now, too
	told := len(b.told)
	b.blocks(20)
	require.Len(t, b.told, told, "what was counted meanwhile is not told again")
}

// However much has been counted of a group that was treated otherwise, when that is
// over it is over.
func TestWhatAGroupsAlertWasAboutIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t, 27)
	b.city.Lower = 0.95
	b.blocks(sequential.Blocks)
	b.city.Lower = 0
	fair := func() (told []string) {
		for _, a := range b.told {
			if strings.HasSuffix(a, "fairness/sex/2") {
				told = append(told, a)
			}
		}
		return told
	}
	require.Equal(t, []string{"firing fairness/sex/2"}, fair())
	for n := 0; n < fairRecent+sequential.Calm && len(fair()) == 1; n++ {
		b.blocks(1)
	}
	require.Equal(t, []string{"firing fairness/sex/2", "resolved fairness/sex/2"}, fair())
	for _, s := range b.judge.past {
		require.NotContains(t, s.Groups, "sex/2")
		require.Contains(t, s.Groups, "sex/1")
	}
	b.blocks(10)
	require.Len(t, fair(), 2)
}

// decidedOn are n decisions, so many of them approvals.
func decidedOn(approved, n int64) drift.Decided {
	return drift.Decided{Approve: approved, Decline: n - approved}
}

func TestALargeGroupJustBelowTheLimitIsWatchedOnly(t *testing.T) {
	t.Parallel()
	groups := map[string]drift.Decided{"sex/1": decidedOn(100_000, 200_000), "sex/2": decidedOn(79_000, 200_000)}
	g := fairness(groups, FourFifths)[1]
	require.InDelta(t, 0.79, g.Ratio, 1e-9)
	require.Less(t, g.Upper, FourFifths, "beyond what 95 % of chance explains")
	require.Equal(t, drift.Watch, g.State)
	groups["sex/2"] = decidedOn(70_000, 200_000)
	require.Equal(t, drift.Act, fairness(groups, FourFifths)[1].State)
	require.Equal(t, drift.Quiet, fairness(groups, 0.69)[1].State, "the limit is a setting")
}

func TestAFallThatDoesNotMatterIsSilent(t *testing.T) {
	t.Parallel()
	b := newBench(t, 24)
	name := performanceAlert(b.judge.champion.ModelVersion)
	blur := func(part float64) func(float64) float64 {
		return func(p float64) float64 { return (1-part)*p + part*0.145 }
	}
	for range loanBlocks {
		b.fold(b.city.Loans(50_000, blur(0.04)))
	}
	m := fall(b.judge.performance[b.judge.champion.ModelVersion].known().Loans)
	require.InDelta(t, 0.01, m.size, 0.004)
	require.Greater(t, m.evidence, float64(performanceAct), "it is beyond doubt")
	require.Empty(t, b.told)
	require.Equal(t, drift.Quiet, b.status().Outcomes.Versions[0].State)
	for range loanBlocks {
		b.fold(b.city.Loans(50_000, blur(0.4)))
	}
	require.Equal(t, []string{"firing " + name}, b.told)
	require.Equal(t, "auc", b.all[0].Statistic)
}

func TestOutcomesThatAreAsPromisedAreQuiet(t *testing.T) {
	t.Parallel()
	b := newBench(t, 9)
	for range 400 {
		b.fold(b.city.Loans(100, func(p float64) float64 { return p }))
	}
	require.Empty(t, b.told)
	s := b.status()
	require.Equal(t, drift.Quiet, s.State)
	v := s.Outcomes.Versions[0]
	require.Equal(t, int64(loanBlocks*loanBlock), v.Loans)
	require.InDelta(t, v.Expected, v.Observed, 0.02)
	require.Less(t, v.Lower, v.Observed)
	require.Greater(t, v.AUC, 0.65)
	require.Less(t, v.ECE, 0.03)
	require.InDelta(t, bandCount, len(v.Bands), 3)
	require.Equal(t, int64(40_000), s.Outcomes.Matched)
	require.Equal(t, int64(4_000), s.Outcomes.Late)
	total := int64(0)
	for i, band := range v.Bands {
		total += band.Loans
		require.Less(t, band.From, band.To)
		require.LessOrEqual(t, band.Lower, band.Upper)
		if i > 0 {
			require.GreaterOrEqual(t, band.From, v.Bands[i-1].To)
		}
	}
	require.Equal(t, v.Loans, total)
}

func TestScoresThatNoLongerRankFire(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10)
	name := performanceAlert(b.judge.champion.ModelVersion)
	for range 50 {
		b.fold(b.city.Loans(100, func(p float64) float64 { return p }))
	}
	require.Empty(t, b.told)
	for range 80 { // everybody defaults alike, as often as promised on the whole
		b.fold(b.city.Loans(100, func(float64) float64 { return 0.14 }))
	}
	require.Equal(t, []string{"firing " + name}, b.told)
	require.Equal(t, "auc", b.all[0].Statistic)
	require.Less(t, b.all[0].Value, b.all[0].Threshold)
	for range 100 {
		b.fold(b.city.Loans(100, func(p float64) float64 { return p }))
	}
	require.Equal(t, []string{"firing " + name, "resolved " + name}, b.told)
	over := b.all[1]
	require.Equal(t, "auc", over.Statistic)
	require.Less(t, over.Threshold-over.Value, aucFall, "as it is now")
	require.LessOrEqual(t, over.Window.Decisions, int64(5*loanBlock))
}

// More or fewer: either is a miss, so that chance has two ways to one.
func TestADeviationIsTwoSided(t *testing.T) {
	t.Parallel()
	// SciPy: -log10(2 binom.sf(129, 1000, 0.1)), -log10(2 binom.cdf(70, 1000, 0.1)).
	for defaulted, evidence := range map[int64]float64{130: 2.571412229781143, 70: 2.939683115450371} {
		m := deviation(loans{-20: {loans: 1000, defaulted: defaulted, expected: 100}})
		require.InDelta(t, evidence, m.evidence, 1e-10)
		require.InDelta(t, 0.3, m.size, 1e-12)
	}
}

// An alert that says "by chance less than once in 100,000 looks" keeps that of a whole
// look, where defaults are rare, too: added up over every number of defaults that there
// may be in the last 1, 2, 4, 8 and 16 blocks, with the chance of five falls of the AUC.
func TestPerformance_RareDefaultsFireAsSeldomAsIsSaid(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.002, 0.01, 0.05, 0.1, 0.22} {
		chance := chanceOfADeviation(rate)
		require.Positive(t, chance, "at a rate of %v none could fire", rate)
		require.LessOrEqual(t, chance+5*math.Pow(10, -performanceAct), 1e-5, "a rate of %v", rate)
	}
}

// chanceOfADeviation is the probability that one look finds that loans that default at
// a rate as promised default at another.
func chanceOfADeviation(rate float64) (chance float64) {
	quiet := []float64{1} // by the number of defaults: that there are so many, and no shorter span fires
	for added, n := loanBlock, loanBlock; n <= loanBlocks*loanBlock; added, n = n, 2*n {
		quiet = convolved(quiet, binomial(added, rate))
		for k, p := range quiet {
			span := performance{Past: []loanSpan{{Loans: loans{-20: {loans: int64(n), defaulted: int64(k), expected: rate * float64(n)}}}}}
			if p > 0 && span.look().evidence >= performanceAct {
				chance += p
				quiet[k] = 0
			}
		}
	}
	return chance
}

// binomial are the probabilities of 0, 1, … successes of n, those below 1e-15 left out.
func binomial(n int, p float64) []float64 {
	out := make([]float64, n+1)
	log := float64(n) * math.Log1p(-p)
	for k := range out {
		if log > math.Log(1e-15) {
			out[k] = math.Exp(log)
		}
		log += math.Log(float64(n-k)/float64(k+1)) + math.Log(p) - math.Log1p(-p)
	}
	return out
}

// convolved are the probabilities of the sums.
func convolved(a, b []float64) []float64 {
	out := make([]float64, len(a)+len(b)-1)
	for i, p := range a {
		for k, q := range b {
			if p > 0 && q > 0 {
				out[i+k] += p * q
			}
		}
	}
	return out
}

func TestEveryKindOfOutcomeIsInTheStatus(t *testing.T) {
	t.Parallel()
	b := newBench(t, 28)
	for range 2 {
		b.fold(&drift.Pane{Topic: "outcomes", Bucket: drifttest.Noon, Width: 1, Read: 15, Matched: 8, NoMatch: 4, Repeated: 3, Late: 2})
	}
	o := b.status().Outcomes
	require.Equal(t, []int64{30, 16, 8, 6, 4}, []int64{o.Read, o.Matched, o.Unmatched, o.Duplicate, o.Late})
}

func TestMoreDefaultsThanPromisedFire(t *testing.T) {
	t.Parallel()
	b := newBench(t, 11)
	for range 40 {
		b.fold(b.city.Loans(100, func(p float64) float64 { return min(1, 1.5*p) }))
	}
	require.Equal(t, []string{"firing " + performanceAlert(b.judge.champion.ModelVersion)}, b.told)
	require.Equal(t, "default_rate", b.all[0].Statistic)
	require.Greater(t, b.all[0].Value, b.all[0].Threshold)
}

// In a pane outcomes are in the order of score: a block that ended within one would
// hold neighbouring scores alone.
func TestABlockOfLoansEndsWithItsPane(t *testing.T) {
	t.Parallel()
	b := newBench(t, 25)
	b.fold(b.city.Loans(20_000, func(p float64) float64 { return p }))
	p := b.judge.performance[b.judge.champion.ModelVersion]
	require.Len(t, p.Past, 1)
	require.Equal(t, int64(20_000), p.Past[0].Loans.total().loans)
	require.Equal(t, int64(20_000), b.status().Outcomes.Versions[0].Loans)
}

func TestOldVersionsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t, 12)
	for i := range mostVersions + 3 {
		p := b.city.Loans(10, func(p float64) float64 { return p })
		for k := range p.Outcomes {
			p.Outcomes[k].ModelVersion = string(rune('a' + i))
		}
		b.fold(p)
	}
	require.Len(t, b.judge.performance, mostVersions)
	require.NotContains(t, b.judge.performance, "a")
	require.Contains(t, b.judge.performance, string(rune('a'+mostVersions+2)))
}

// Wherever an evaluator stops, what it has told and what the next one tells are
// what one alone tells.
func TestStoppingAnywhereChangesNothing(t *testing.T) {
	t.Parallel()
	panes := drifttest.Story(t, 20)
	tell := func(stop func(i int) bool) (told []string) {
		c := drifttest.ShippedChampion(t)
		j := newJudge(testSettings, c)
		now := drifttest.Noon
		for i, p := range panes {
			now += 1e6
			alerts, _ := j.fold(p, int64(i), now, now)
			for _, a := range alerts {
				told = append(told, a.State+" "+a.Alert)
			}
			if !stop(i) {
				continue
			}
			status := j.status(nil, now)
			text, err := json.Marshal(status)
			require.NoError(t, err)
			header, err := j.snapshot(0).pack()
			require.NoError(t, err)
			var kept drift.Status
			require.NoError(t, json.Unmarshal(text, &kept))
			state, err := UnpackState(header)
			require.NoError(t, err)
			require.Equal(t, int64(i+1), state.Next)
			var back []schemas.Alert
			j, back = resume(testSettings, drifttest.ShippedChampion(t), state, kept.Alerts, now)
			require.Empty(t, back)
			require.Equal(t, status, j.status(nil, now), "what was known is known")
		}
		return told
	}
	whole := tell(func(int) bool { return false })
	for _, a := range []string{"drift/pay_0", "drift/limit_bal", "fairness/sex/2"} {
		require.Contains(t, whole, "firing "+a)
		require.Contains(t, whole, "resolved "+a)
	}
	require.Contains(t, whole, "firing "+performanceAlert(drifttest.ShippedChampion(t).ModelVersion))
	require.Equal(t, whole, tell(func(int) bool { return true }))
	rng := rand.New(rand.NewPCG(5, 5))
	require.Equal(t, whole, tell(func(int) bool { return rng.IntN(7) == 0 }))
}

func TestResumingUnderAnotherChampionTakesBackWhatWasAboutTheOld(t *testing.T) {
	t.Parallel()
	b := newBench(t, 21)
	b.city.Move("pay_0", 3)
	b.blocks(3)
	state := b.judge.snapshot(0)
	c := drifttest.ShippedChampion(t)
	c.Digest = "sha256:next"
	j, back := resume(testSettings, c, state, b.status().Alerts, b.city.At)
	require.Len(t, back, 1)
	require.Equal(t, "drift/pay_0", back[0].Alert)
	require.Equal(t, schemas.AlertResolved, back[0].State)
	require.Empty(t, j.past)
	require.False(t, j.alerts.firing("drift/pay_0"))
}

func TestAStateThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	_, err := UnpackState([]byte("nonsense"))
	require.ErrorContains(t, err, "evaluator state")
}

func FuzzState(f *testing.F) {
	b := newBench(&testing.T{}, 1)
	b.blocks(2)
	header, err := b.judge.snapshot(3).pack()
	require.NoError(f, err)
	f.Add(header)
	f.Fuzz(func(t *testing.T, header []byte) {
		state, err := UnpackState(header)
		if err != nil {
			return
		}
		j, _ := resume(testSettings, drifttest.ShippedChampion(t), state, nil, drifttest.Noon)
		j.closeBlock(drifttest.Noon)
		j.status(nil, drifttest.Noon)
	})
}

func TestEvaluationsAreOfWhatIsThere(t *testing.T) {
	t.Parallel()
	b := newBench(t, 22)
	b.blocks(30)
	s := b.status()
	require.Equal(t, int64(15_000), s.Decisions)
	require.Equal(t, []string{b.judge.champion.ModelVersion}, s.ModelVersions)
	names := []string{}
	for _, w := range s.Windows {
		names = append(names, w.Name)
		require.Len(t, w.Features, schemas.NumFeatures)
		require.InDelta(t, 1, w.Rates.Approve+w.Rates.Refer+w.Rates.Decline, 1e-12)
		require.InDelta(t, 0.22, w.Rates.DefaultExpected, 0.03)
		require.Equal(t, sequential.Required(w.Features[0].EvidencePSI), w.Features[0].Threshold)
	}
	require.Equal(t, []string{"1000", "10000", "1h", "24h"}, names)
	require.Equal(t, int64(1000), s.Windows[0].Decisions)
	require.Equal(t, int64(10_000), s.Windows[1].Decisions)
	require.Equal(t, int64(15_000), s.Windows[2].Decisions)
}

func BenchmarkEvaluate(b *testing.B) {
	bench := newBench(&testing.T{}, 1)
	for range timeSlots { // every slot of a day, then every slot of an hour
		bench.fold(bench.city.Pane(100))
		bench.city.At += micros(24 * time.Hour / timeSlots)
	}
	for range timeSlots {
		bench.fold(bench.city.Pane(100))
		bench.city.At += micros(time.Hour / timeSlots)
	}
	b.ReportAllocs()
	for b.Loop() {
		bench.status()
	}
}

func BenchmarkBlock(b *testing.B) {
	bench := newBench(&testing.T{}, 1)
	bench.blocks(20)
	block := bench.city.Pane(500)
	b.ReportAllocs()
	for b.Loop() {
		bench.judge.block.Add(block, bench.judge.champion)
		bench.judge.closeBlock(drifttest.Noon)
	}
}

// A record takes 1 MiB, header included.
func TestAStatusFitsItsRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t, 23)
	b.blocks(40)
	for i := range mostVersions {
		for range 90 {
			p := b.city.Loans(100, func(p float64) float64 { return p })
			for k := range p.Outcomes {
				p.Outcomes[k].ModelVersion = strings.Repeat("v", 60) + string(rune('a'+i))
			}
			b.fold(p)
		}
	}
	text, err := json.Marshal(b.status())
	require.NoError(t, err)
	header, err := b.judge.snapshot(0).pack()
	require.NoError(t, err)
	t.Logf("status %d bytes, state %d", len(text), len(header))
	require.Less(t, len(text)+len(header), 512<<10)
}

// Of any counts, a row's own figures are what its state follows from.
func TestCompare_StateFollowsFromWhatIsShown(t *testing.T) {
	t.Parallel()
	c := drifttest.ShippedChampion(t)
	quiet, told := 0, 0
	for seed := range uint64(12) {
		city := drifttest.NewCity(c, seed)
		for i, f := range c.Reference.Features {
			city.Move(f.Name, float64(seed)*float64(i)/300) // from nothing to what cannot be overlooked
		}
		tally := NewTally(c.Reference)
		require.True(t, tally.Add(city.Pane(30_000), c))
		w := Compare("w", tally, c, FourFifths)
		for i, f := range append(w.Features, w.Score) {
			state := drift.Quiet
			switch {
			case f.Evidence >= f.Threshold:
				state = drift.Act
			case f.Evidence >= sequential.Watch:
				state = drift.Watch
			}
			require.Equal(t, state, f.State, "%s: evidence %v of %v, PSI %v", f.Feature, f.Evidence, f.Threshold, f.PSI)
			require.Equal(t, f.PSI < sequential.Floor, f.Evidence == 0, f)
			require.Equal(t, sequential.Required(f.PSI), f.Threshold)
			require.Equal(t, f.PSI, f.EvidencePSI)
			require.Equal(t, tally.Decisions, f.EvidenceOf)
			if i < len(w.Features) && f.State == drift.Quiet && f.PSIAllBins > 0.005 {
				quiet++ // beyond doubt, and too small to count
			}
			if f.State == drift.Act {
				told++
			}
		}
	}
	require.Greater(t, quiet, 5)
	require.Greater(t, told, 20)
}

// What a row of the live status says of evidence comes of the blocks that it names.
func TestStatus_EvidenceIsOfTheBlocksItNames(t *testing.T) {
	t.Parallel()
	b := newBench(t, 30)
	b.blocks(10)
	b.city.Move("limit_bal", 1.2)
	b.blocks(2)
	for _, w := range b.status().Windows {
		for _, f := range append(w.Features, w.Score) {
			require.True(t, f.Evidence == 0 || f.EvidencePSI >= sequential.Floor, f.Feature)
			require.Equal(t, sequential.Required(f.EvidencePSI), f.Threshold)
			require.Zero(t, f.EvidenceOf%500)
			require.True(t, f.State != drift.Quiet || f.Evidence < sequential.Watch, f.Feature)
		}
		moved := w.Features[0]
		require.Equal(t, drift.Act, moved.State)
		require.GreaterOrEqual(t, moved.Evidence, moved.Threshold)
		require.GreaterOrEqual(t, moved.EvidencePSI, 0.05)
	}
}

func TestAlerts_SayBesideWhatFiredThemWhatItIsNow(t *testing.T) {
	t.Parallel()
	b := newBench(t, 31)
	b.judge.settings.MinFiring = time.Hour
	b.city.Move("limit_bal", 2)
	b.blocks(2)
	require.Equal(t, []string{"firing drift/limit_bal"}, b.told)
	fired := b.status().Alerts[0]
	b.blocks(3)
	more := b.status().Alerts[0]
	require.Equal(t, fired.Alert, more.Alert, "what it was when it fired stays")
	require.Equal(t, "evidence", more.Now.Statistic)
	require.Greater(t, more.Now.Value, more.Value)
	require.Greater(t, more.Now.EvaluatedAt, more.EvaluatedAt)
	require.Equal(t, b.judge.tests[0].reading.Evidence, more.Now.Value)
	b.city.Move("limit_bal", 0)
	b.blocks(30)
	calm := b.status().Alerts[0]
	require.Equal(t, fired.Value, calm.Value)
	require.Zero(t, calm.Now.Value, "it lasts an hour, and nothing is left of it")
	restored, _ := resume(testSettings, b.judge.champion, b.judge.snapshot(0), []drift.AlertStatus{calm}, b.city.At)
	require.Equal(t, calm.Now, restored.alerts["drift/limit_bal"].Now, "whoever takes over goes on from it")

	now := b.city.At + micros(testSettings.Quiet)
	require.NotNil(t, b.judge.silence(now))
	require.Nil(t, b.judge.silence(now+micros(time.Minute)))
	silent := b.judge.alerts[noDecisions]
	require.InDelta(t, silent.Value+60, silent.Now.Value, 1e-9)
}

// constantly is the shipped champion against a reference in which one column has one
// value, in bins with these edges.
func constantly(t *testing.T, feature int, edges []float64, counts ...int64) *drift.Champion {
	c := *drifttest.ShippedChampion(t)
	r := *c.Reference
	r.Features = slices.Clone(r.Features)
	for i := range counts {
		counts[i] *= r.Rows
	}
	r.Features[feature].Distribution, r.Features[feature].Missing = model.Distribution{Edges: edges, Counts: counts}, 0
	c.Reference = &r
	return &c
}

func TestConstantColumn_TenTimesItsValueFires(t *testing.T) {
	t.Parallel()
	const payAmt6 = schemas.NumFeatures - 1
	f := func(c *drift.Champion, bin int) *bench {
		b := newBench(t, 40)
		b.judge, b.city, b.views = newJudge(testSettings, c), drifttest.NewCity(c, 40), []*view{newView(Window{Name: "1000", Decisions: 1000}, c)}
		b.blocks(4)
		require.Empty(t, b.told)
		moved := make([]float64, len(c.Reference.Features[payAmt6].Counts))
		for i := bin; i < len(moved); i++ {
			moved[i] = 1
		}
		b.city.MoveTo(payAmt6, moved)
		b.blocks(2)
		return b
	}
	for _, bin := range []int{0, 2} { // below and above
		b := f(constantly(t, payAmt6, []float64{5000, 5001}, 0, 1, 0), bin)
		require.Equal(t, []string{"firing drift/pay_amt6"}, b.told)
		require.Empty(t, b.status().Reference.Unwatched)
		require.Equal(t, drift.Act, b.status().Windows[0].Features[payAmt6].State)
	}
	b := f(constantly(t, payAmt6, nil, 1), 0)
	require.Empty(t, b.told)
	require.Equal(t, "pay_amt6", b.status().Reference.Unwatched[0].Feature, "what cannot be seen is said")
}
