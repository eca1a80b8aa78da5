package statistic

import "math"

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

// N is how many scores there are.
func (s *Scores) N() int64 { return s.n }

// KS is the largest distance between two distribution functions.
func (s *Scores) KS(other *Scores) float64 {
	if s.n == 0 || other.n == 0 {
		return 0
	}
	var a, b int64
	largest := 0.0
	for i := range s.counts {
		a += s.counts[i]
		b += other.counts[i]
		largest = max(largest, math.Abs(float64(a)/float64(s.n)-float64(b)/float64(other.n)))
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
	return Shift{PSI(base, current), noise(len(base), s.n, other.n)}
}

// PSI is the population stability index of counts over the same bins (Siddiqi,
// Credit Risk Scorecards, 2006). Half a count is added to every bin, so that an
// empty one has a share.
func PSI(base, current []int64) float64 {
	n, m := 0.0, 0.0
	for i := range base {
		n += float64(base[i]) + 0.5
		m += float64(current[i]) + 0.5
	}
	sum := 0.0
	for i := range base {
		p, q := (float64(base[i])+0.5)/n, (float64(current[i])+0.5)/m
		sum += (q - p) * math.Log(q/p)
	}
	return sum
}

// chiSquare95 are the 95 % quantiles of χ² with 1, 2, … degrees of freedom.
var chiSquare95 = [psiBins - 1]float64{3.8415, 5.9915, 7.8147, 9.4877, 11.0705, 12.5916, 14.0671, 15.5073, 16.9190}

// noise: without a shift a PSI of B bins is about (1/n + 1/m) χ² with B − 1 degrees of
// freedom (B. Yurdakul, J. Naranjo, "Statistical properties of the population
// stability index", Journal of Risk Model Validation 14, 2020).
func noise(bins int, n, m int64) float64 {
	if bins < 2 {
		return 0
	}
	return chiSquare95[bins-2] * (1/float64(n) + 1/float64(m))
}
