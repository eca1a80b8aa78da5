package producer

import (
	"math/rand/v2"
	"strconv"

	"github.com/creditstream/creditstream/schemas"
)

// Positions of the features in the contract's order.
const (
	limitBal  = 0
	marriage  = 3
	age       = 4
	payStatus = 5  // six months, the latest first
	billAmt   = 11 // six months
	payAmt    = 17 // six months
	months    = 6
)

// limitStep is what credit limits in the data are multiples of.
const limitStep = 10_000

// billToLimit bounds a bill against the credit limit. The copula knows ranks
// only and would hand one applicant in ten a bill of several times the limit;
// in the data one in two hundred has more than one and a half times.
const billToLimit = 1.5

// generator draws applications from a population. Application number n depends
// on the seed, n and the scenario's state at n alone, so the same numbers give
// the same applications however fast or in how many runs they are emitted.
type generator struct {
	population *Population
	truth      func(*schemas.Features) float64 // log-odds of default, before the scenario's part
	seed       uint64
	pcg        rand.PCG
	random     *rand.Rand
	z          [schemas.NumFeatures]float64
	prefix     []byte // of every id
}

func newGenerator(p *Population, seed uint64, idPrefix string) *generator {
	g := &generator{population: p, truth: p.rule.logOdds, seed: seed}
	g.random = rand.New(&g.pcg)
	g.prefix = append([]byte(idPrefix), runTag(seed)...)
	g.prefix = append(g.prefix, '-')
	return g
}

// runTag names a seed in ids: runs with other seeds emit other ids.
func runTag(seed uint64) string {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz" // without i, l, o, u: read aloud safely
	var b [6]byte
	h := mix(seed)
	for i := range b {
		b[i] = digits[h&31]
		h >>= 5
	}
	return string(b[:])
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014): neighbouring
// numbers give unrelated seeds.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// appendID appends the id of application number n.
func (g *generator) appendID(dst []byte, n uint64) []byte {
	dst = append(dst, g.prefix...)
	return appendPadded(dst, n, 9)
}

// appendPadded appends n in decimal, with zeros up to a width.
func appendPadded(dst []byte, n uint64, width int) []byte {
	var b [20]byte
	digits := strconv.AppendUint(b[:0], n, 10)
	for range width - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

// draw fills f with application number n and says whether the applicant will
// default (1) or not (0).
func (g *generator) draw(n uint64, w weather, f *schemas.Features) uint8 {
	g.pcg.Seed(mix(g.seed^mix(n)), mix(n+g.seed))
	p := g.population
	for i := range g.z {
		g.z[i] = g.random.NormFloat64()
	}
	// Drawn whatever the scenario says, so that everything else about an
	// applicant stays the same under each.
	fate, segment := g.random.Float64(), g.random.Float64()
	detail := g.random.Uint64()

	row := p.cholesky
	for i := range f {
		var z float64
		for k, c := range row[:i+1] {
			z += c * g.z[k]
		}
		row = row[i+1:]
		f[i] = p.marginals[i].at(p.cdf(z + w.shift(i)))
	}
	f[limitBal] = min(max(limitStep, (f[limitBal]+limitStep/2)/limitStep*limitStep), schemas.MaxAmount)
	newcomer := segment < w.newcomers
	if newcomer {
		makeNewcomer(f, detail)
	}
	bound := int32(min(float64(f[limitBal])*billToLimit, schemas.MaxAmount))
	for i := billAmt; i < billAmt+months; i++ {
		f[i] = min(f[i], bound)
	}
	shift := w.logOdds
	if newcomer {
		shift += newcomerLogOdds
	}
	if fate < probability(g.truth(f)+shift) {
		return 1
	}
	return 0
}

// newcomerLogOdds is what having no history adds to an applicant's log-odds of
// default.
const newcomerLogOdds = 0.5

// makeNewcomer turns an applicant into one of the new segment: 18 to 25 years
// old, single, a limit of 10,000 to 50,000, at most two months of history.
func makeNewcomer(f *schemas.Features, detail uint64) {
	f[age] = 18 + int32(detail%8)
	f[marriage] = 2
	f[limitBal] = limitStep * (1 + int32(detail>>8%5))
	history := int(detail >> 16 % 3)
	for m := history; m < months; m++ {
		f[payStatus+m] = -2
		f[billAmt+m] = 0
		f[payAmt+m] = 0
	}
	for m := range history {
		f[payAmt+m] = min(f[payAmt+m], f[limitBal])
	}
}
