package drift

import "fmt"

const (
	// mostCounted bounds each number of a pane: millions of such panes add up
	// before an int64 overflows.
	mostCounted = 1 << 40
	// mostWidth bounds a bucket: a year, in seconds.
	mostWidth = 366 * 86400
	// mostLogLoss bounds what one outcome adds: counters take a probability for
	// 1e-15 at least.
	mostLogLoss = 40
	// slack is what adding many probabilities may be off by, as a share.
	slack = 1e-6
)

// check says what of a pane's numbers is none, or contradicts another one. All that
// adds panes up, and every statistic of their sums, relies on it.
func (p *Pane) check() error {
	if p.Partition < 0 || p.From < 0 || p.To < p.From {
		return fmt.Errorf("partition %d, from %d, to %d: expected 0 or more, and to not before from", p.Partition, p.From, p.To)
	}
	if p.Width < 0 || p.Width > mostWidth {
		return fmt.Errorf("width is %d, expected 0 … %d", p.Width, mostWidth)
	}
	for _, c := range []struct {
		name string
		n    int64
	}{{"decisions", p.Decisions}, {"malformed", p.Malformed}, {"read", p.Read}} {
		if c.n < 0 || c.n > mostCounted {
			return fmt.Errorf("%s is %d, expected 0 … %d", c.name, c.n, mostCounted)
		}
	}
	if err := p.checkDecisions(); err != nil {
		return err
	}
	return p.checkOutcomes()
}

func (p *Pane) checkDecisions() error {
	for i, f := range p.Features {
		values := sum{}
		values.add(f.Missing, f.OutOfRange)
		values.add(f.Bins...)
		if err := values.is(p.Decisions, "decisions"); err != nil {
			return fmt.Errorf("features.%d %w", i, err)
		}
	}
	groups := map[string]*sum{}
	for _, g := range p.Groups {
		if groups[g.Attribute] == nil {
			groups[g.Attribute] = &sum{}
		}
		groups[g.Attribute].add(g.Approve, g.Refer, g.Decline)
	}
	for attribute, s := range groups {
		if err := s.is(p.Decisions, "decisions"); err != nil {
			return fmt.Errorf("groups of %s %w", attribute, err)
		}
	}
	versions := sum{}
	for i := range p.Versions {
		n, err := p.Versions[i].check()
		if err != nil {
			return fmt.Errorf("versions.%d %w", i, err)
		}
		versions.add(n)
	}
	if err := versions.is(p.Decisions, "decisions"); err != nil {
		return fmt.Errorf("versions %w", err)
	}
	return nil
}

// check returns how many decisions a version's counts are of.
func (v *VersionCounts) check() (int64, error) {
	all := sum{}
	all.add(v.Approve, v.Refer, v.Decline)
	if all.wrong {
		return 0, fmt.Errorf("counts approve %d, refer %d, decline %d, expected 0 … %d", v.Approve, v.Refer, v.Decline, mostCounted)
	}
	n := all.n
	if err := scored(v.Scores, n); err != nil {
		return 0, fmt.Errorf("scores: %w", err)
	}
	shadows := n
	if v.ShadowVersion == "" {
		shadows = 0
	}
	if err := scored(v.ShadowScores, shadows); err != nil {
		return 0, fmt.Errorf("shadow_scores: %w", err)
	}
	if err := within("defaults", v.Defaults, n); err != nil {
		return 0, err
	}
	if err := within("shadow_flips", v.ShadowFlips, shadows); err != nil {
		return 0, err
	}
	return n, weighs("probabilities", v.Probabilities, float64(n))
}

func (p *Pane) checkOutcomes() error {
	read := sum{}
	read.add(p.Matched, p.NoMatch, p.Repeated)
	if read.wrong || read.n != p.Read {
		return fmt.Errorf("matched + unmatched + duplicate is %d + %d + %d, expected %d (read)", p.Matched, p.NoMatch, p.Repeated, p.Read)
	}
	if p.Late < 0 || p.Late > p.Matched {
		return fmt.Errorf("late is %d, expected 0 … %d (matched)", p.Late, p.Matched)
	}
	if p.Declined < 0 || p.Declined > p.Matched {
		return fmt.Errorf("declined is %d, expected 0 … %d (matched)", p.Declined, p.Matched)
	}
	unlabelled := sum{}
	unlabelled.add(p.TooOld, p.Before)
	if unlabelled.wrong || unlabelled.n > p.NoMatch {
		return fmt.Errorf("outcome_too_old + outcome_before_decision is %d + %d, expected 0 … %d (unmatched)", p.TooOld, p.Before, p.NoMatch)
	}
	if err := within("outcome_key_differs", p.KeyDiffers, p.Read); err != nil {
		return err
	}
	loans := sum{}
	for i := range p.Outcomes {
		if err := p.Outcomes[i].check(); err != nil {
			return fmt.Errorf("outcomes.%d %w", i, err)
		}
		loans.add(p.Outcomes[i].Loans)
	}
	if err := loans.is(p.Matched-p.Declined, "matched, less declined"); err != nil {
		return fmt.Errorf("outcomes %w", err)
	}
	return nil
}

func (o *OutcomeCounts) check() error {
	if o.Loans < 1 || o.Loans > mostCounted {
		return fmt.Errorf("loans is %d, expected 1 … %d", o.Loans, mostCounted)
	}
	if err := within("defaulted", o.Defaulted, o.Loans); err != nil {
		return err
	}
	if !isScoreBin(o.Score) {
		return fmt.Errorf("score is %d, expected %d … %d", o.Score, FirstScore, FirstScore+ScoreBins-1)
	}
	n := float64(o.Loans)
	for _, c := range []struct {
		name        string
		value, most float64
	}{{"probabilities", o.Probabilities, n}, {"squares", o.Squares, n}, {"log_loss", o.LogLoss, mostLogLoss * n}} {
		if err := weighs(c.name, c.value, c.most); err != nil {
			return err
		}
	}
	return nil
}

// scored says whether bins of scores hold n decisions.
func scored(bins map[int32]int64, n int64) error {
	all := sum{}
	for bin, count := range bins {
		if !isScoreBin(bin) {
			return fmt.Errorf("bin %d, expected %d … %d", bin, FirstScore, FirstScore+ScoreBins-1)
		}
		all.add(count)
	}
	return all.is(n, "decisions")
}

func isScoreBin(bin int32) bool { return bin >= FirstScore && bin < FirstScore+ScoreBins }

func within(name string, n, most int64) error {
	if n < 0 || n > most {
		return fmt.Errorf("%s is %d, expected 0 … %d", name, n, most)
	}
	return nil
}

// weighs holds a sum of weights against the most that it can be.
func weighs(name string, value, most float64) error {
	if !(value >= 0 && value <= most*(1+slack)) {
		return fmt.Errorf("%s is %v, expected 0 … %v", name, value, most)
	}
	return nil
}

// sum adds counts up. It is wrong once one of them, or all together, cannot be.
type sum struct {
	n     int64
	wrong bool
}

func (s *sum) add(counts ...int64) {
	for _, c := range counts {
		if s.wrong = s.wrong || c < 0 || c > mostCounted || s.n+c > mostCounted; s.wrong {
			return
		}
		s.n += c
	}
}

func (s *sum) is(want int64, of string) error {
	switch {
	case s.wrong:
		return fmt.Errorf("has a count below 0 or more than %d of them, expected %d (%s)", mostCounted, want, of)
	case s.n != want:
		return fmt.Errorf("counts %d values, expected %d (%s)", s.n, want, of)
	}
	return nil
}
