package sequential

import (
	"slices"

	"github.com/creditstream/creditstream/drift/statistic"
)

// rareShare is the share of the reference below which a bin is rare: of a block of
// 500 decisions five are expected in one that is not, which the chi-square
// approximation asks for.
const rareShare = 0.01

// Cells are what a Test compares: bins of a reference, those too rare to be judged
// alone put together. Which go where follows from the reference alone.
type Cells struct {
	of        []int   // cell of each bin
	reference []int64 // counts of each cell
	uncertain []Uncertain
}

// Bins are cells of their own except for those with less than a hundredth of the
// reference, which share the first cell wherever they lie: that a value comes at
// all that hardly ever came is told best together.
func Bins(reference []int64) *Cells {
	n := statistic.Sum(reference)
	c := &Cells{of: make([]int, len(reference)), reference: make([]int64, 1, len(reference)+1)}
	for i, r := range reference {
		if float64(r) >= rareShare*float64(n) && r > 0 {
			c.of[i] = len(c.reference)
			c.reference = append(c.reference, r)
		} else {
			c.reference[0] += r
		}
	}
	return c
}

// Neighbours are cells of neighbouring bins with at least 1/parts of the reference
// each: for fine bins of something that is in order.
func Neighbours(reference []int64, parts int) *Cells {
	n := statistic.Sum(reference)
	c := &Cells{of: make([]int, len(reference)), reference: []int64{0}}
	left := n
	for i, r := range reference {
		last := len(c.reference) - 1
		// A cell is full when it has its part, and enough is left for another.
		if n > 0 && c.reference[last]*int64(parts) >= n && left*int64(parts) >= n {
			c.reference = append(c.reference, 0)
			last++
		}
		c.of[i] = last
		c.reference[last] += r
		left -= r
	}
	return c
}

// Uncertain is a part of the reference that may lie in either of two cells: it is
// counted in In, and up to Most of it may belong to Other.
type Uncertain struct {
	In, Other int
	Most      int64
}

// Known are cells of counts as they are, but for what the reference does not know.
func Known(reference []int64, parts ...Uncertain) *Cells {
	c := &Cells{of: make([]int, len(reference)), reference: slices.Clone(reference), uncertain: parts}
	for i := range c.of {
		c.of[i] = i
	}
	return c
}

// Sum is what bins hold in the cells.
func (c *Cells) Sum(bins []int64) []int64 {
	cells := make([]int64, len(c.reference))
	for i, n := range bins {
		cells[c.of[i]] += n
	}
	return cells
}

// Closest is the reference that is closest to what was counted, among all that it
// may be: a difference that it cannot exclude is no evidence.
func (c *Cells) Closest(current []int64) []int64 {
	if len(c.uncertain) == 0 {
		return c.reference
	}
	reference := slices.Clone(c.reference)
	n, m := statistic.Sum(current), statistic.Sum(reference)
	if n == 0 {
		return reference
	}
	for _, s := range c.uncertain {
		wanted := int64(float64(current[s.Other])/float64(n)*float64(m)+0.5) - reference[s.Other]
		moved := max(0, min(wanted, s.Most))
		reference[s.In] -= moved
		reference[s.Other] += moved
	}
	return reference
}

// Of is the cell of a bin.
func (c *Cells) Of(bin int) int { return c.of[bin] }

// Fit says whether counts of earlier blocks have these cells.
func (c *Cells) Fit(blocks [][]int64) bool {
	for _, b := range blocks {
		if len(b) != len(c.reference) {
			return false
		}
	}
	return true
}
