package statistic

import "math"

// PSI is the population stability index of two distributions over the same bins,
// Σ (q-p)·ln(q/p) (Siddiqi, Credit Risk Scorecards, 2006). Bins that are empty in
// both are left out; every other has half a count more on either side, so that an
// empty one does not make it infinite. It is 0 where either has no counts.
func PSI(reference, current []int64) float64 {
	n, m := Sum(reference), Sum(current)
	if n == 0 || m == 0 {
		return 0
	}
	k := float64(len(reference) - bothEmpty(reference, current))
	psi := 0.0
	for i, r := range reference {
		if c := current[i]; r != 0 || c != 0 {
			p, q := (float64(r)+0.5)/(float64(n)+k/2), (float64(c)+0.5)/(float64(m)+k/2)
			psi += (q - p) * math.Log(q/p)
		}
	}
	return known(psi)
}

// PSINoise is about what PSI is when n and m values were drawn from one
// distribution over k bins: (k-1)·(1/n+1/m), for PSI·nm/(n+m) is then about
// chi-square with k-1 degrees of freedom (Yurdakul and Naranjo, Statistical
// properties of the population stability index, 2020).
func PSINoise(k int, n, m int64) float64 {
	if n == 0 || m == 0 || k < 1 {
		return 0
	}
	return float64(k-1) * (1/float64(n) + 1/float64(m))
}

// JensenShannon is the Jensen-Shannon distance to base 2: the square root of the
// divergence, from 0 (the same) to 1 (nothing in common). It is 0 where either
// has no counts.
func JensenShannon(reference, current []int64) float64 {
	n, m := float64(Sum(reference)), float64(Sum(current))
	if n == 0 || m == 0 {
		return 0
	}
	divergence := 0.0
	for i := range reference {
		p, q := float64(reference[i])/n, float64(current[i])/m
		if p > 0 {
			divergence += p * math.Log2(2*p/(p+q)) / 2
		}
		if q > 0 {
			divergence += q * math.Log2(2*q/(p+q)) / 2
		}
	}
	return known(math.Sqrt(max(0, min(1, divergence))))
}

// KS is the largest distance between two distribution functions over the same
// bins, in order. It is 0 where either has no counts.
func KS[T Count](reference, current []T) float64 {
	n, m := float64(Sum(reference)), float64(Sum(current))
	if n == 0 || m == 0 {
		return 0
	}
	var most, p, q float64
	for i := range reference {
		p += float64(reference[i])
		q += float64(current[i])
		most = max(most, math.Abs(p/n-q/m))
	}
	return known(most)
}

// Wasserstein is the earth mover's distance when every value of bin i lies at
// at[i] (see Representatives), in standard deviations of the reference. Where the
// reference has no deviation, and where either has no counts, it is 0.
func Wasserstein(at []float64, reference, current []int64) float64 {
	n, m := float64(Sum(reference)), float64(Sum(current))
	if n == 0 || m == 0 {
		return 0
	}
	var mean, square float64
	for i, c := range reference {
		mean += at[i] * float64(c) / n
	}
	for i, c := range reference {
		square += (at[i] - mean) * (at[i] - mean) * float64(c) / n
	}
	if square == 0 {
		return 0
	}
	var moved, p, q float64
	for i := 1; i < len(at); i++ {
		p += float64(reference[i-1]) / n
		q += float64(current[i-1]) / m
		moved += math.Abs(p-q) * (at[i] - at[i-1])
	}
	return known(moved / math.Sqrt(square))
}

func bothEmpty(a, b []int64) (n int) {
	for i := range a {
		if a[i] == 0 && b[i] == 0 {
			n++
		}
	}
	return n
}
