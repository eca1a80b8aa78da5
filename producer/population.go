package producer

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/creditstream/creditstream/schemas"
)

//go:embed population.json
var shippedPopulation []byte

// Population describes whom applications are drawn from: each feature's
// distribution, how features depend on each other (a Gaussian copula), and the
// rule by which applicants really default. It is safe for concurrent use.
type Population struct {
	marginals [schemas.NumFeatures]marginal
	cholesky  []float64 // lower triangle, row by row
	rule      defaultRule
	phi       []float64 // normal distribution function on a grid, see cdf
}

// marginal is one feature's distribution: values with their cumulative shares,
// or quantiles at equally spaced probabilities.
type marginal struct {
	values     []int32
	cumulative []float64
	quantiles  []float64
}

type populationJSON struct {
	Marginals []struct {
		Name       string    `json:"name"`
		Values     []int32   `json:"values"`
		Cumulative []float64 `json:"cumulative"`
		Quantiles  []int32   `json:"quantiles"`
	} `json:"marginals"`
	Cholesky [][]float64 `json:"cholesky"`
	Rule     struct {
		Intercept    float64            `json:"intercept"`
		Coefficients map[string]float64 `json:"coefficients"`
	} `json:"rule"`
}

// ShippedPopulation is the population inside the binary, estimated from the UCI
// default of credit card clients data (CC BY 4.0).
func ShippedPopulation() (*Population, error) { return ParsePopulation(shippedPopulation) }

// ParsePopulation reads a population file; its "about" says what stands where.
// The error names the part, the value and what was expected.
func ParsePopulation(text []byte) (*Population, error) {
	var j populationJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, fmt.Errorf("population: %w", err)
	}
	p := &Population{}
	if err := p.readMarginals(&j); err != nil {
		return nil, fmt.Errorf("population: %w", err)
	}
	if err := p.readDependence(&j); err != nil {
		return nil, fmt.Errorf("population: %w", err)
	}
	rule, err := newDefaultRule(j.Rule.Intercept, j.Rule.Coefficients)
	if err != nil {
		return nil, fmt.Errorf("population: %w", err)
	}
	p.rule = rule
	p.tabulate()
	return p, nil
}

func (p *Population) readMarginals(j *populationJSON) error {
	if len(j.Marginals) != schemas.NumFeatures {
		return fmt.Errorf("%d marginals: must be %d", len(j.Marginals), schemas.NumFeatures)
	}
	for i, f := range j.Marginals {
		r, m := schemas.FeatureRules[i], &p.marginals[i]
		if f.Name != r.Name {
			return fmt.Errorf("marginal %d is %q: must be %q", i, f.Name, r.Name)
		}
		points := f.Quantiles
		if len(points) == 0 {
			points = f.Values
			if len(f.Cumulative) != len(points) {
				return fmt.Errorf("%s: %d cumulative shares: must be as many as values, %d", f.Name, len(f.Cumulative), len(points))
			}
			m.values, m.cumulative = f.Values, f.Cumulative
		} else {
			for _, q := range points {
				m.quantiles = append(m.quantiles, float64(q))
			}
		}
		if err := checkPoints(points, len(f.Quantiles) > 0, r); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if err := checkCumulative(m.cumulative); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func checkPoints(points []int32, quantiles bool, r schemas.FeatureRule) error {
	if len(points) == 0 || quantiles && len(points) < 2 {
		return errors.New("must have values or at least two quantiles")
	}
	for k, v := range points {
		if v < r.Min || v > r.Max {
			return fmt.Errorf("value %d: must be %d … %d", v, r.Min, r.Max)
		}
		if k > 0 && (v < points[k-1] || v == points[k-1] && !quantiles) {
			return fmt.Errorf("value %d follows %d: must ascend", v, points[k-1])
		}
	}
	return nil
}

func checkCumulative(shares []float64) error {
	last := 0.0
	for _, c := range shares {
		if !(c >= last && c <= 1) {
			return fmt.Errorf("cumulative share %v follows %v: must ascend up to 1", c, last)
		}
		last = c
	}
	if len(shares) > 0 && last < 0.999 {
		return fmt.Errorf("cumulative share %v is the last: must be 1", last)
	}
	return nil
}

func (p *Population) readDependence(j *populationJSON) error {
	if len(j.Cholesky) != schemas.NumFeatures {
		return fmt.Errorf("cholesky has %d rows: must be %d", len(j.Cholesky), schemas.NumFeatures)
	}
	for i, row := range j.Cholesky {
		if len(row) != i+1 {
			return fmt.Errorf("cholesky row %d has %d numbers: must be %d", i, len(row), i+1)
		}
		var norm float64
		for _, v := range row {
			norm += v * v
		}
		// A row's squares are the variance of a standard normal variable.
		if !(math.Abs(norm-1) < 0.01) {
			return fmt.Errorf("cholesky row %d: the sum of squares is %.4f: must be 1", i, norm)
		}
		for _, v := range row {
			p.cholesky = append(p.cholesky, v/math.Sqrt(norm))
		}
	}
	return nil
}

// The distribution function is read from a grid: linear between points 0.003
// apart it is right to 3e-7, in a fraction of math.Erfc's time.
const (
	phiBound = 6.0
	phiCells = 4096
	phiScale = phiCells / (2 * phiBound)
)

func (p *Population) tabulate() {
	p.phi = make([]float64, phiCells+1)
	for i := range p.phi {
		p.phi[i] = math.Erfc(-(float64(i)/phiScale-phiBound)/math.Sqrt2) / 2
	}
}

// cdf is the standard normal distribution function.
func (p *Population) cdf(z float64) float64 {
	x := (z + phiBound) * phiScale
	if !(x > 0) {
		return p.phi[0]
	}
	if x >= phiCells {
		return p.phi[phiCells]
	}
	i := int(x)
	return p.phi[i] + (p.phi[i+1]-p.phi[i])*(x-float64(i))
}

// at is the value at probability u (0 … 1).
func (m *marginal) at(u float64) int32 {
	if len(m.values) > 0 {
		for i, c := range m.cumulative {
			if c >= u {
				return m.values[i]
			}
		}
		return m.values[len(m.values)-1]
	}
	x := u * float64(len(m.quantiles)-1)
	i := min(int(x), len(m.quantiles)-2)
	lo, hi := m.quantiles[i], m.quantiles[i+1]
	return int32(math.Round(lo + (hi-lo)*(x-float64(i))))
}

// DefaultProbability is the true probability of default of an applicant with
// these features, none missing; shift is added to its log-odds.
func (p *Population) DefaultProbability(f *schemas.Features, shift float64) float64 {
	return probability(p.rule.logOdds(f) + shift)
}

func probability(logOdds float64) float64 { return 1 / (1 + math.Exp(-logOdds)) }
