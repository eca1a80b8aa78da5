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

// score is ExplainRows without the groups.
func (s *scorer) score(rows []float32, margins []float64) {
	var r registers
	for from := 0; from < len(margins); from += blockRows {
		to := min(from+blockRows, len(margins))
		n := r.load(rows[from*NumInputs : to*NumInputs])
		s.program.run(&r, n)
		for k := range n {
			margins[from+k] = s.one(&r, k)
		}
	}
}

func (s *scorer) one(r *registers, n int) float64 {
	var bits [maxInputs]int32
	for i, at := range s.program.outputs {
		bits[i] = ordered(r[at%maxRegisters][n%blockRows])
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

// BenchmarkRows is 1,024 rows: their scores alone, scores and exact reasons
// together, and the reasons by plain recursion. ns/row is the figure to compare.
func BenchmarkRows(b *testing.B) {
	const n = 1024
	var rows []float32
	_, fx := loadFixture(b, 3)
	rng := rand.New(rand.NewPCG(1, 2))
	for range n {
		rows = append(rows, row(fx.Rows[rng.IntN(len(fx.Rows))].Inputs)...)
	}
	run := func(model string, f *Forest) {
		require.True(b, f.Tabled())
		walking := *f
		walking.tables = nil
		alone := newScorer(f)
		margins, scores, groups := make([]float64, n), make([]float64, n), make([][MaxGroups]float32, n)
		f.ExplainRows(rows, margins, groups)
		alone.score(rows, scores)
		require.InDeltaSlice(b, margins, scores, 1e-4)
		each := func(what string, score func()) {
			b.Run("model="+model+"/what="+what, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					score()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
			})
		}
		each("score", func() { alone.score(rows, scores) })
		each("score-and-reasons", func() { f.ExplainRows(rows, margins, groups) })
		each("recursive-treeshap", func() { walking.ExplainRows(rows, margins, groups) })
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
