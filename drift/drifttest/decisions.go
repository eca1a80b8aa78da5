// Package drifttest has references, decisions and panes to test with.
package drifttest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
)

// ShippedReference is that of the bundle inside the binary.
func ShippedReference(t testing.TB) *model.Reference {
	_, r, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	return r
}

// AnyReference has the shipped one's features and other bins.
func AnyReference(t testing.TB, r *rand.Rand) *model.Reference {
	ref := ShippedReference(t)
	for i := range ref.Features {
		f, rule := &ref.Features[i], &schemas.FeatureRules[i]
		f.Edges = nil
		for range r.IntN(300) {
			// Some outside the contract's range, some between whole numbers.
			f.Edges = append(f.Edges, math.Round(4*(float64(rule.Min)-5+r.Float64()*(float64(rule.Max-rule.Min)+10)))/4)
		}
		slices.Sort(f.Edges)
		f.Edges = slices.Compact(f.Edges)
		f.Counts = make([]int64, len(f.Edges)+1)
	}
	return ref
}

// anyFeatures are within the contract, beyond it, at the edges of bins, or missing.
func anyFeatures(r *rand.Rand, ref *model.Reference) (f schemas.Features) {
	for i := range f {
		rule, edges := &schemas.FeatureRules[i], ref.Features[i].Edges
		switch n := r.IntN(12); {
		case n == 0:
			f[i] = schemas.Missing
		case n == 1:
			f[i] = int32(r.Uint32())
		case n == 2 && len(edges) > 0:
			f[i] = int32(edges[r.IntN(len(edges))]) + r.Int32N(3) - 1
		case n == 3:
			f[i] = []int32{rule.Min, rule.Max, rule.Min - 1, rule.Max + 1}[r.IntN(4)]
		default:
			f[i] = rule.Min + r.Int32N(rule.Max-rule.Min+1)
		}
	}
	return f
}

// AnyDecision is one of any version, route, channel and shadow, whose features lie in and
// outside the reference's bins.
func AnyDecision(r *rand.Rand, ref *model.Reference) *schemas.Prediction {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	p := &schemas.Prediction{
		DefaultProbability: r.Float32(), DefaultPrediction: uint8(r.IntN(2)), Decision: pick(schemas.Approve, schemas.Refer, schemas.Decline),
		ModelVersion: pick("v1", "v2"), Route: pick(schemas.RouteChampion, schemas.RouteCanary), Channel: pick(schemas.ChannelStream, schemas.ChannelAPI),
		Features: anyFeatures(r, ref),
	}
	if r.IntN(10) == 0 {
		p.DefaultProbability = float32(r.IntN(2))
	}
	if r.IntN(3) == 0 {
		p.Shadow = &schemas.Shadow{ModelVersion: pick("s1", "s2"), DefaultProbability: r.Float32(), Decision: pick(schemas.Approve, schemas.Decline)}
	}
	return p
}
