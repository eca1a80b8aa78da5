package statistic

import (
	"math"
	"slices"
)

// Areas are the areas under the ROC curves of several scores of the same rows, with
// their covariance: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the
// Areas under Two or More Correlated Receiver Operating Characteristic Curves"
// (Biometrics 44, 1988). Each score is sorted once, as in X. Sun, W. Xu, "Fast
// Implementation of DeLong's Algorithm" (IEEE Signal Processing Letters 21, 2014).
type Areas struct {
	AUC        []float64   // by score
	Covariance [][]float64 // of AUC
	Bads       int         // rows that defaulted
	Goods      int
}

// DeLong computes the areas of scores, each of which has a value for every row:
// higher is likelier to default. It needs two rows that defaulted and two that did
// not; ok is false without. It takes 8 bytes for each row and score, and 4 more for
// each row.
func DeLong(defaulted []bool, scores ...[]float32) (a Areas, ok bool) {
	for _, d := range defaulted {
		if d {
			a.Bads++
		}
	}
	a.Goods = len(defaulted) - a.Bads
	if a.Bads < 2 || a.Goods < 2 {
		return a, false
	}
	placed := make([][]float64, len(scores))
	order := make([]int32, len(defaulted))
	for k, s := range scores {
		placed[k] = placements(defaulted, s, a.Bads, order)
		sum := 0.0
		for i, v := range placed[k] {
			if defaulted[i] {
				sum += v
			}
		}
		a.AUC = append(a.AUC, sum/float64(a.Bads))
	}
	a.Covariance = make([][]float64, len(scores))
	for j := range scores {
		a.Covariance[j] = make([]float64, len(scores))
		for k := range scores {
			a.Covariance[j][k] = a.covariance(defaulted, placed, j, k)
		}
	}
	return a, true
}

// placements are, for a row that defaulted, the share of the others that it scores
// above, and for one that did not, the share of those that score above it. Equal
// scores count half. order is scratch memory.
func placements(defaulted []bool, scores []float32, bads int, order []int32) []float64 {
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int {
		switch {
		case scores[i] < scores[j]:
			return -1
		case scores[i] > scores[j]:
			return 1
		}
		return 0
	})
	placed := make([]float64, len(scores))
	goods := len(scores) - bads
	below, above := 0, bads // goods that score lower, bads that score higher
	for rest := order; len(rest) > 0; {
		n, b := 0, 0 // rows of this score, and how many of them defaulted
		for ; n < len(rest) && scores[rest[n]] == scores[rest[0]]; n++ {
			if defaulted[rest[n]] {
				b++
			}
		}
		g := n - b
		above -= b
		for _, i := range rest[:n] {
			if defaulted[i] {
				placed[i] = (float64(below) + float64(g)/2) / float64(goods)
			} else {
				placed[i] = (float64(above) + float64(b)/2) / float64(bads)
			}
		}
		below += g
		rest = rest[n:]
	}
	return placed
}

// covariance is that of two areas.
func (a *Areas) covariance(defaulted []bool, placed [][]float64, j, k int) float64 {
	var bads, goods float64
	for i, d := range defaulted {
		// The goods' placements have the same mean as the bads': the area.
		product := (placed[j][i] - a.AUC[j]) * (placed[k][i] - a.AUC[k])
		if d {
			bads += product
		} else {
			goods += product
		}
	}
	m, n := float64(a.Bads), float64(a.Goods)
	return bads/(m-1)/m + goods/(n-1)/n
}

// Area is one score's area.
func (a *Areas) Area(k int) Interval {
	i := around(a.AUC[k], math.Sqrt(a.Covariance[k][k]))
	return Interval{i.Value, max(0, i.Lower), min(1, i.Upper)}
}

// Gain is by how much score k's area is above score j's, on the same rows.
func (a *Areas) Gain(j, k int) Interval {
	variance := a.Covariance[j][j] + a.Covariance[k][k] - 2*a.Covariance[j][k]
	return around(a.AUC[k]-a.AUC[j], math.Sqrt(max(0, variance)))
}

// GainOver is by how much b's first area is above a's, on other rows than a's.
func (a *Areas) GainOver(b *Areas) Interval {
	return around(b.AUC[0]-a.AUC[0], math.Sqrt(a.Covariance[0][0]+b.Covariance[0][0]))
}
