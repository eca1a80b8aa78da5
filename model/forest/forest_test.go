package forest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

type fixture struct {
	ExpectedValue float64 `json:"expected_value"`
	Rows          []struct {
		Inputs        []*float64 `json:"inputs"`
		Probability   float64    `json:"probability"`
		Contributions []float64  `json:"contributions"`
	} `json:"rows"`
}

func loadFixture(t testing.TB, depth int) ([]byte, fixture) {
	t.Helper()
	graph, err := os.ReadFile(fmt.Sprintf("testdata/depth%d.onnx", depth))
	require.NoError(t, err)
	f, err := os.Open(fmt.Sprintf("testdata/depth%d.json.gz", depth))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	var fx fixture
	require.NoError(t, json.NewDecoder(z).Decode(&fx))
	return graph, fx
}

func oneGroupEach(n int) []int {
	g := make([]int, n)
	for i := range g {
		g[i] = i % MaxGroups
	}
	return g
}

func row(in []*float64) []float32 {
	out := make([]float32, len(in))
	for i, v := range in {
		if v == nil {
			out[i] = float32(math.NaN())
		} else {
			out[i] = float32(*v)
		}
	}
	return out
}

// The files in testdata were written by training: probabilities by scikit-learn,
// contributions by the shap library, rows at every threshold and one ulp off it.
func TestNativeEngineAtEveryThreshold(t *testing.T) {
	for _, depth := range []int{1, 3, 4, 5} {
		t.Run(fmt.Sprint("depth ", depth), func(t *testing.T) {
			graph, fx := loadFixture(t, depth)
			f, err := Compile(graph, oneGroupEach(NumInputs))
			require.NoError(t, err)
			require.True(t, f.Tabled())
			require.InDelta(t, fx.ExpectedValue, f.ExpectedValue(), 1e-5)
			require.NotEmpty(t, fx.Rows)
			for i, r := range fx.Rows {
				x := row(r.Inputs)
				var groups [MaxGroups]float32
				m := f.Explain(x, &groups)
				require.InDelta(t, r.Probability, Probability(m), 1e-6, "row %d", i)
				var want [MaxGroups]float64
				sum := 0.0
				phi := f.Contributions(x)
				for j, c := range r.Contributions {
					require.InDelta(t, c, phi[j], 1e-5, "row %d input %d", i, j)
					want[j%MaxGroups] += c
				}
				for k := range groups {
					require.InDelta(t, want[k], groups[k], 1e-5, "row %d group %d", i, k)
					sum += float64(groups[k])
				}
				require.InDelta(t, m-f.ExpectedValue(), sum, 1e-5)
			}
		})
	}
}

// Tables and the walk over trees are two implementations of one function.
func TestTablesEqualTheWalkEverywhere(t *testing.T) {
	for _, depth := range []int{1, 3, 4, 5} {
		graph, fx := loadFixture(t, depth)
		f, err := Compile(graph, oneGroupEach(NumInputs))
		require.NoError(t, err)
		walking := *f
		walking.tables = nil
		rng := rand.New(rand.NewPCG(1, uint64(depth)))
		special := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32, math.SmallestNonzeroFloat32}
		for range 2000 {
			x := make([]float32, NumInputs)
			for j := range x {
				if rng.IntN(8) == 0 {
					x[j] = special[rng.IntN(len(special))]
				} else {
					x[j] = row(fx.Rows[rng.IntN(len(fx.Rows))].Inputs)[j]
				}
			}
			var a, b [MaxGroups]float32
			require.InDelta(t, walking.Explain(x, &b), f.Explain(x, &a), 1e-5)
			for k := range a {
				require.InDelta(t, b[k], a[k], 1e-5)
			}
		}
	}
}

