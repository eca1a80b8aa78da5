package judge

import (
	"fmt"
	"math"
	"strings"

	"github.com/creditstream/creditstream/drift/statistic"
)

// Canary judges the canary against the champion: two arms that different applicants
// fell to by chance.
func (t *Tally) Canary(version string, l Limits) *Judgement {
	a, b := &t.champion, &t.canary
	j := &Judgement{Role: roleCanary, ModelVersion: version, N: b.n, ChampionN: a.n, Unreadable: t.unreadable}
	j.Checks = []Check{
		errorCheck(a, b, l),
		approvalCheck(statistic.Newcombe(a.approved, a.n, b.approved, b.n), statistic.Share(a.approved, a.n), statistic.Share(b.approved, b.n), l),
		psiCheck(&a.scores, &b.scores, true, l),
		latencyCheck(a, b, l),
		armsAUC(a, b, l),
	}
	if a.n > 0 && b.n > 0 {
		j.Latency = &[2]Latency{a.percentiles(), b.percentiles()}
	} else {
		j.skip("there are decisions of one of the two at most")
	}
	j.conclude(min(a.n, b.n), l)
	return j
}

// Shadow judges the shadow against the champion: both said something of the same
// applications.
func (t *Tally) Shadow(version string, l Limits) *Judgement {
	s := &t.shadow
	j := &Judgement{Role: roleShadow, ModelVersion: version, N: s.n, ChampionN: s.n}
	j.Checks = []Check{
		upTo("flips", statistic.Wilson(s.flips, s.n), l.MaxFlips, fmt.Sprintf("%d of %d would be decided otherwise", s.flips, s.n)),
		approvalCheck(s.change.Interval(), statistic.Share(s.approved[0], s.n), statistic.Share(s.approved[1], s.n), l),
		psiCheck(&s.champion, &s.shadow, false, l),
		pairsAUC(s, l),
	}
	if s.n == 0 {
		j.skip("there are no decisions")
	}
	j.conclude(s.n, l)
	return j
}

// skip judges nothing but errors, which need no decisions of both.
func (j *Judgement) skip(why string) {
	for i := range j.Checks {
		if c := &j.Checks[i]; c.Name != errorsName {
			*c = Check{Name: c.Name, Limit: c.Limit, Result: Skipped, Says: why}
		}
	}
}

// conclude is the verdict. Scoring errors weigh at once; anything else once there
// are enough decisions, and never without any.
func (j *Judgement) conclude(n int64, l Limits) {
	var failed *Check // the first: errors come before all others
	var unclear []string
	for i := range j.Checks {
		switch c := &j.Checks[i]; {
		case c.Result == Fail && failed == nil:
			failed = c
		case c.Result == Unclear:
			unclear = append(unclear, c.Name+" is unclear: "+c.Says)
		}
	}
	least := max(1, l.MinN)
	switch {
	case failed != nil && (failed.Name == errorsName || n >= least):
		j.Verdict, j.Why = RollBack, failed.Name+": "+failed.Says
	case n < least:
		j.Verdict, j.Why = Hold, fmt.Sprintf("too few decisions: %d, expected at least %d of each", n, least)
	case len(unclear) > 0:
		j.Verdict, j.Why = Hold, strings.Join(unclear, "; ")
	default:
		j.Verdict, j.Why = Promote, "every limit is kept"
	}
}

// upTo holds a figure below a limit.
func upTo(name string, i statistic.Interval, limit float64, says string) Check {
	c := Check{Name: name, Value: i.Value, Lower: &i.Lower, Upper: &i.Upper, Limit: limit, Says: says, Result: Unclear}
	switch {
	case i.Lower > limit:
		c.Result = Fail
	case i.Upper <= limit:
		c.Result = Pass
	}
	return c
}

// within holds a figure within a limit either way.
func within(name string, i statistic.Interval, limit float64, says string) Check {
	c := Check{Name: name, Value: i.Value, Lower: &i.Lower, Upper: &i.Upper, Limit: limit, Says: says, Result: Unclear}
	switch {
	case i.Lower > limit || i.Upper < -limit:
		c.Result = Fail
	case i.Lower >= -limit && i.Upper <= limit:
		c.Result = Pass
	}
	return c
}

const errorsName = "errors"

// errorCheck holds the difference of the shares below the limit. As long as there
// are few decisions, none with an error says little: how many would do is told.
func errorCheck(a, b *arm, l Limits) Check {
	i := statistic.Newcombe(a.errors, a.n+a.errors, b.errors, b.n+b.errors)
	c := upTo(errorsName, i, l.MaxErrors, fmt.Sprintf("%d of the candidate's %d applications could not be scored, %d of the champion's %d", b.errors, b.n+b.errors, a.errors, a.n+a.errors))
	if c.Result == Unclear && a.errors+b.errors == 0 && l.MaxErrors > 0 {
		c.Says += fmt.Sprintf("; without an error %d decisions keep the limit", errorFree(l.MaxErrors))
	}
	ra, rb := statistic.Share(a.errors, a.n+a.errors), statistic.Share(b.errors, b.n+b.errors)
	c.Champion, c.Subject = &ra, &rb
	return c
}

// errorFree is how many decisions without an error show that errors are rarer than
// the limit: the upper end of Wilson's interval is z²/(n + z²) then.
func errorFree(limit float64) int64 {
	const z2 = statistic.Normal95 * statistic.Normal95
	return int64(math.Ceil(z2 * (1 - min(1, limit)) / limit))
}

