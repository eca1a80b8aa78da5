package forest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// full is a full tree of a depth; each level asks the feature that asked names, at a
// threshold of its own per node.
func full(depth int, asked func(level int) int32) tree {
	rng := rand.New(rand.NewPCG(1, uint64(depth)))
	var t tree
	var grow func(level int) int32
	grow = func(level int) int32 {
		k := int32(len(t))
		t = append(t, treeNode{feature: -1, value: rng.NormFloat64()})
		if level == depth {
			t[k].cover = 1
			return k
		}
		left, right := grow(level+1), grow(level+1)
		t[k] = treeNode{feature: asked(level), threshold: rng.Float32(), left: left, right: right, cover: t[left].cover + t[right].cover}
		return k
	}
	grow(0)
	return t
}

// compiled is a forest of trees over NumInputs inputs that are read as they are.
func compiled(t *testing.T, trees ...tree) *Forest {
	t.Helper()
	graph, _ := loadFixture(t, 1)
	f, err := Compile(graph, oneGroupEach(NumInputs))
	require.NoError(t, err)
	f, err = build(f.program, trees, 0, f.group)
	require.NoError(t, err)
	return f
}

// What tables would take doubles with every feature of a path, and more than that to
// build: it is counted first, and what is too much is walked. Without the count, one
// tree of depth 9 took more than a minute, and one of 16 never ended.
func TestCompile_CountsBeforeItBuilds(t *testing.T) {
	own := func(level int) int32 { return int32(level) }
	for _, c := range []struct {
		name   string
		trees  []tree
		tabled bool
	}{
		{"depth 6, a feature a level", []tree{full(6, own)}, true},
		{"depth 9, a feature a level", []tree{full(9, own)}, false},
		{"depth 12, a feature a level", []tree{full(12, own)}, false},
		{"the deepest, a feature a level", []tree{full(maxDepth, own)}, false},
		{"the deepest, one feature", []tree{full(maxDepth, func(int) int32 { return 0 })}, true},
		{"the deepest, four features", []tree{full(maxDepth, func(level int) int32 { return int32(level % 4) })}, false},
		{"the deepest, nothing but one path", []tree{ladder(0, maxDepth)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := compiled(t, c.trees...)
			require.Equal(t, c.tabled, f.Tabled())
			rng := rand.New(rand.NewPCG(2, 2))
			for range 3 {
				x := make([]float32, NumInputs)
				for i := range x {
					x[i] = rng.Float32()
				}
				var groups [MaxGroups]float32
				got := f.Explain(x, &groups)
				sum := f.ExpectedValue()
				for _, g := range groups {
					sum += float64(g)
				}
				require.InDelta(t, margin(c.trees, 0, x), got, 1e-5)
				require.InDelta(t, got, sum, 1e-4, "groups add up to the margin")
			}
		})
	}
}

// Many trees, each small enough by itself, are counted together.
func TestCompile_CountsAllTreesTogether(t *testing.T) {
	for _, trees := range []int{8, 200} {
		t.Run(fmt.Sprint(trees), func(t *testing.T) {
			all := make([]tree, trees)
			for i := range all {
				all[i] = full(7, func(level int) int32 { return int32((level + i) % NumInputs) })
			}
			_, err := cut(all)
			if trees == 8 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, errTables)
			}
		})
	}
}
