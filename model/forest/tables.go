package forest

import (
	"cmp"
	"errors"
	"math"
	"slices"
)

// tables score and explain a row without walking a tree.
//
// Each feature's value is ranked among the model's thresholds. Features are
// joined into rankings of at most maxJointRows combinations; a combination
// selects one row of byte lanes, one lane per chunk. The sum of the selected
// rows is every chunk's cell number at once (mixed radix: no byte overflows).
// One entry per chunk is then added: int32 fixed-point contributions of the
// reason groups, two to a word, so that sums are exact in any order and a row
// scores the same alone and in a batch. base + sum of the groups = margin.
type tables struct {
	rankings []ranking
	lanes    []lanes     // lane rows of all rankings, blocks to a row
	first    []uint32    // per ranking: its first lane row
	active   [][]uint8   // per block: rankings with a nonzero lane there
	base     []uint32    // per chunk: its first entry
	entries  [][4]uint64 // per cell: eight groups
	scale    float64     // of the fixed point
}

// lanes are the cell-number parts of 32 chunks.
type lanes [4]uint64

const (
	chunksPerBlock = 32
	maxChunks      = 4096
	maxJointRows   = 64
	// maxEntries bounds a model's tables to 64 MiB.
	maxEntries = 1 << 21
	maxBuild   = 1 << 26 // leaf-cell pairs evaluated while building
	maxWeigh   = 1 << 31 // products for the leaves' Shapley values: some seconds
	maxVisits  = 1 << 20 // leaves looked at while trees are cut into chunks
	// maxThresholds of one feature: a ranking counts them in 16 bits.
	maxThresholds = math.MaxUint16
)

var errTables = errors.New("the model's tables would be too large")

// ranking says how many of one feature's thresholds lie below a value. Buckets
// over the value's ordered bits leave `compares` thresholds to look at.
type ranking struct {
	input      uint16
	joint      uint8
	shift      uint8
	compares   uint16
	stride     uint32 // rows of the joint ranking per rank
	low        int32
	last       int64
	start      []uint16 // per bucket: thresholds in lower buckets
	thresholds []int32  // ordered bits, padded by as many as are looked at
}

// ordered maps a float32 to an int32 that sorts alike; NaN sorts last, -0 as 0.
func ordered(f float32) int32 {
	if f != f {
		return math.MaxInt32
	}
	b := int32(math.Float32bits(f + 0))
	return b ^ int32(uint32(b>>31)>>1)
}

func newRanking(input int32, thresholds []float32) ranking {
	const buckets = 512
	t := make([]int32, len(thresholds))
	for i, v := range thresholds {
		t[i] = ordered(v)
	}
	low, high := int64(t[0]), int64(t[len(t)-1])
	r := ranking{input: uint16(input), low: t[0]}
	for (high-low)>>r.shift+2 > buckets {
		r.shift++
	}
	n := int((high-low)>>r.shift) + 2
	r.last = int64(n - 1)
	count := make([]int, n)
	for _, v := range t {
		count[(int64(v)-low)>>r.shift]++
	}
	below := 0
	for _, c := range count {
		r.start = append(r.start, uint16(below))
		below += c
		r.compares = max(r.compares, uint16(c))
	}
	r.thresholds = t
	for range max(4, r.compares) {
		r.thresholds = append(r.thresholds, math.MaxInt32)
	}
	return r
}

// rank adds each value's rank to its row of the joint ranking. Most rankings have
// one or two thresholds to look at, where a loop over them would cost more than they
// do. Those of a higher bucket are above the value, and so change nothing.
func (r *ranking) rank(values []float32, rows *[blockRows]uint32) {
	to := rows[:len(values)]
	switch thresholds, stride := r.thresholds, r.stride; r.compares {
	case 1:
		for k, x := range values {
			v := ordered(x)
			n := r.below(v)
			to[k] += (n + exceeds(v, thresholds[n])) * stride
		}
	case 2:
		for k, x := range values {
			v := ordered(x)
			n := r.below(v)
			t := (*[2]int32)(thresholds[n:])
			to[k] += (n + exceeds(v, t[0]) + exceeds(v, t[1])) * stride
		}
	case 3, 4:
		for k, x := range values {
			v := ordered(x)
			n := r.below(v)
			t := (*[4]int32)(thresholds[n:])
			to[k] += (n + exceeds(v, t[0]) + exceeds(v, t[1]) + exceeds(v, t[2]) + exceeds(v, t[3])) * stride
		}
	default:
		for k, x := range values {
			v := ordered(x)
			n := r.below(v)
			for _, t := range thresholds[n : n+uint32(r.compares)] {
				n += exceeds(v, t)
			}
			to[k] += n * stride
		}
	}
}

