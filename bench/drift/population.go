package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// streams is what is tested: every feature, the score, the decisions.
const streams = schemas.NumFeatures + 2

// population is the rows of the dataset, each in the bins that a reference counts.
type population struct {
	model    *model.Model
	policy   *policy.Policy
	features []schemas.Features
	bins     [][streams]uint8

	probabilities []float32
}

// readPopulation reads the dataset and scores every row with the shipped model.
func readPopulation(path string, bundle []byte) (*population, error) {
	m, err := model.Parse(bundle, model.EngineNative)
	if err != nil {
		return nil, err
	}
	rules, err := policy.Parse(policy.DefaultText)
	if err != nil {
		return nil, err
	}
	p := &population{model: m, policy: rules}
	if p.features, err = readRows(path); err != nil {
		return nil, err
	}
	row, result := make([]float32, model.NumInputs), make([]model.Result, 1)
	p.bins, p.probabilities = make([][streams]uint8, len(p.features)), make([]float32, len(p.features))
	for i := range p.features {
		f := &p.features[i]
		f.Row(row)
		if err := m.Evaluate(row, result); err != nil {
			return nil, err
		}
		p.probabilities[i] = result[0].Probability
		at := &p.bins[i]
		for k := range m.Reference.Features {
			at[k] = uint8(m.Reference.Features[k].Bin(float64(f[k])))
		}
		at[schemas.NumFeatures] = uint8(m.Reference.Scores.Bin(float64(result[0].LogOdds)))
		switch probability := float64(result[0].Probability); {
		case probability < rules.ApproveBelow:
			at[schemas.NumFeatures+1] = 0
		case probability < rules.DeclineFrom:
			at[schemas.NumFeatures+1] = 1
		default:
			at[schemas.NumFeatures+1] = 2
		}
	}
	return p, nil
}

// readRows reads the dataset's features by the names in its header.
func readRows(path string) ([]schemas.Features, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	r := csv.NewReader(f)
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var column [schemas.NumFeatures]int
	for k, rule := range schemas.FeatureRules {
		column[k] = -1
		for i, name := range header {
			if strings.EqualFold(name, rule.Name) {
				column[k] = i
			}
		}
		if column[k] < 0 {
			return nil, fmt.Errorf("%s: column %s is missing", path, strings.ToUpper(rule.Name))
		}
	}
	var rows []schemas.Features
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		var features schemas.Features
		for k := range features {
			v, err := strconv.ParseFloat(record[column[k]], 64)
			if err != nil || v != math.Trunc(v) {
				return nil, fmt.Errorf("%s: row %d: %s is %q, expected a whole number", path, len(rows)+1, schemas.FeatureRules[k].Name, record[column[k]])
			}
			features[k] = int32(v)
		}
		rows = append(rows, features)
	}
}

// sizes is how many bins each stream has.
func (p *population) sizes() (n [streams]int) {
	for k := range p.model.Reference.Features {
		n[k] = len(p.model.Reference.Features[k].Counts)
	}
	n[schemas.NumFeatures], n[schemas.NumFeatures+1] = len(p.model.Reference.Scores.Counts), 3
	return n
}

// reference is a champion whose reference are n rows drawn from the population,
// with replacement: it errs as much as a training set of n rows does.
func (p *population) reference(rng *rand.Rand, n int) *drift.Champion {
	sizes, counts := p.sizes(), [streams][]int64{}
	for k := range counts {
		counts[k] = make([]int64, sizes[k])
	}
	for range n {
		at := &p.bins[rng.IntN(len(p.bins))]
		for k, b := range at {
			counts[k][b]++
		}
	}
	r := &model.Reference{Rows: int64(n)}
	for k, f := range p.model.Reference.Features {
		f.Counts = counts[k]
		r.Features = append(r.Features, f)
	}
	r.Scores = model.Distribution{Edges: p.model.Reference.Scores.Edges, Counts: counts[schemas.NumFeatures]}
	return &drift.Champion{ModelVersion: p.model.Version, Digest: "drawn", Reference: r, Policy: p.policy}
}

// sampler draws rows by weight.
type sampler struct {
	sums []float64 // nil: all weigh the same
	rows int
}

func (s *sampler) draw(rng *rand.Rand) int {
	if s.sums == nil {
		return rng.IntN(s.rows)
	}
	return sort.SearchFloat64s(s.sums, rng.Float64()*s.sums[len(s.sums)-1])
}

// steady draws every row alike.
func (p *population) steady() *sampler { return &sampler{rows: len(p.bins)} }

// shifted draws rows so that one feature's distribution over its bins has moved by
// exactly this PSI, and everything else as far as it goes with it: row weights are
// exp(θ·bin), θ > 0 found by bisection.
func (p *population) shifted(feature int, psi float64) *sampler {
	size := p.sizes()[feature]
	base := make([]float64, size)
	for i := range p.bins {
		base[p.bins[i][feature]] += 1 / float64(len(p.bins))
	}
	moved := func(theta float64) (weights []float64, psi float64) {
		weights = make([]float64, size)
		shares, sum := make([]float64, size), 0.0
		for b, share := range base {
			weights[b] = math.Exp(theta * float64(b) / float64(size))
			sum += weights[b] * share
		}
		for b, share := range base {
			shares[b] = weights[b] * share / sum
		}
		return weights, psiOfShares(base, shares)
	}
	low, high := 0.0, 50.0
	for range 100 {
		if _, got := moved((low + high) / 2); got < psi {
			low = (low + high) / 2
		} else {
			high = (low + high) / 2
		}
	}
	weights, _ := moved(low)
	s := &sampler{rows: len(p.bins), sums: make([]float64, len(p.bins))}
	sum := 0.0
	for i := range p.bins {
		sum += weights[p.bins[i][feature]]
		s.sums[i] = sum
	}
	return s
}

// psiOfShares is the population stability index of two distributions that are known
// exactly.
func psiOfShares(base, moved []float64) (psi float64) {
	for b, share := range base {
		if share > 0 {
			psi += (moved[b] - share) * math.Log(moved[b]/share)
		}
	}
	return psi
}

// window draws n rows and counts them. rows, unless nil, takes which they were.
func (p *population) window(rng *rand.Rand, from *sampler, n int, counts *[streams][]int64, rows []int32) {
	for k := range counts {
		clear(counts[k])
	}
	for i := range n {
		row := from.draw(rng)
		if rows != nil {
			rows[i] = int32(row)
		}
		for k, b := range &p.bins[row] {
			counts[k][b]++
		}
	}
}

// counts are empty bins for every stream.
func (p *population) counts() (counts [streams][]int64) {
	for k, n := range p.sizes() {
		counts[k] = make([]int64, n)
	}
	for k := range schemas.NumFeatures { // missing and out of range behind
		counts[k] = append(counts[k], 0, 0)
	}
	return counts
}
