package model

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
)

func TestUnwatched_IsWhatOneBinHides(t *testing.T) {
	_, shippedReference, err := ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	require.Empty(t, shippedReference.Unwatched())
	n := shippedReference.Rows
	with := func(feature string, edges []float64, counts []int64) []Unwatched {
		r := NewReferenceCounter(shippedReference).Reference()
		for i := range r.Features {
			f := &r.Features[i]
			f.Distribution = shippedReference.Features[i].Distribution
			if f.Name == feature {
				f.Distribution = Distribution{Edges: edges, Counts: counts}
			}
		}
		return r.Unwatched()
	}
	f := func(feature string, edges []float64, counts []int64, why string) {
		t.Helper()
		list := with(feature, edges, counts)
		if why == "" {
			require.Empty(t, list)
			return
		}
		require.Len(t, list, 1)
		require.Equal(t, feature, list[0].Feature)
		require.Contains(t, list[0].Why, why)
	}
	f("pay_amt6", nil, []int64{n}, "0 … 2796202")
	f("pay_amt6", []float64{5000}, []int64{0, n}, "5000 … 2796202")
	f("pay_amt6", []float64{5000}, []int64{n, 0}, "0 … 4999")
	f("pay_amt6", []float64{5000, 6000}, []int64{0, n, 0}, "5000 … 5999")
	f("pay_amt6", []float64{5000, 5001}, []int64{0, n, 0}, "") // what training writes of a constant column
	f("pay_amt6", []float64{0, 1}, []int64{0, n, 0}, "")
	f("pay_amt6", []float64{5000}, []int64{1, n - 1}, "")
	f("pay_amt6", []float64{5000}, []int64{0, 0}, "") // never there in training: whatever comes is news
	f("sex", []float64{2}, []int64{0, n}, "")         // one code is one value
	require.Equal(t, int32(2), schemas.FeatureRules[1].Max)
}
