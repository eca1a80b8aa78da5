package statistic

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Jeffreys is the interval that a share lies in after k of n were counted: of the
// beta distribution with k+½ and n-k+½, the middle 95 %; from 0 where none was, up
// to 1 where all were (Brown, Cai and DasGupta, 2001). Of nothing, and of counts that
// cannot be, nothing is known: 0 … 1.
func Jeffreys(k, n int64) (lower, upper float64) {
	if n <= 0 || k < 0 || k > n {
		return 0, 1
	}
	a, b := float64(k)+0.5, float64(n-k)+0.5
	lower, upper = mathext.InvRegIncBeta(a, b, 0.025), mathext.InvRegIncBeta(a, b, 0.975)
	if k == 0 {
		lower = 0
	}
	if k == n {
		upper = 1
	}
	return lower, upper
}

// Normal95 is how many standard errors an interval of 95 % reaches to each side.
const Normal95 = 1.959963984540054

// Ratio is (a/n) / (b/m) with its 95 % interval by the logarithm's normal
// approximation (Katz et al., 1978). Where one of the four counts a, n-a, b, m-b is
// 0, each has half a count more: of shares of 0 or 1 alone the error would be
// infinite or none. Where n or m is 0, or the counts cannot be, nothing is known: 1, from 0 on.
func Ratio(a, n, b, m int64) (ratio, lower, upper float64) {
	if n <= 0 || m <= 0 || a < 0 || b < 0 || a > n || b > m {
		return 1, 0, math.MaxFloat64
	}
	x, y, nn, mm := float64(a), float64(b), float64(n), float64(m)
	if a == 0 || b == 0 || a == n || b == m {
		x, y, nn, mm = x+0.5, y+0.5, nn+1, mm+1
	}
	ratio = (x / nn) / (y / mm)
	e := Normal95 * math.Sqrt(max(0, 1/x-1/nn+1/y-1/mm))
	return ratio, ratio * math.Exp(-e), ratio * math.Exp(e)
}
