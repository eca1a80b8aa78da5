package statistic

import (
	"math"
	"slices"
	"sort"

	"gonum.org/v1/gonum/mathext"
)

// Scores is a distribution of scores, each of which it keeps: 4 bytes a score.
type Scores struct {
	values []float32
	sorted bool
}

// Add takes a default probability in.
func (s *Scores) Add(probability float32) {
	s.values = append(s.values, probability)
	s.sorted = false
}

// ordered are the scores, smallest first.
func (s *Scores) ordered() []float32 {
	if !s.sorted {
		slices.Sort(s.values)
		s.sorted = true
	}
	return s.values
}

// KS is the largest distance between two distribution functions, 0 where one of them
// is of nothing.
func (s *Scores) KS(other *Scores) (largest float64) {
	a, b := s.ordered(), other.ordered()
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		at := min(a[i], b[j])
		for ; i < len(a) && a[i] == at; i++ {
		}
		for ; j < len(b) && b[j] == at; j++ {
		}
		largest = max(largest, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return largest
}

// psiBins is how many bins a stability index has, with as many of the base's scores
// in each as can be.
const psiBins = 10

// Shift is a population stability index and what it may come to by chance.
type Shift struct {
	PSI float64 `json:"psi"`
	// Noise is the value that two samples of these sizes from one population stay
	// below in 95 % of cases. Paired samples stay far below.
	Noise float64 `json:"noise"`
}

// Shift compares another distribution with this one, in tenths of this one: a bin
// ends with the score that fills the tenth, and equal scores are in one bin.
func (s *Scores) Shift(other *Scores) Shift {
	a, b := s.ordered(), other.ordered()
	if len(a) == 0 || len(b) == 0 {
		return Shift{}
	}
	var base, current []int64
	i, j := 0, 0
	for k := 1; i < len(a); k++ {
		full := (k*len(a) + psiBins - 1) / psiBins
		if full <= i {
			continue // equal scores have filled this tenth, too
		}
		to, toOther := len(a), len(b)
		if k < psiBins {
			edge := a[full-1]
			to, toOther = upTo(a, edge), upTo(b, edge)
		}
		if to == len(a) { // nothing of the base is above: the last bin is open
			toOther = len(b)
		}
		base, current = append(base, int64(to-i)), append(current, int64(toOther-j))
		i, j = to, toOther
	}
	return Shift{rawPSI(base, current), noise95(len(base), len(a), len(b))}
}

// upTo is how many of the ordered values are at most the edge.
func upTo(ordered []float32, edge float32) int {
	return sort.Search(len(ordered), func(i int) bool { return ordered[i] > edge })
}

// rawPSI is the index of shares as they are. Only where a bin has none of the current
// scores, and the index were infinite, half a score is added to every bin.
func rawPSI(base, current []int64) (index float64) {
	if slices.Contains(current, 0) {
		return PSI(base, current)
	}
	n, m := float64(Sum(base)), float64(Sum(current))
	for i := range base {
		p, q := float64(base[i])/n, float64(current[i])/m
		index += (q - p) * math.Log(q/p)
	}
	return index
}

// noise95: without a shift a PSI of B bins is about (1/n + 1/m) χ² with B − 1 degrees of
// freedom (B. Yurdakul, J. Naranjo, "Statistical properties of the population
// stability index", Journal of Risk Model Validation 14, 2020).
func noise95(bins, n, m int) float64 {
	if bins < 2 {
		return 0
	}
	chiSquare95 := 2 * mathext.GammaIncRegInv(float64(bins-1)/2, 0.95)
	return chiSquare95 * (1/float64(n) + 1/float64(m))
}