// below is how many thresholds lie in lower buckets than a value.
func (r *ranking) below(v int32) uint32 {
	u := int64(v) - int64(r.low)
	u &^= u >> 63
	return uint32(r.start[min(u>>(r.shift&63), r.last)])
}

// exceeds is 1 where v > t.
func exceeds(v, t int32) (one uint32) {
	if v > t {
		one = 1
	}
	return one
}

// buildTables compiles trees for reason groups: group[i] is tree input i's.
func buildTables(trees []tree, inputs int, group []int) (*tables, error) {
	chunks, err := cut(trees)
	if err != nil {
		return nil, err
	}
	chunks = pack(chunks)
	work := 0
	cells := 0
	for _, c := range chunks {
		cells += c.cells
		work += c.cells * len(c.leaves)
	}
	if cells > maxEntries || work > maxBuild {
		return nil, errTables
	}
	sortByUse(chunks)
	all := unionOfAxes(chunks)
	for _, a := range all {
		if len(a.thresholds) > maxThresholds {
			return nil, errTables
		}
	}
	for _, c := range chunks {
		for _, l := range c.leaves {
			l.weigh()
		}
	}
	t := &tables{}
	t.buildLanes(chunks, all)
	t.buildEntries(chunks, inputs, group)
	return t, nil
}

// cut cuts trees into chunks. What building the tables would take is counted before
// any of it is done: a path of n features has at least 2^n cells, and its leaf takes
// more than 4^n products.
func cut(trees []tree) ([]*chunk, error) {
	for _, t := range trees {
		if 1<<t.widest() > maxCells {
			return nil, errTables // one path alone has more cells
		}
	}
	// A quarter of the cells a chunk may have, so that several can be packed into one.
	s := splitter{limit: maxCells / 4, visits: maxVisits}
	for _, t := range trees {
		if s.split(t, 0, nil); s.visits < 0 || len(s.chunks) > maxChunks {
			return nil, errTables
		}
	}
	products := 0
	for _, c := range s.chunks {
		if c.cells > maxCells {
			return nil, errTables
		}
		for _, l := range c.leaves {
			products += weighing(len(l.conditions))
		}
	}
	if products > maxWeigh {
		return nil, errTables
	}
	return s.chunks, nil
}

// sortByUse puts chunks with rarely used features first, so that those features
// have lanes in few blocks.
func sortByUse(chunks []*chunk) {
	use := map[int32]int{}
	for _, c := range chunks {
		for _, a := range c.axes {
			use[a.feature]++
		}
	}
	byUse := make([]int32, 0, len(use))
	for f := range use {
		byUse = append(byUse, f)
	}
	slices.SortFunc(byUse, func(a, b int32) int {
		return cmp.Or(cmp.Compare(use[b], use[a]), cmp.Compare(a, b))
	})
	place := map[int32]int{}
	for i, f := range byUse {
		place[f] = i
	}
	key := func(c *chunk) []int {
		k := make([]int, 0, len(c.axes))
		for _, a := range c.axes {
			k = append(k, -place[a.feature])
		}
		slices.Sort(k)
		return k
	}
	slices.SortStableFunc(chunks, func(a, b *chunk) int { return slices.Compare(key(a), key(b)) })
}

// unionOfAxes lists, by feature, every threshold of the model.
func unionOfAxes(chunks []*chunk) []axis {
	thresholds := map[int32][]float32{}
	for _, c := range chunks {
		for _, a := range c.axes {
			thresholds[a.feature] = append(thresholds[a.feature], a.thresholds...)
		}
	}
	return gather(nil, thresholds).axes
}

func (t *tables) buildLanes(chunks []*chunk, all []axis) {
	blocks := (len(chunks) + chunksPerBlock - 1) / chunksPerBlock
	rows := make([][]lanes, len(all)) // per feature: rank*blocks+block
	for i, a := range all {
		rows[i] = make([]lanes, (len(a.thresholds)+1)*blocks)
	}
	index := map[int32]int{}
	for i, a := range all {
		index[a.feature] = i
	}
	for ci, c := range chunks {
		stride := 1
		for _, a := range c.axes {
			i := index[a.feature]
			for rank := range len(all[i].thresholds) + 1 {
				interval := 0 // thresholds of this chunk among the first `rank` of the model's
				if rank > 0 {
					last := all[i].thresholds[rank-1]
					n, found := slices.BinarySearch(a.thresholds, last)
					interval = n
					if found {
						interval++
					}
				}
				l := &rows[i][rank*blocks+ci/chunksPerBlock]
				l[ci%chunksPerBlock/8] |= uint64(interval*stride) << (ci % 8 * 8)
			}
			stride *= len(a.thresholds) + 1
		}
	}
	t.join(all, rows, blocks)
}

