package statistic

import (
	"math"
	"math/cmplx"
)

// Trials are N independent ones of which each succeeds with probability P.
type Trials struct {
	N int64
	P float64
}

// DeviationEvidence is -log10 of the probability that so many of the trials succeed
// as did, or a number farther off the expected one on the same side, two-sided: the
// smaller side counts twice. At most 300.
//
// It is exact where all trials of an entry have one probability. Where P is only their
// mean, the trials' own evidence is not less: of all probabilities with the same sums
// equal ones have the heaviest tails, from two successes off the mean on (L. J. Gleser,
// Annals of Probability 3, 1975, extending W. Hoeffding, Annals of Mathematical
// Statistics 27, 1956). Closer to the mean it is Chernoff's bound, for which that holds
// at any distance.
func DeviationEvidence(trials []Trials, succeeded int64) float64 {
	n, mean := int64(0), 0.0
	for _, t := range trials {
		n += t.N
		mean += float64(t.N) * t.P
	}
	side := trials
	if float64(succeeded) < mean { // failures, of which there are too many
		side, succeeded, mean = make([]Trials, len(trials)), n-succeeded, float64(n)-mean
		for i, t := range trials {
			side[i] = Trials{t.N, 1 - t.P}
		}
	}
	off := float64(succeeded) - mean
	if !(off > 0) || succeeded > n {
		return 0
	}
	u := upperTail{trials: side, n: n, k: succeeded}
	u.solve()
	log := u.chernoff()
	if share := u.share(); off >= 2 && share > 0 {
		log += math.Log(share)
	}
	return max(0, min(mostEvidence, -(log+math.Ln2)/math.Ln10))
}

// upperTail is the probability of k successes or more, k above the mean. Trials are
// tilted by e^t so that k becomes their mean: what is then read off their
// characteristic function has all its digits, however small the probability.
type upperTail struct {
	trials []Trials
	n, k   int64
	t      float64 // infinite where every trial must succeed
}

// tilted is a trial's probability after tilting.
func (u *upperTail) tilted(p float64) float64 {
	// p·e^t / (1 - p + p·e^t), which does not overflow.
	if p == 0 {
		return 0
	}
	return 1 / (1 + (1-p)/p*math.Exp(-u.t))
}

// solve finds t.
func (u *upperTail) solve() {
	if u.k == u.n {
		u.t = math.Inf(1)
		return
	}
	mean := func() (m float64) {
		for _, t := range u.trials {
			m += float64(t.N) * u.tilted(t.P)
		}
		return m
	}
	low, high := 0.0, 1.0
	for u.t = high; mean() < float64(u.k) && high < maxTilt; u.t = high {
		low, high = high, 2*high
	}
	for range 100 { // halves: as close as a float64 is
		u.t = (low + high) / 2
		if mean() < float64(u.k) {
			low = u.t
		} else {
			high = u.t
		}
	}
}

// maxTilt bounds the tilt: beyond it trials that can succeed all do.
const maxTilt = 1 << 10

// chernoff is the logarithm of Chernoff's bound.
func (u *upperTail) chernoff() (log float64) {
	for _, t := range u.trials {
		switch {
		case t.N == 0:
		case math.IsInf(u.t, 1):
			log += float64(t.N) * math.Log(t.P)
		case t.P > 0: // 1 - P + P·e^t, which does not overflow
			log += float64(t.N) * (u.t + math.Log(t.P+(1-t.P)*math.Exp(-u.t)))
		}
	}
	if !math.IsInf(u.t, 1) {
		log -= u.t * float64(u.k)
	}
	return log
}

// share is the tail's share of Chernoff's bound: the mean of e^(-t·(successes - k))
// over those of the tilted trials that are k or more.
func (u *upperTail) share() float64 {
	if math.IsInf(u.t, 1) {
		return 1
	}
	variance := 0.0
	for _, t := range u.trials {
		p := u.tilted(t.P)
		variance += float64(t.N) * p * (1 - p)
	}
	// A period of 64 deviations: what lies beyond is less than any digit here.
	period := min(float64(u.n+1), 64*math.Ceil(math.Sqrt(variance))+64)
	last := float64(u.n - u.k) // successes beyond k that are added up
	if period < float64(u.n+1) {
		last = min(last, math.Floor(period/2))
	}
	sum := 0.0
	for m := 0.0; 2*m <= period; m++ {
		angle := 2 * math.Pi * m / period
		size, turn := 0.0, 0.0
		for _, t := range u.trials {
			p := u.tilted(t.P)
			sin, cos := math.Sincos(angle)
			size += float64(t.N) / 2 * math.Log1p(-2*p*(1-p)*(1-cos))
			turn += float64(t.N) * math.Atan2(p*sin, 1-p+p*cos)
		}
		if size < -60 {
			break // it only gets smaller
		}
		step := cmplx.Exp(complex(-u.t, -angle))
		tail := (1 - cmplx.Exp(complex(-u.t*(last+1), -angle*(last+1)))) / (1 - step)
		term := real(cmplx.Exp(complex(size, turn-angle*float64(u.k))) * tail)
		if m > 0 && 2*m < period {
			term *= 2 // the other half of the circle
		}
		sum += term
	}
	return max(0, min(1, sum/period))
}
