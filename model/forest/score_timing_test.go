package forest

import (
	"archive/zip"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// scorer scores and explains nothing, as fast as can be done in Go: every tree
// filled up to its depth, so that the way down is arithmetic without a branch. It
// is what the tables' price is measured against.
type scorer struct {
	program *program
	depth   int
	inputs  []uint8 // tree input of each inner node, level by level, tree by tree
	bounds  []int32 // its threshold's ordered bits
	leaves  []float32
	base    float64
}

func newScorer(f *Forest) *scorer {
	s := &scorer{program: f.program, base: f.base}
	for _, t := range f.trees {
		s.depth = max(s.depth, t.depth(0))
	}
	for _, t := range f.trees {
		level := []int32{0}
		for range s.depth {
			var below []int32
			for _, k := range level {
				nd := &t[k]
				if nd.feature < 0 { // both ways lead to the same leaf
					s.inputs, s.bounds = append(s.inputs, 0), append(s.bounds, 0)
					below = append(below, k, k)
					continue
				}
				s.inputs = append(s.inputs, uint8(nd.feature))
				s.bounds = append(s.bounds, ordered(nd.threshold))
				below = append(below, nd.left, nd.right)
			}
			level = below
		}
		for _, k := range level {
			s.leaves = append(s.leaves, float32(t[k].value))
		}
	}
	return s
}

func (t tree) depth(k int32) int {
	if t[k].feature < 0 {
		return 0
	}
	return 1 + max(t.depth(t[k].left), t.depth(t[k].right))
}

func (s *scorer) score(row []float32) float64 {
	var r [maxRegisters]float32
	copy(r[:NumInputs], row)
	s.program.run(&r)
	var bits [maxInputs]int32
	for i, at := range s.program.outputs {
		bits[i] = ordered(r[at%maxRegisters])
	}
	inner, leaves := 1<<s.depth-1, 1<<s.depth
	sum := float32(0)
	for t, l := 0, 0; l < len(s.leaves); t, l = t+inner, l+leaves {
		inputs, bounds := s.inputs[t:t+inner], s.bounds[t:t+inner]
		k := 0
		for range s.depth {
			above := uint64(int64(bounds[k])-int64(bits[inputs[k]])) >> 63
			k = 2*k + 1 + int(above)
		}
		sum += s.leaves[l+k-inner]
	}
	return s.base + float64(sum)
}

// shippedForest is the graph of the bundle inside the binary, its inputs in eight
// groups as they come.
func shippedForest(b *testing.B) *Forest {
	b.Helper()
	archive, err := zip.OpenReader("../shipped/credit-default.bundle")
	require.NoError(b, err)
	defer func() { _ = archive.Close() }()
	file, err := archive.Open("model.onnx")
	require.NoError(b, err)
	graph, err := io.ReadAll(file)
	require.NoError(b, err)
	for n := 1; ; n++ { // how many inputs the trees have is not said beforehand
		f, err := Compile(graph, oneGroupEach(n))
		if err == nil {
			return f
		}
		require.Less(b, n, maxInputs, err)
	}
}

// BenchmarkRow is one row: its score alone, its score and exact reasons together,
// and the reasons by plain recursion.
func BenchmarkRow(b *testing.B) {
	rows := make([][]float32, 1024)
	_, fx := loadFixture(b, 3)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range rows {
		rows[i] = row(fx.Rows[rng.IntN(len(fx.Rows))].Inputs)
	}
	run := func(model string, f *Forest) {
		require.True(b, f.Tabled())
		walking := *f
		walking.tables = nil
		alone := newScorer(f)
		var groups [MaxGroups]float32
		for _, r := range rows {
			require.InDelta(b, f.Explain(r, &groups), alone.score(r), 1e-4)
		}
		each := func(what string, score func(row []float32) float64) {
			b.Run("model="+model+"/what="+what, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					score(rows[i%len(rows)])
				}
			})
		}
		each("score", alone.score)
		each("score-and-reasons", func(r []float32) float64 { return f.Explain(r, &groups) })
		each("recursive-treeshap", func(r []float32) float64 { return walking.Explain(r, &groups) })
	}
	f := shippedForest(b)
	run(fmt.Sprintf("shipped-%dx%d", len(f.trees), newScorer(f).depth), f)
	for _, depth := range []int{1, 3, 4, 5} {
		graph, _ := loadFixture(b, depth)
		f, err := Compile(graph, oneGroupEach(NumInputs))
		require.NoError(b, err)
		run(fmt.Sprintf("%dx%d", len(f.trees), depth), f)
	}
}