func approvalCheck(gain statistic.Interval, champion, candidate float64, l Limits) Check {
	c := within("approval rate", gain, l.MaxApprovalChange, fmt.Sprintf("it approves %.2f %%, the champion %.2f %%", 100*candidate, 100*champion))
	c.Champion, c.Subject = &champion, &candidate
	return c
}

// psiCheck compares scores. The index has no interval: one that is within the limit
// keeps it, for chance only adds to it. Of two arms it is above 0 by chance alone, and
// only what exceeds that breaks a limit.
func psiCheck(a, b *statistic.Scores, arms bool, l Limits) Check {
	shift := a.Shift(b)
	least, says := shift.PSI, fmt.Sprintf("PSI %.4f", shift.PSI)
	if arms {
		least = max(0, shift.PSI-shift.Noise)
		says += fmt.Sprintf(", of which chance may be %.4f", min(shift.PSI, shift.Noise))
	}
	c := Check{Name: "score PSI", Value: shift.PSI, Limit: l.MaxPSI, Says: says, Result: Unclear}
	switch {
	case least > l.MaxPSI:
		c.Result = Fail
	case shift.PSI <= l.MaxPSI:
		c.Result = Pass
	}
	return c
}

// slightLatency is a difference nobody minds, seconds.
const slightLatency = 0.010

// latencyCheck compares the 99th percentiles, as a ratio. Its interval is made of
// those of the two, which are the order statistics around them: it is wider than
// 95 %. A difference that is slight at its largest keeps every limit.
func latencyCheck(a, b *arm, l Limits) Check {
	const q = 0.99
	c := Check{Name: "latency", Limit: l.MaxLatency}
	champion, lowA, highA := a.quantile(q)
	candidate, lowB, highB := b.quantile(q)
	c.Champion, c.Subject = &champion, &candidate
	c.Says = fmt.Sprintf("p99 from applied to decided %.1f ms, the champion's %.1f ms", 1e3*candidate, 1e3*champion)
	ratio := func(over, under float64) float64 { return max(0, over) / max(under, slightLatency) }
	i := statistic.Interval{Value: ratio(candidate, champion), Lower: ratio(lowB, highA), Upper: ratio(highB, lowA)}
	c.Value, c.Lower, c.Upper = i.Value, &i.Lower, &i.Upper
	switch {
	case i.Upper <= l.MaxLatency || highB-lowA <= slightLatency:
		c.Result = Pass
	case i.Lower > l.MaxLatency && lowB-highA > slightLatency:
		c.Result = Fail
	default:
		c.Result = Unclear
	}
	return c
}

// quantile is a quantile of the latency and its 95 % interval.
func (a *arm) quantile(q float64) (at, low, high float64) {
	spread := statistic.Normal95 * math.Sqrt(q*(1-q)/float64(a.n))
	value := func(q float64) float64 {
		v, err := a.latency.GetValueAtQuantile(min(1, max(0, q)))
		if err != nil { // nothing was decided: see skip
			return 0
		}
		return v
	}
	return value(q), value(q - spread), value(q + spread)
}

func (a *arm) percentiles() Latency {
	p50, _, _ := a.quantile(0.5)
	p99, _, _ := a.quantile(0.99)
	return Latency{p50, p99}
}

// aucCheck: a loss beyond the limit, for certain, breaks it; one within it, for
// certain, keeps it.
func aucCheck(gain statistic.Interval, champion, candidate float64, says string, l Limits) Check {
	c := Check{
		Name: "AUC", Value: gain.Value, Lower: &gain.Lower, Upper: &gain.Upper, Limit: -l.MaxAUCLoss, Result: Unclear,
		Champion: &champion, Subject: &candidate, Says: fmt.Sprintf("%.4f, the champion's %.4f, on %s", candidate, champion, says),
	}
	switch {
	case gain.Upper < -l.MaxAUCLoss:
		c.Result = Fail
	case gain.Lower >= -l.MaxAUCLoss:
		c.Result = Pass
	}
	return c
}

func tooFewOutcomes(l Limits) Check {
	return Check{Name: "AUC", Limit: -l.MaxAUCLoss, Result: Skipped, Says: fmt.Sprintf("too few outcomes: it takes %d loans that defaulted and %d that did not", l.MinOutcomes, l.MinOutcomes)}
}

func enough(a *statistic.Areas, l Limits) bool {
	return int64(a.Bads) >= l.MinOutcomes && int64(a.Goods) >= l.MinOutcomes
}

func armsAUC(a, b *arm, l Limits) Check {
	areasA, okA := statistic.DeLong(a.defaulted, a.probability)
	areasB, okB := statistic.DeLong(b.defaulted, b.probability)
	if !okA || !okB || !enough(&areasA, l) || !enough(&areasB, l) {
		return tooFewOutcomes(l)
	}
	says := fmt.Sprintf("%d and %d known outcomes (%d and %d of them of approved applications)", len(b.defaulted), len(a.defaulted), b.granted, a.granted)
	return aucCheck(areasA.GainOver(&areasB), areasA.AUC[0], areasB.AUC[0], says, l)
}

func pairsAUC(s *pairs, l Limits) Check {
	areas, ok := statistic.DeLong(s.defaulted, s.byChampion, s.byShade)
	if !ok || !enough(&areas, l) {
		return tooFewOutcomes(l)
	}
	return aucCheck(areas.Gain(0, 1), areas.AUC[0], areas.AUC[1], fmt.Sprintf("the same %d known outcomes (%d of them of applications that the champion approved)", len(s.defaulted), s.granted), l)
}