// join combines features into joint rankings: fewer lane rows to add.
func (t *tables) join(all []axis, rows [][]lanes, blocks int) {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(len(all[b].thresholds), len(all[a].thresholds))
	})
	var (
		members [][]int
		size    []int
	)
	for _, f := range order {
		n := len(all[f].thresholds) + 1
		best := -1
		for i := range members {
			if size[i]*n <= maxJointRows && (best < 0 || size[i] > size[best]) {
				best = i
			}
		}
		if best < 0 {
			members, size = append(members, nil), append(size, 1)
			best = len(members) - 1
		}
		members[best] = append(members[best], f)
		size[best] *= n
	}
	t.active = make([][]uint8, blocks)
	for j, fs := range members {
		t.first = append(t.first, uint32(len(t.lanes)/max(blocks, 1)))
		used := make([]bool, blocks)
		for row := range size[j] {
			rest := row
			at := len(t.lanes)
			t.lanes = append(t.lanes, make([]lanes, blocks)...)
			for _, f := range fs {
				n := len(all[f].thresholds) + 1
				rank := rest % n
				rest /= n
				for b := range blocks {
					for w, v := range rows[f][rank*blocks+b] {
						t.lanes[at+b][w] += v
						used[b] = used[b] || v != 0
					}
				}
			}
		}
		stride := 1
		for _, f := range fs {
			r := newRanking(all[f].feature, all[f].thresholds)
			r.joint, r.stride = uint8(j), uint32(stride)
			t.rankings = append(t.rankings, r)
			stride *= len(all[f].thresholds) + 1
		}
		for b := range blocks {
			if used[b] {
				t.active[b] = append(t.active[b], uint8(j))
			}
		}
	}
}

func (t *tables) buildEntries(chunks []*chunk, inputs int, group []int) {
	var (
		sums    [][MaxGroups]float64 // per entry
		largest [MaxGroups]float64   // bound of each group's sum over all chunks
	)
	for _, c := range chunks {
		t.base = append(t.base, uint32(len(sums)))
		var chunkLargest [MaxGroups]float64
		for _, phi := range c.contributions(inputs) {
			var g [MaxGroups]float64
			for f, v := range phi {
				g[group[f]] += v
			}
			for k, v := range g {
				chunkLargest[k] = max(chunkLargest[k], math.Abs(v))
			}
			sums = append(sums, g)
		}
		for k, v := range chunkLargest {
			largest[k] += v
		}
	}
	// A power of two, so that scaling back is exact; room is left for rounding, at
	// most one unit per chunk.
	bound := math.SmallestNonzeroFloat64
	for _, v := range largest {
		bound = max(bound, v)
	}
	room := float64(math.MaxInt32 - len(chunks) - 1)
	t.scale = math.Exp2(math.Floor(math.Log2(room / max(bound, 1e-6))))
	t.entries = make([][4]uint64, len(sums))
	for i, g := range sums {
		for k := 0; k < MaxGroups; k += 2 {
			low := int64(math.Round(g[k] * t.scale))
			high := int64(math.Round(g[k+1] * t.scale))
			t.entries[i][k/2] = uint64(high<<32 + low)
		}
	}
}

// jointRows are the lane rows that the rows of a block select, by joint ranking.
type jointRows [maxInputs][blockRows]uint32

// rank finds the lane rows of the first n rows of a block of tree inputs: one
// feature after the other, so that what a ranking is is read once for all of them
// and their look-ups overlap.
func (t *tables) rank(x *registers, n int, outputs []uint16, rows *jointRows) {
	for j, first := range t.first {
		for k := range n {
			rows[j][k%blockRows] = first
		}
	}
	for i := range t.rankings {
		r := &t.rankings[i]
		r.rank(x[outputs[r.input]%maxRegisters][:n], &rows[r.joint])
	}
}

// explain sums the groups' contributions of row k of a block, in units of 1/scale.
func (t *tables) explain(rows *jointRows, k int) (sum [MaxGroups]int32) {
	var s0, s1, s2, s3 uint64
	blocks := len(t.active)
	for b, active := range t.active {
		var l lanes
		for _, j := range active {
			p := &t.lanes[int(rows[j][k%blockRows])*blocks+b]
			l[0] += p[0]
			l[1] += p[1]
			l[2] += p[2]
			l[3] += p[3]
		}
		base := t.base[b*chunksPerBlock:]
		for w, v := range l {
			for i := w * 8; i < min(w*8+8, len(base)); i++ {
				e := &t.entries[base[i]+uint32(v&0xff)]
				v >>= 8
				s0 += e[0]
				s1 += e[1]
				s2 += e[2]
				s3 += e[3]
			}
		}
	}
	for k, w := range [4]uint64{s0, s1, s2, s3} {
		low := int32(uint32(w))
		sum[2*k] = low
		sum[2*k+1] = int32((int64(w) - int64(low)) >> 32)
	}
	return sum
}
