package compare

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/creditstream/creditstream/drift/statistic"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Segment is a stretch of one feature's values in which more decisions flip than
// elsewhere.
type Segment struct {
	Feature string             `json:"feature"`
	Values  string             `json:"values"` // "2", "1000 … 4999", "missing"
	N       int64              `json:"n"`
	Flips   int64              `json:"flips"`
	Share   statistic.Interval `json:"flip_share"`
	Lift    float64            `json:"lift"` // times the share among all
}

const (
	// shownSegments is how many are listed.
	shownSegments = 10
	// leastSegment is how many applications a segment must have.
	leastSegment = 50
)

// segments counts flips by the bins of a reference, a bin for missing values behind
// them.
type segments struct {
	reference *model.Reference
	counts    [schemas.NumFeatures][]segmentCount
}

type segmentCount struct{ n, flips int64 }

func newSegments(r *model.Reference) *segments {
	s := &segments{reference: r}
	for i := range s.counts {
		s.counts[i] = make([]segmentCount, len(r.Features[i].Counts)+1)
	}
	return s
}

func (s *segments) add(f *schemas.Features, flipped bool) {
	for i, v := range f {
		counts := s.counts[i]
		bin := len(counts) - 1
		if v != schemas.Missing {
			bin = s.reference.Features[i].Bin(float64(v))
		}
		counts[bin].n++
		if flipped {
			counts[bin].flips++
		}
	}
}

// result lists where flips are more frequent than by chance: the lower end of a
// segment's share is above the share among all.
func (s *segments) result(n, flips int64) []Segment {
	found := []Segment{}
	if flips == 0 {
		return found
	}
	overall := float64(flips) / float64(n)
	for i := range s.counts {
		for bin, c := range s.counts[i] {
			share := statistic.Wilson(c.flips, c.n)
			if c.n < leastSegment || share.Lower <= overall {
				continue
			}
			found = append(found, Segment{schemas.FeatureRules[i].Name, s.values(i, bin), c.n, c.flips, share, share.Value / overall})
		}
	}
	slices.SortStableFunc(found, func(a, b Segment) int { return cmp.Compare(b.Share.Lower, a.Share.Lower) })
	return found[:min(len(found), shownSegments)]
}

// values names a bin by the whole numbers it holds.
func (s *segments) values(feature, bin int) string {
	edges, rule := s.reference.Features[feature].Edges, schemas.FeatureRules[feature]
	if bin > len(edges) {
		return "missing"
	}
	low, high := int64(rule.Min), int64(rule.Max)
	if bin > 0 {
		low = int64(math.Ceil(edges[bin-1]))
	}
	if bin < len(edges) {
		high = int64(math.Ceil(edges[bin])) - 1
	}
	if low == high {
		return strconv.FormatInt(low, 10)
	}
	return strconv.FormatInt(low, 10) + " … " + strconv.FormatInt(high, 10)
}
