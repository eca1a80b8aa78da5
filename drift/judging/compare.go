package judging

import (
	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/drift/statistic"
	"github.com/creditstream/creditstream/model"
)

// Compare is what one tally shows against the reference, judged by itself: its
// evidence is that of one look at these decisions. fair is the limit that ratios of
// approval rates are held against.
func Compare(name string, t *Tally, c *drift.Champion, fair float64) drift.WindowStatus {
	w := drift.WindowStatus{Name: name, From: t.From, To: t.To, Decisions: t.Decisions, State: drift.Quiet, Features: []drift.FeatureStatus{}}
	for i := range c.Reference.Features {
		f := &c.Reference.Features[i]
		s := distances(f.Name, &f.Distribution, f.Missing, f.OutOfRange, t.Features[i])
		sayOnce(&s, featureCells(f), t.Features[i])
		w.Features = append(w.Features, s)
		w.State = worse(w.State, s.State)
	}
	scores := &c.Reference.Scores
	w.Score = distances(drift.ScoreName, scores, 0, 0, withOutside(t.Scores, 0, 0))
	sayOnce(&w.Score, scoreCells(scores), t.Scores)
	w.Rates = rates(t, decisionCells(scores, c.Policy))
	w.Groups = fairness(t.Groups, fair)
	w.Expected = expected(t)
	for _, g := range w.Groups {
		w.State = worse(w.State, g.State)
	}
	w.State = worse(worse(w.State, w.Score.State), w.Rates.State)
	return w
}

// sayOnce sets what one look at these bins decides of a feature.
func sayOnce(s *drift.FeatureStatus, cells *sequential.Cells, bins []int64) {
	look := cells.Look(cells.Sum(bins))
	s.PSI, s.State = look.PSI, stateOf(look)
	s.Evidence, s.Threshold, s.EvidencePSI, s.EvidenceOf = look.Evidence, look.Required, look.PSI, statistic.Sum(bins)
}

// stateOf is what a look amounts to.
func stateOf(l sequential.Look) string {
	switch {
	case l.Shifted():
		return drift.Act
	case l.Worth():
		return drift.Watch
	}
	return drift.Quiet
}

// distances are the figures that do not decide. bins are a feature's, then missing,
// then out of range: PSI, Jensen-Shannon distance and chi-square take those two for
// bins as well, the others need an order and look at values alone.
func distances(name string, r *model.Distribution, missing, outOfRange int64, bins []int64) drift.FeatureStatus {
	values := bins[:len(bins)-2]
	reference := withOutside(r.Counts, missing, outOfRange)
	n := statistic.Sum(bins)
	s := drift.FeatureStatus{
		Feature:       name,
		State:         drift.Quiet,
		PSIAllBins:    statistic.PSI(reference, bins),
		JensenShannon: statistic.JensenShannon(reference, bins),
		KS:            statistic.KS(r.Counts, values),
		Wasserstein:   statistic.Wasserstein(statistic.Representatives(r.Edges), r.Counts, values),
		Missing:       statistic.Share(bins[len(bins)-2], n),
		OutOfRange:    statistic.Share(bins[len(bins)-1], n),
		Reference:     r.Counts,
		Current:       values,
	}
	s.ChiSquare, _, s.ChiSquareP = statistic.ChiSquare(reference, bins)
	return s
}

// rates are the champion's shares of decisions, and how far they are from the
// reference's, as that is closest to them: see decisionCells.
func rates(t *Tally, cells *sequential.Cells) drift.RateStatus {
	n, current := t.Decided.Total(), decided(t)
	look := cells.Look(current)
	reference := cells.Closest(current)
	r := drift.RateStatus{
		State: stateOf(look), Evidence: look.Evidence, Threshold: look.Required, EvidencePSI: look.PSI, EvidenceOf: n, Reference: reference,
		PSI: look.PSI, PSIAllBins: statistic.PSI(reference, current), JensenShannon: statistic.JensenShannon(reference, current),
		Approve: statistic.Share(t.Decided.Approve, n),
		Refer:   statistic.Share(t.Decided.Refer, n), Decline: statistic.Share(t.Decided.Decline, n),
	}
	if n > 0 {
		r.DefaultExpected = t.Probabilities / float64(n)
	}
	r.ChiSquare, _, r.ChiSquareP = statistic.ChiSquare(reference, current)
	return r
}

// decided are the champion's decisions in the order of decisionCells.
func decided(t *Tally) []int64 {
	counts := make([]int64, 3)
	counts[approved], counts[referred], counts[declined] = t.Decided.Approve, t.Decided.Refer, t.Decided.Decline
	return counts
}

// worse is the worse of two states.
func worse(a, b string) string {
	for _, s := range []string{drift.Act, drift.Watch} {
		if a == s || b == s {
			return s
		}
	}
	return drift.Quiet
}
