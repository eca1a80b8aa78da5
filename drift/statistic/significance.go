package statistic

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// mostEvidence is where evidence ends: a probability below 1e-300 is about to
// leave the range of a float64, and nobody asks which of two such is smaller.
const mostEvidence = 300

// ChiSquare is Pearson's statistic for the hypothesis that both samples come from
// one distribution, its degrees of freedom and its p. Bins that are empty in both
// are left out.
func ChiSquare(reference, current []int64) (x2 float64, df int, p float64) {
	n, m := float64(Sum(reference)), float64(Sum(current))
	df = max(0, len(reference)-bothEmpty(reference, current)-1)
	if n == 0 || m == 0 || df == 0 {
		return 0, df, 1
	}
	for i, r := range reference {
		both := float64(r + current[i])
		if both == 0 {
			continue
		}
		er, ec := both*n/(n+m), both*m/(n+m)
		x2 += (float64(r)-er)*(float64(r)-er)/er + (float64(current[i])-ec)*(float64(current[i])-ec)/ec
	}
	x2 = known(x2)
	return x2, df, chiSquareTail(x2, df)
}

// G is the likelihood ratio statistic for the same hypothesis, about chi-square
// with as many degrees of freedom (Sokal and Rohlf, Biometry, 1981).
func G(reference, current []int64) (g float64, df int) {
	n, m := float64(Sum(reference)), float64(Sum(current))
	df = max(0, len(reference)-bothEmpty(reference, current)-1)
	if n == 0 || m == 0 || df == 0 {
		return 0, df
	}
	// 2·Σ o·ln(o/e), written so that each count takes one logarithm.
	g = (n+m)*math.Log(n+m) - n*math.Log(n) - m*math.Log(m)
	for i, r := range reference {
		g += xlogx(float64(r)) + xlogx(float64(current[i])) - xlogx(float64(r+current[i]))
	}
	return known(max(0, 2*g)), df
}

// Evidence is -log10 of the probability that a chi-square of df degrees of freedom
// is x2 or more, at most 300.
func Evidence(x2 float64, df int) float64 {
	p := chiSquareTail(x2, df)
	if p <= 0 {
		return mostEvidence
	}
	return max(0, min(mostEvidence, -math.Log10(p)))
}

// NormalEvidence is Evidence that a standard normal is z or more.
func NormalEvidence(z float64) float64 {
	if math.IsNaN(z) {
		return 0
	}
	p := math.Erfc(z/math.Sqrt2) / 2
	if p <= 0 {
		return mostEvidence
	}
	return max(0, min(mostEvidence, -math.Log10(p)))
}

func chiSquareTail(x2 float64, df int) float64 {
	if df < 1 || !(x2 > 0) {
		return 1
	}
	return mathext.GammaIncRegComp(float64(df)/2, x2/2)
}

func xlogx(x float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log(x)
}
