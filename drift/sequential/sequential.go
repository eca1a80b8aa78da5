// Package sequential decides whether a stream has left its reference: one test,
// looked at after every block of decisions, whose false alarms are a setting and
// not a consequence of how often one looks (docs/decisions).
package sequential

import (
	"github.com/creditstream/creditstream/drift/statistic"
)

const (
	// BlockSize is the least number of decisions in a block.
	BlockSize = 500
	// Blocks is how many are looked back at.
	Blocks = 16
	// recent is how many an end of drift is told from.
	recent = 4
)

// The setting that make bench-drift measures.
const (
	// Act is the evidence from which a shift is one: -log10 of the probability that
	// a difference as large comes of chance, for one feature at one look. A small
	// shift takes more: see Required.
	Act = 8
	// Watch is the evidence from which a shift is worth a look.
	Watch = 4
	// Floor is the least PSI that counts, less its noise: with enough decisions any
	// difference is beyond doubt, also one that does not matter.
	Floor = 0.02
	// Full is the PSI, less its noise, from which Act is enough.
	Full = 0.05
	// Calm is how many blocks in a row must look like the reference before a shift
	// is over.
	Calm = 3
)

// Required is the evidence from which a shift of this PSI, less its noise, is one. A
// small shift that is told at once is mostly one that nobody would act on: it takes as
// many times the evidence as it is smaller than Full, which is 20 at Floor.
func Required(psi float64) float64 { return Act * max(1, Full/max(psi, Floor)) }

// Look is what one look at some decisions says.
type Look struct {
	// Evidence is -log10 of the probability that chance makes a difference as large;
	// 0 of a difference whose PSI is below Floor, which counts for nothing.
	Evidence float64
	// PSI is that of the test's cells, less its noise, from 0: the one that decides.
	PSI float64
	// Required is the evidence from which a difference of this PSI is a shift.
	Required float64
}

// Shifted says that there is a shift.
func (l Look) Shifted() bool { return l.Worth() && l.Evidence >= l.Required }

// Worth says that there may be one: it is worth a look.
func (l Look) Worth() bool { return l.Evidence >= Watch }

// Reading is what a Test says after a block.
type Reading struct {
	// Look is that of the last 1, 2, 4, 8 or 16 blocks, of those that come closest to
	// what they require; of all that are looked back at where none has evidence.
	Look
	// Back is how many blocks those are, Decisions how many decisions.
	Back      int
	Decisions int64
	// Recent is the most evidence that the last 1, 2 or 4 blocks have, of those whose
	// PSI is half of Floor or more: what hovers around it must not fire again and
	// again. Below Watch the shift is gone.
	Recent float64
	// RecentBack is how many blocks those are; where there are none, how many were
	// looked at.
	RecentBack int
}

// Gone says that the last blocks no longer tell of a shift.
func (r Reading) Gone() bool { return r.Recent < Watch }

// Test compares the last blocks of a stream with its reference.
type Test struct {
	Cells *Cells
	Past  [][]int64 // cells of each block, the newest last
}

// Add looks at one more block, counted in the reference's bins.
func (t *Test) Add(bins []int64) Reading {
	if len(t.Past) == Blocks {
		copy(t.Past, t.Past[1:])
		t.Past = t.Past[:Blocks-1]
	}
	t.Past = append(t.Past, t.Cells.Sum(bins))
	return t.Read()
}

// Read looks at what there is.
func (t *Test) Read() Reading {
	r := Reading{Look: lookOf(0, 0)}
	sum := make([]int64, len(t.Cells.reference))
	for back := 1; back <= len(t.Past); back++ {
		for i, n := range t.Past[len(t.Past)-back] {
			sum[i] += n
		}
		if back&(back-1) != 0 {
			continue
		}
		evidence, psi := t.Cells.compare(sum)
		one := lookOf(evidence, psi)
		if r.Evidence == 0 || one.Evidence*r.Required > r.Evidence*one.Required {
			r.Look, r.Back, r.Decisions = one, back, statistic.Sum(sum)
		}
		if back > recent {
			continue
		}
		if psi >= Floor/2 && evidence > r.Recent {
			r.Recent, r.RecentBack = evidence, back
		}
		if r.Recent == 0 {
			r.RecentBack = back
		}
	}
	return r
}

// Look looks at counts in the test's cells as if nothing had been looked at before.
func (c *Cells) Look(current []int64) Look { return lookOf(c.compare(current)) }

func lookOf(evidence, psi float64) Look {
	if psi < Floor {
		evidence = 0
	}
	return Look{Evidence: evidence, PSI: psi, Required: Required(psi)}
}

// compare is the evidence of a difference of any size, and its PSI less its noise,
// from 0.
func (c *Cells) compare(current []int64) (evidence, psi float64) {
	reference := c.Closest(current)
	g, df := statistic.G(reference, current)
	if df == 0 {
		return 0, 0
	}
	noise := statistic.PSINoise(df+1, statistic.Sum(reference), statistic.Sum(current))
	return statistic.Evidence(g, df), max(0, statistic.PSI(reference, current)-noise)
}

// Forget begins anew, as after a shift that is over: what was counted during it
// must not be told again.
func (t *Test) Forget() { t.Past = nil }
