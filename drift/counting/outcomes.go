package counting

import (
	"cmp"
	"math"
	"slices"

	"github.com/creditstream/creditstream/drift"
)

// OutcomeCounter counts what became of loans. Its zero value has counted nothing; it
// serves one goroutine at a time.
type OutcomeCounter struct {
	matched, unmatched, duplicate, late, declined int64
	apart                                         drift.OutcomesApart
	loans                                         map[loanKey]*drift.OutcomeCounts
}

type loanKey struct {
	version string
	score   int32
}

// certain keeps the logarithm of a probability of 0 or 1 finite.
const certain = 1e-15

// Outcome is one that was joined with its decision, or found none.
type Outcome struct {
	Claimed
	Defaulted  bool
	Late       bool // told long after it was observed
	KeyDiffers bool // the record's key is not the application_id
}

// Add counts an outcome.
func (c *OutcomeCounter) Add(o Outcome) {
	if o.KeyDiffers {
		c.apart.KeyDiffers++
	}
	switch o.State {
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
	if o.Late {
		c.late++
	}
	if o.Declined { // no loan that was granted, which is what figures are of
		c.declined++
		return
	}
	p := o.Probability
	key := loanKey{o.ModelVersion, drift.ScoreBin(p)}
	l := c.loans[key]
	if l == nil {
		if c.loans == nil {
			c.loans = map[loanKey]*drift.OutcomeCounts{}
		}
		l = &drift.OutcomeCounts{ModelVersion: key.version, Score: key.score}
		c.loans[key] = l
	}
	l.Loans++
	l.Probabilities += p
	happened, outcome := 1-p, 0.0
	if o.Defaulted {
		l.Defaulted++
		happened, outcome = p, 1
	}
	l.Squares += (p - outcome) * (p - outcome)
	l.LogLoss -= math.Log(max(certain, min(1-certain, happened)))
}

// Fill writes what was counted into a pane, which gets memory of its own.
func (c *OutcomeCounter) Fill(p *drift.Pane) {
	p.Read, p.Matched, p.NoMatch, p.Repeated = c.matched+c.unmatched+c.duplicate, c.matched, c.unmatched, c.duplicate
	p.Late, p.Declined, p.OutcomesApart = c.late, c.declined, c.apart
	for _, l := range c.loans {
		p.Outcomes = append(p.Outcomes, *l)
	}
	slices.SortFunc(p.Outcomes, func(a, b drift.OutcomeCounts) int {
		return cmp.Or(cmp.Compare(a.ModelVersion, b.ModelVersion), cmp.Compare(a.Score, b.Score))
	})
}
