package forest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
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
