package forest

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// A leaf's contributions depend only on which of its path's conditions a row
// meets. Leaves are gathered into chunks whose thresholds together make at most
// maxCells cells; a chunk knows the summed contributions of its leaves in each.

const maxCells = 256 // a cell's number fits a byte

// condition is what a path asks of one feature: low < x <= high.
type condition struct {
	feature   int32
	low, high float32
	zero      float64 // share of training rows that meet it when the feature is unknown
}

type leaf struct {
	value      float64 // log-odds
	conditions []condition
	shap       [][]float64 // by pattern of met conditions: contribution of each condition's feature; nil before weigh
}

// axis is the thresholds of one feature in a chunk, ascending.
type axis struct {
	feature    int32
	thresholds []float32
}

type chunk struct {
	leaves []*leaf
	axes   []axis // by feature
	cells  int    // product of len(thresholds)+1, capped above maxCells
}

// weighing is how many products weigh takes for a leaf of n conditions.
func weighing(n int) int { return n * n << (2*n - 1) }

// weigh computes a leaf's Shapley values for every pattern of met conditions
// straight from their definition: over subsets S of the other conditions,
// |S|! (n-1-|S|)! / n! times the weight of the leaf given S. It takes weighing(n)
// products, so that the number of conditions must be known to be small.
func (l *leaf) weigh() {
	cs, value, n := l.conditions, l.value, len(l.conditions)
	l.shap = make([][]float64, 1<<n)
	factorial := make([]float64, n+1)
	factorial[0] = 1
	for i := 1; i <= n; i++ {
		factorial[i] = factorial[i-1] * float64(i)
	}
	for pattern := range l.shap {
		row := make([]float64, n)
		for k := range row {
			sum := 0.0
			for subset := range 1 << n {
				if subset>>k&1 == 1 {
					continue
				}
				size := bits.OnesCount(uint(subset))
				w := factorial[size] * factorial[n-1-size] / factorial[n]
				for j := range cs {
					switch {
					case j == k:
					case subset>>j&1 == 1:
						w *= float64(pattern >> j & 1)
					default:
						w *= cs[j].zero
					}
				}
				sum += w
			}
			row[k] = value * sum * (float64(pattern>>k&1) - cs[k].zero)
		}
		l.shap[pattern] = row
	}
}

// narrow adds one split's side to a path's conditions.
func narrow(cs []condition, feature int32, low, high float32, share float64) []condition {
	out := slices.Clone(cs)
	for i := range out {
		if c := &out[i]; c.feature == feature {
			c.low, c.high, c.zero = max(c.low, low), min(c.high, high), c.zero*share
			return out
		}
	}
	return append(out, condition{feature, low, high, share})
}

var infinite = float32(math.Inf(1))

// sides are the conditions of a node's two branches.
func (t tree) sides(k int32, cs []condition) (left, right []condition) {
	nd := &t[k]
	l, r := t[nd.left].cover, t[nd.right].cover
	return narrow(cs, nd.feature, -infinite, nd.threshold, l/(l+r)),
		narrow(cs, nd.feature, nd.threshold, infinite, r/(l+r))
}

// widest is the most features that one path from the root asks for.
func (t tree) widest() int {
	asked := map[int32]int{} // on the way to where the walk is
	most := 0
	var walk func(k int32)
	walk = func(k int32) {
		f := t[k].feature
		if f < 0 {
			return
		}
		asked[f]++
		most = max(most, len(asked))
		walk(t[k].left)
		walk(t[k].right)
		if asked[f]--; asked[f] == 0 {
			delete(asked, f)
		}
	}
	walk(0)
	return most
}

// splitter cuts trees into chunks, and looks at no more leaves than it may.
type splitter struct {
	limit  int // cells of a chunk that has more than one leaf
	visits int // leaves that may still be looked at; below 0: too many
	chunks []*chunk
}

func (s *splitter) leaves(t tree, k int32, cs []condition, out []*leaf) []*leaf {
	if s.visits < 0 {
		return out
	}
	if t[k].feature < 0 {
		s.visits--
		if len(cs) == 0 { // a tree of one leaf contributes nothing but its value
			return out
		}
		return append(out, &leaf{value: t[k].value, conditions: cs})
	}
	left, right := t.sides(k, cs)
	return s.leaves(t, t[k].right, right, s.leaves(t, t[k].left, left, out))
}

