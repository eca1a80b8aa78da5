// Package statistic has the figures that decisions are judged by, as pure functions:
// of counts in bins, how far two distributions are apart, how well a score ranks, and
// how likely chance is; of single scores and labels, areas under ROC curves and their
// difference, shares, means and shifts, each with an interval that says how certain it
// is. SciPy, scikit-learn and NumPy compute the same of the same bins (testdata, written
// by retrain/credit-retrain drift-fixtures).
package statistic

import "math"

// Count is what bins hold: how often a value came, or the sum of the weights of
// those that did.
type Count interface{ ~int64 | ~float64 }

// Sum is what all bins hold together.
func Sum[T Count](bins []T) (n T) {
	for _, c := range bins {
		n += c
	}
	return n
}

// Share is part / whole, 0 of nothing.
func Share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// known is a figure as it stands, and 0 where it is none: counts that cannot be, as
// those below 0, say nothing. A NaN would be passed on for ever.
func known(figure float64) float64 {
	if math.IsNaN(figure) || math.IsInf(figure, 0) {
		return 0
	}
	return figure
}

// Representatives are the values that stand for bins with these edges (see
// model.Distribution): the middle of a bin between two edges; of the two open
// ones, as far beyond their edge as the next one's middle is on its other side.
// One edge alone has half a unit on either side.
func Representatives(edges []float64) []float64 {
	at := make([]float64, len(edges)+1)
	for i := 1; i < len(edges); i++ {
		at[i] = (edges[i-1] + edges[i]) / 2
	}
	switch n := len(edges); n {
	case 0:
	case 1:
		at[0], at[1] = edges[0]-0.5, edges[0]+0.5
	default:
		at[0] = 2*edges[0] - at[1]
		at[n] = 2*edges[n-1] - at[n-1]
	}
	return at
}
