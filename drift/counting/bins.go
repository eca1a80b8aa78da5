// Package counting counts decisions, and outcomes that were joined with theirs, into
// panes. It knows no clock and no Kafka: drift/aggregate is the loop around it.
package counting

import (
	"math"
	"math/bits"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Bins are a reference's bins, laid out for counting: all counters of all features
// stand in one row of slots.
type Bins struct {
	Reference string // its digest
	features  [schemas.NumFeatures]featureBins
	slots     int
}

// featureBins find the slot of a value. Its range is cut into cells of equal width;
// guess is the bin of a cell's first value, from where few steps, mostly none, lead
// to the value's own.
type featureBins struct {
	min   int32
	span  uint32 // of the contract's range; what is Missing lies outside
	shift uint8  // a cell is 1<<shift wide
	first int    // slot of the first bin; behind the bins: missing, out of range
	guess []uint16
	ends  []int32 // a bin holds values below its end; the last has no end
}

// maxCells bounds how finely a range is cut: the tables of a reference's features
// together stay within a core's cache.
const maxCells = 1 << 12

// NewBins lays out a reference's bins.
func NewBins(r *model.Reference) *Bins {
	b := &Bins{Reference: r.Digest()}
	for i := range b.features {
		rule := &schemas.FeatureRules[i]
		f := &b.features[i]
		f.min, f.span, f.first = rule.Min, uint32(rule.Max-rule.Min), b.slots
		f.shift = uint8(max(0, bits.Len32(f.span)-bits.Len32(maxCells-1)))
		for _, e := range r.Features[i].Edges {
			// A whole number is below an edge where it is below the next whole number.
			f.ends = append(f.ends, int32(max(math.MinInt32, min(math.MaxInt32, math.Ceil(e)))))
		}
		f.ends = append(f.ends, math.MaxInt32)
		at := 0
		for cell := range f.span>>f.shift + 1 {
			for from := f.min + int32(cell<<f.shift); from >= f.ends[at]; {
				at++
			}
			f.guess = append(f.guess, uint16(min(at, math.MaxUint16)))
		}
		b.slots += len(f.ends) + 2
	}
	return b
}

// slot is the counter of a value.
func (f *featureBins) slot(v int32) int {
	u := uint32(v) - uint32(f.min)
	if u > f.span {
		if v == schemas.Missing {
			return f.first + len(f.ends)
		}
		return f.first + len(f.ends) + 1
	}
	at := int(f.guess[u>>f.shift])
	for v >= f.ends[at] {
		at++
	}
	return f.first + at
}
