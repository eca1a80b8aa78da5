package model

import (
	"fmt"
	"math"

	"github.com/creditstream/creditstream/schemas"
)

// Unwatched is a feature of which a reference cannot tell a shift.
type Unwatched struct {
	Feature string `json:"feature"`
	Why     string `json:"why"`
}

// Unwatched are the features whose values may change without any bin showing it: all
// that the reference has seen lies in one bin, which holds more than one value. That
// values are missing more often is seen all the same.
func (r *Reference) Unwatched() []Unwatched {
	list := []Unwatched{}
	for i := range r.Features {
		f, rule := &r.Features[i], &schemas.FeatureRules[i]
		if low, high, one := f.only(float64(rule.Min), float64(rule.Max)); one && high > low {
			list = append(list, Unwatched{f.Name, fmt.Sprintf("the reference has every value in one bin, %.0f … %.0f: a change within it does not show", low, high)})
		}
	}
	return list
}

// only is the range of whole numbers of the one bin that has any counts, between the
// least and the greatest that there may be.
func (d *Distribution) only(least, most float64) (low, high float64, one bool) {
	at := -1
	for i, n := range d.Counts {
		if n == 0 {
			continue
		}
		if at >= 0 {
			return 0, 0, false
		}
		at = i
	}
	if at < 0 {
		return 0, 0, false
	}
	low, high = least, most
	if at > 0 {
		low = max(low, math.Ceil(d.Edges[at-1]))
	}
	if at < len(d.Edges) {
		high = min(high, math.Ceil(d.Edges[at])-1)
	}
	return low, high, true
}