// split cuts a tree into the largest subtrees whose chunks stay within the limit.
func (s *splitter) split(t tree, k int32, cs []condition) {
	ls := s.leaves(t, k, cs, nil)
	if len(ls) == 0 || s.visits < 0 {
		return
	}
	c := newChunk(ls)
	if c.cells <= s.limit || t[k].feature < 0 {
		s.chunks = append(s.chunks, c)
		return
	}
	left, right := t.sides(k, cs)
	s.split(t, t[k].left, left)
	s.split(t, t[k].right, right)
}

func newChunk(ls []*leaf) *chunk {
	thresholds := map[int32][]float32{}
	for _, l := range ls {
		for _, c := range l.conditions {
			for _, v := range [2]float32{c.low, c.high} {
				if v != infinite && v != -infinite {
					thresholds[c.feature] = append(thresholds[c.feature], v)
				}
			}
		}
	}
	return gather(ls, thresholds)
}

func gather(ls []*leaf, thresholds map[int32][]float32) *chunk {
	c := &chunk{leaves: ls, cells: 1}
	for f, ts := range thresholds {
		slices.Sort(ts)
		ts = slices.Compact(ts)
		c.axes = append(c.axes, axis{f, ts})
		c.cells = min(c.cells*(len(ts)+1), 1<<20)
	}
	slices.SortFunc(c.axes, func(a, b axis) int { return cmp.Compare(a.feature, b.feature) })
	return c
}

func merge(a, b *chunk) *chunk {
	thresholds := map[int32][]float32{}
	for _, c := range [2]*chunk{a, b} {
		for _, x := range c.axes {
			thresholds[x.feature] = append(thresholds[x.feature], x.thresholds...)
		}
	}
	return gather(append(slices.Clone(a.leaves), b.leaves...), thresholds)
}

// mergedCells is merge(a, b).cells without the work.
func mergedCells(a, b *chunk) int {
	cells := 1
	i, j := 0, 0
	for i < len(a.axes) || j < len(b.axes) {
		switch {
		case j == len(b.axes) || (i < len(a.axes) && a.axes[i].feature < b.axes[j].feature):
			cells *= len(a.axes[i].thresholds) + 1
			i++
		case i == len(a.axes) || b.axes[j].feature < a.axes[i].feature:
			cells *= len(b.axes[j].thresholds) + 1
			j++
		default:
			cells *= union(a.axes[i].thresholds, b.axes[j].thresholds) + 1
			i++
			j++
		}
		if cells > maxCells {
			return maxCells + 1
		}
	}
	return cells
}

// union counts the distinct values of two ascending lists.
func union(a, b []float32) int {
	n, i, j := 0, 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] < b[j]:
			i++
		case b[j] < a[i]:
			j++
		default:
			i++
			j++
		}
		n++
	}
	return n + len(a) - i + len(b) - j
}

// pack merges chunks, of any trees, while they stay within maxCells: the largest
// first, each into the bin that grows least.
func pack(cs []*chunk) []*chunk {
	slices.SortStableFunc(cs, func(a, b *chunk) int { return cmp.Compare(b.cells, a.cells) })
	var bins []*chunk
	for _, c := range cs {
		best, growth := -1, math.Inf(1)
		for i, b := range bins {
			if n := mergedCells(b, c); n <= maxCells {
				if g := float64(n) / float64(b.cells); g < growth {
					best, growth = i, g
				}
			}
		}
		if best < 0 {
			bins = append(bins, c)
		} else {
			bins[best] = merge(bins[best], c)
		}
	}
	return bins
}

// contributions are the summed contributions per feature in every cell. A cell's
// number is mixed radix over the axes, the first the fastest.
func (c *chunk) contributions(features int) [][]float64 {
	at := map[int32]int{}
	for i, a := range c.axes {
		at[a.feature] = i
	}
	position := make([]int, len(c.axes)) // interval of the cell on each axis
	out := make([][]float64, c.cells)
	for cell := range out {
		rest := cell
		for i, a := range c.axes {
			position[i] = rest % (len(a.thresholds) + 1)
			rest /= len(a.thresholds) + 1
		}
		phi := make([]float64, features)
		for _, l := range c.leaves {
			pattern := 0
			for k, q := range l.conditions {
				i := at[q.feature]
				ts := c.axes[i].thresholds
				first, last := 0, len(ts) // intervals that meet low < x <= high
				if q.low != -infinite {
					n, _ := slices.BinarySearch(ts, q.low)
					first = n + 1
				}
				if q.high != infinite {
					last, _ = slices.BinarySearch(ts, q.high)
				}
				if first <= position[i] && position[i] <= last {
					pattern |= 1 << k
				}
			}
			for k, q := range l.conditions {
				phi[q.feature] += l.shap[pattern][k]
			}
		}
		out[cell] = phi
	}
	return out
}
