package aggregate

import (
	"cmp"
	"math"
	"slices"

	"github.com/creditstream/creditstream/drift"
)

// outcomeCounter counts what became of loans.
type outcomeCounter struct {
	matched, unmatched, duplicate, late, declined int64
	apart                                         drift.OutcomesApart
	loans                                         map[loanKey]*drift.OutcomeCounts
}

type loanKey struct {
	version string
	score   int32
}

func (c *outcomeCounter) reset() { *c = outcomeCounter{loans: map[loanKey]*drift.OutcomeCounts{}} }

// certain keeps the logarithm of a probability of 0 or 1 finite.
const certain = 1e-15

func (c *outcomeCounter) add(joined Claimed, defaulted, late bool) {
	switch joined.State {
	case Unknown:
		c.unmatched++
		return
	case Before:
		c.unmatched++
		c.apart.Before++
		return
	case TooOld:
		c.unmatched++
		c.apart.TooOld++
		return
	case Repeated:
		c.duplicate++
		return
	}
	c.matched++
	if late {
		c.late++
	}
	if joined.Declined { // no loan that was granted, which is what figures are of
		c.declined++
		return
	}
	p := joined.Probability
	key := loanKey{joined.ModelVersion, drift.ScoreBin(p)}
	l := c.loans[key]
	if l == nil {
		l = &drift.OutcomeCounts{ModelVersion: key.version, Score: key.score}
		c.loans[key] = l
	}
	l.Loans++
	l.Probabilities += p
	happened, outcome := 1-p, 0.0
	if defaulted {
		l.Defaulted++
		happened, outcome = p, 1
	}
	l.Squares += (p - outcome) * (p - outcome)
	l.LogLoss -= math.Log(max(certain, min(1-certain, happened)))
}

func (c *outcomeCounter) fill(p *drift.Pane) {
	p.Read, p.Matched, p.NoMatch, p.Repeated = c.matched+c.unmatched+c.duplicate, c.matched, c.unmatched, c.duplicate
	p.Late, p.Declined, p.OutcomesApart = c.late, c.declined, c.apart
	for _, l := range c.loans {
		p.Outcomes = append(p.Outcomes, *l)
	}
	slices.SortFunc(p.Outcomes, func(a, b drift.OutcomeCounts) int {
		return cmp.Or(cmp.Compare(a.ModelVersion, b.ModelVersion), cmp.Compare(a.Score, b.Score))
	})
}
