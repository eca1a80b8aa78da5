package statistic

import "math"

// Interval is a figure and its 95 % interval.
type Interval struct {
	Value float64 `json:"value"`
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
}

// around is the interval of a figure with a normal error.
func around(value, standardError float64) Interval {
	return Interval{value, value - Normal95*standardError, value + Normal95*standardError}
}

// Wilson is the share k of n with Wilson's score interval (E. B. Wilson, JASA 22,
// 1927). Of nothing nothing is known: 0, between 0 and 1.
func Wilson(k, n int64) Interval {
	if n == 0 {
		return Interval{0, 0, 1}
	}
	const z2 = Normal95 * Normal95
	p, m := float64(k)/float64(n), float64(n)
	centre := (p + z2/(2*m)) / (1 + z2/m)
	half := Normal95 / (1 + z2/m) * math.Sqrt(p*(1-p)/m+z2/(4*m*m))
	i := Interval{p, max(0, centre-half), min(1, centre+half)}
	// Exact at the ends, where rounding would put the figure outside.
	if k == 0 {
		i.Lower = 0
	}
	if k == n {
		i.Upper = 1
	}
	return i
}

// Newcombe is by how much the share k2 of n2 is above k1 of n1, with Newcombe's
// hybrid score interval (R. G. Newcombe, Statistics in Medicine 17, 1998, method 10).
func Newcombe(k1, n1, k2, n2 int64) Interval {
	a, b := Wilson(k1, n1), Wilson(k2, n2)
	gain := b.Value - a.Value
	return Interval{
		Value: gain,
		Lower: gain - math.Hypot(b.Value-b.Lower, a.Upper-a.Value),
		Upper: gain + math.Hypot(b.Upper-b.Value, a.Value-a.Lower),
	}
}

// Mean is a running mean and its error. Its zero value has seen nothing.
type Mean struct {
	n       int64
	mean    float64
	squares float64 // sum of squared distances from the mean
}

// Add takes a value in (B. P. Welford, Technometrics 4, 1962).
func (m *Mean) Add(v float64) {
	m.n++
	d := v - m.mean
	m.mean += d / float64(m.n)
	m.squares += d * (v - m.mean)
}

// Interval is the mean; without an interval's width below two values.
func (m *Mean) Interval() Interval {
	if m.n < 2 {
		return Interval{m.mean, m.mean, m.mean}
	}
	n := float64(m.n)
	return around(m.mean, math.Sqrt(m.squares/(n-1)/n))
}