// A rank is the number of thresholds below a value, however they lie.
func TestRanksCountTheThresholdsBelow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	next := func(v float32) float32 { return math.Nextafter32(v, infinite) }
	seen := map[uint16]bool{}
	for _, most := range []int{1, 2, 5, 20, 60, 300, 2000} {
		for range 20 {
			thresholds := []float32{float32(rng.NormFloat64()), float32(1e5 * rng.Float64())}
			for range rng.IntN(most) {
				v := thresholds[rng.IntN(len(thresholds))]
				if rng.IntN(3) > 0 {
					v = next(v) // many in one bucket
				} else {
					v += float32(rng.NormFloat64())
				}
				thresholds = append(thresholds, v)
			}
			slices.Sort(thresholds)
			thresholds = slices.Compact(thresholds)
			r := newRanking(0, thresholds)
			r.stride = 3
			seen[min(r.compares, 5)] = true
			values := []float32{float32(math.NaN()), infinite, -infinite, 0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32}
			for range blockRows - len(values) {
				v := thresholds[rng.IntN(len(thresholds))]
				values = append(values, []float32{v, next(v), -v, float32(rng.NormFloat64())}[rng.IntN(4)])
			}
			var got [blockRows]uint32
			got[0] = 7
			r.rank(values, &got)
			for k, v := range values {
				below, _ := slices.BinarySearch(thresholds, v)
				if v != v {
					below = len(thresholds)
				}
				want := uint32(3 * below)
				if k == 0 {
					want += 7
				}
				require.Equal(t, want, got[k], "%v among %v", v, thresholds)
			}
		}
	}
	require.Len(t, seen, 5, "every loop")
}

// What tables cannot hold is walked instead.
func TestTablesTakeSoManyThresholdsOfAFeature(t *testing.T) {
	build := func(thresholds int) error {
		var trees []tree
		for from := 0; from < thresholds; from += 63 {
			trees = append(trees, ladder(from, min(63, thresholds-from)))
		}
		_, err := buildTables(trees, 1, []int{0})
		return err
	}
	require.NoError(t, build(maxThresholds))
	require.ErrorIs(t, build(maxThresholds+1), errTables)
}

// ladder is a tree of splits of one feature, each below the last, at the numbers
// from so many on.
func ladder(from, splits int) tree {
	var t tree
	for i := range splits {
		at := int32(len(t))
		t = append(t, treeNode{feature: 0, threshold: float32(from + splits - i), left: at + 2, right: at + 1, cover: float64(splits - i + 1)},
			treeNode{feature: -1, value: float64(i), cover: 1})
	}
	return append(t, treeNode{feature: -1, cover: 1})
}

func TestCompileRefusesWithAReason(t *testing.T) {
	graph, _ := loadFixture(t, 1)
	for name, c := range map[string]struct {
		graph []byte
		group []int
		want  string
	}{
		"empty":         {nil, nil, "ONNX"},
		"cut":           {graph[:len(graph)/2], oneGroupEach(NumInputs), "ONNX"},
		"groups":        {graph, oneGroupEach(3), "reason groups are given for 3"},
		"group too big": {graph, append(oneGroupEach(NumInputs-1), MaxGroups), "reason group 8"},
	} {
		_, err := Compile(c.graph, c.group)
		require.ErrorContains(t, err, c.want, name)
	}
}

func FuzzCompile(f *testing.F) {
	graph, err := os.ReadFile("testdata/depth1.onnx")
	require.NoError(f, err)
	f.Add(graph)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Compile(data, oneGroupEach(NumInputs))
		if err != nil {
			return
		}
		var groups [MaxGroups]float32
		m.Explain(make([]float32, NumInputs), &groups)
	})
}

func TestRowsExplainTheSameTogetherAndAlone(t *testing.T) {
	for _, depth := range []int{1, 3, 4, 5} {
		graph, fx := loadFixture(t, depth)
		f, err := Compile(graph, oneGroupEach(NumInputs))
		require.NoError(t, err)
		for n := range 3*blockRows + 1 {
			var rows []float32
			for i := range n {
				rows = append(rows, row(fx.Rows[(i*7)%len(fx.Rows)].Inputs)...)
			}
			margins, groups := make([]float64, n), make([][MaxGroups]float32, n)
			f.ExplainRows(rows, margins, groups)
			for i := range n {
				var alone [MaxGroups]float32
				require.Equal(t, f.Explain(rows[i*NumInputs:(i+1)*NumInputs], &alone), margins[i])
				require.Equal(t, alone, groups[i])
			}
		}
	}
}
