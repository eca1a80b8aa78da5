package model

import (
	"slices"

	"github.com/creditstream/creditstream/schemas"
)

// ReferenceCounter counts rows into the bins of a reference. It serves one
// goroutine at a time.
type ReferenceCounter struct {
	counted Reference
}

// NewReferenceCounter returns a counter with the bins of an existing reference
// and no rows.
func NewReferenceCounter(bins *Reference) *ReferenceCounter {
	c := &ReferenceCounter{}
	for _, f := range bins.Features {
		c.counted.Features = append(c.counted.Features, FeatureReference{Name: f.Name, Kind: f.Kind, Distribution: f.empty()})
	}
	c.counted.Scores = bins.Scores.empty()
	return c
}

// Add counts a row and the score it was given, in log-odds. A feature is out of
// range where it breaks the contract's rule.
func (c *ReferenceCounter) Add(row *schemas.Features, logOdds float32) {
	c.counted.Rows++
	for i := range c.counted.Features {
		f, rule := &c.counted.Features[i], &schemas.FeatureRules[i]
		switch v := row[i]; {
		case v == schemas.Missing:
			f.Missing++
		case v < rule.Min || v > rule.Max:
			f.OutOfRange++
		default:
			f.Counts[f.Bin(float64(v))]++
		}
	}
	c.counted.Scores.Counts[c.counted.Scores.Bin(float64(logOdds))]++
}

// Reference is what has been counted so far.
func (c *ReferenceCounter) Reference() *Reference {
	r := c.counted
	r.Features = slices.Clone(r.Features)
	for i := range r.Features {
		r.Features[i].Counts = slices.Clone(r.Features[i].Counts)
	}
	r.Scores.Counts = slices.Clone(r.Scores.Counts)
	return &r
}
