package model

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/creditstream/creditstream/schemas"
)

// Distribution counts values in bins: bin i holds those from Edges[i-1] up to but
// not Edges[i]; the first those below every edge, the last those from the last
// edge on.
type Distribution struct {
	Edges  []float64 `json:"edges"`  // ascending
	Counts []int64   `json:"counts"` // len(Edges)+1
}

// FeatureReference is one raw feature's training distribution.
type FeatureReference struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // amount, code …
	Distribution
	Missing    int64 `json:"missing"`
	OutOfRange int64 `json:"out_of_range"`
}

// Reference is the distribution that drift is measured against.
type Reference struct {
	Rows     int64              `json:"rows"`
	Features []FeatureReference `json:"features"` // in the order of the inputs
	Scores   Distribution       `json:"scores"`   // log-odds
}

// Digest names a reference by what it holds, bins and counts: "sha256:<hex>".
func (r *Reference) Digest() string {
	text, err := json.Marshal(r)
	if err != nil { // numbers that JSON does not have; none came from it
		panic(err)
	}
	return Digest(text)
}

// Bin is the index of a value's bin.
func (d *Distribution) Bin(v float64) int {
	i, equal := slices.BinarySearch(d.Edges, v)
	if equal {
		i++
	}
	return i
}

// empty has the same bins and nothing in them.
func (d *Distribution) empty() Distribution {
	return Distribution{Edges: d.Edges, Counts: make([]int64, len(d.Counts))}
}

func (d *Distribution) check(rows int64) error {
	if len(d.Counts) != len(d.Edges)+1 {
		return fmt.Errorf("%d counts for %d edges, expected one more than edges", len(d.Counts), len(d.Edges))
	}
	for i := 1; i < len(d.Edges); i++ {
		if d.Edges[i] <= d.Edges[i-1] {
			return fmt.Errorf("edge %d (%v) is not above the one before (%v)", i, d.Edges[i], d.Edges[i-1])
		}
	}
	for i, c := range d.Counts {
		if c < 0 {
			return fmt.Errorf("count %d is %d", i, c)
		}
		rows -= c
	}
	if rows != 0 {
		return fmt.Errorf("the counts do not add up to the rows (%d are left over)", rows)
	}
	return nil
}

func parseReference(text []byte, inputs []string) (*Reference, error) {
	r := &Reference{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("reference.json: %w", schemas.Plain(err))
	}
	if len(r.Features) != len(inputs) {
		return nil, fmt.Errorf("reference.json: %d features, expected %d", len(r.Features), len(inputs))
	}
	for i, f := range r.Features {
		if f.Name != inputs[i] {
			return nil, fmt.Errorf("reference.json: features[%d] is %q, expected %q", i, f.Name, inputs[i])
		}
		if err := f.check(r.Rows - f.Missing - f.OutOfRange); err != nil {
			return nil, fmt.Errorf("reference.json: %s: %w", f.Name, err)
		}
	}
	if err := r.Scores.check(r.Rows); err != nil {
		return nil, fmt.Errorf("reference.json: scores: %w", err)
	}
	return r, nil
}
