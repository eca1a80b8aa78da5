package statistic

import (
	"math"

	"gonum.org/v1/gonum/mathext"

	binned "github.com/creditstream/creditstream/drift/statistic"
)

// Scores are counted in bins of log-odds, fine enough that what is read off them
// differs from the scores' own figures by less than is shown.
const (
	binsPerUnit = 100
	mostLogOdds = 16
	scoreBins   = 2 * mostLogOdds * binsPerUnit
)

// Scores is a distribution of scores. It takes 25 KB, however many there are.
type Scores struct {
	counts [scoreBins]int64
	n      int64
}

// Add counts a default probability.
func (s *Scores) Add(probability float32) {
	p := float64(probability)
	bin := math.Floor((math.Log(p/(1-p)) + mostLogOdds) * binsPerUnit)
	s.counts[int(max(0, min(scoreBins-1, bin)))]++
	s.n++
}

// KS is the largest distance between two distribution functions.
func (s *Scores) KS(other *Scores) float64 { return binned.KS(s.counts[:], other.counts[:]) }

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

// Shift compares another distribution with this one, in tenths of this one.
func (s *Scores) Shift(other *Scores) Shift {
	if s.n == 0 || other.n == 0 {
		return Shift{}
	}
	var base, current []int64
	var a, b, seen int64
	for i := range s.counts {
		a += s.counts[i]
		b += other.counts[i]
		seen += s.counts[i]
		// A bin ends where the base's next tenth is full.
		if a > 0 && seen*psiBins >= int64(len(base)+1)*s.n && len(base) < psiBins-1 {
			base, current = append(base, a), append(current, b)
			a, b = 0, 0
		}
	}
	if a > 0 || b > 0 {
		base, current = append(base, a), append(current, b)
	}
	return Shift{binned.PSI(base, current), noise(len(base), s.n, other.n)}
}

// noise: without a shift a PSI of B bins is about (1/n + 1/m) χ² with B − 1 degrees of
// freedom (B. Yurdakul, J. Naranjo, "Statistical properties of the population
// stability index", Journal of Risk Model Validation 14, 2020).
func noise(bins int, n, m int64) float64 {
	if bins < 2 {
		return 0
	}
	chiSquare95 := 2 * mathext.GammaIncRegInv(float64(bins-1)/2, 0.95)
	return chiSquare95 * (1/float64(n) + 1/float64(m))
}
