// Package forest is the native engine: it compiles an ONNX graph of feature
// nodes and a TreeEnsembleClassifier into pure Go that scores a row and explains
// it exactly (path-dependent TreeSHAP, log-odds) in one pass.
//
// Supported operators: Identity, Slice and Concat over columns, IsNaN with Where
// (imputation), Clip, Add, Sub, Mul, Div, Max, Min, ReduceSum, ReduceMax, and one
// binary TreeEnsembleClassifier (BRANCH_LEQ, LOGISTIC). Anything else is refused
// by name.
package forest

import (
	"errors"
	"fmt"
	"math"
	"sync"
)

// NumInputs is the number of raw features a model reads.
const NumInputs = 23

// MaxGroups is the most reason groups contributions are summed into.
const MaxGroups = 8

// Forest is a compiled model. Its methods may be called from several goroutines.
type Forest struct {
	program  *program
	trees    []tree
	base     float64
	expected float64
	group    []int
	tables   *tables // nil where they would be too large: trees are walked then
	inputs   []int
	scratch  *sync.Pool // of *scratch
}

// scratch is the memory that a block of rows takes.
type scratch struct {
	registers
	rows jointRows
}

// ensemble finds the graph's one tree ensemble.
func ensemble(g *graph) (*node, error) {
	var found *node
	for i := range g.nodes {
		if g.nodes[i].op == "TreeEnsembleClassifier" {
			if found != nil {
				return nil, errors.New("ONNX: the graph has more than one TreeEnsembleClassifier")
			}
			found = &g.nodes[i]
		}
	}
	if found == nil || found.domain != "ai.onnx.ml" || len(found.inputs) != 1 {
		return nil, errors.New("ONNX: the graph has no TreeEnsembleClassifier (ai.onnx.ml) with one input; the native engine runs no other model")
	}
	return found, nil
}

// Compile compiles an ONNX file. group gives each tree input its reason group,
// 0 … MaxGroups-1.
func Compile(onnx []byte, group []int) (*Forest, error) {
	g, err := parseModel(onnx)
	if err != nil {
		return nil, err
	}
	e, err := ensemble(g)
	if err != nil {
		return nil, err
	}
	var input string
	for _, name := range g.inputs {
		if _, constant := g.initializers[name]; !constant {
			if input != "" {
				return nil, fmt.Errorf("ONNX: the graph has inputs %q and %q, expected one", input, name)
			}
			input = name
		}
	}
	// What follows the trees only renames their outputs.
	after := map[string]bool{}
	for _, o := range e.outputs {
		after[o] = true
	}
	kept := g.nodes[:0:0]
	for _, n := range g.nodes {
		if n.op == "Identity" && len(n.inputs) == 1 && after[n.inputs[0]] {
			for _, o := range n.outputs {
				after[o] = true
			}
			continue
		}
		kept = append(kept, n)
	}
	for _, o := range g.outputs {
		if !after[o] {
			return nil, fmt.Errorf("ONNX: output %q is not one of the tree ensemble's", o)
		}
	}
	g.nodes = kept
	p, err := compileProgram(g, input, e.inputs[0])
	if err != nil {
		return nil, err
	}
	trees, base, err := parseTrees(e)
	if err != nil {
		return nil, err
	}
	return build(p, trees, base, group)
}

func build(p *program, trees []tree, base float64, group []int) (*Forest, error) {
	if len(group) != len(p.outputs) {
		return nil, fmt.Errorf("the trees read %d inputs, reason groups are given for %d", len(p.outputs), len(group))
	}
	if len(p.outputs) > maxInputs {
		return nil, fmt.Errorf("the trees read %d inputs, at most %d are supported", len(p.outputs), maxInputs)
	}
	for i, k := range group {
		if k < 0 || k >= MaxGroups {
			return nil, fmt.Errorf("tree input %d has reason group %d, expected 0 to %d", i, k, MaxGroups-1)
		}
	}
	f := &Forest{program: p, trees: trees, base: base, expected: expected(trees, base), group: group, inputs: p.inputs()}
	f.scratch = &sync.Pool{New: func() any { return new(scratch) }}
	used := make([]bool, len(p.outputs))
	for _, t := range trees {
		for _, nd := range t {
			if nd.feature < 0 {
				continue
			}
			if int(nd.feature) >= len(used) {
				return nil, fmt.Errorf("ONNX: a tree splits on input %d, the graph computes %d", nd.feature, len(used))
			}
			used[nd.feature] = true
		}
	}
	p.prune(func(i int) bool { return used[i] })
	t, err := buildTables(trees, len(p.outputs), group)
	switch {
	case err == nil:
		f.tables = t
	case !errors.Is(err, errTables):
		return nil, err
	}
	return f, nil
}

// Inputs lists the raw features that the graph reads.
func (f *Forest) Inputs() []int { return f.inputs }

// TreeInputs is the number of the tree ensemble's inputs.
func (f *Forest) TreeInputs() int { return len(f.program.outputs) }

// ExpectedValue is SHAP's base: the expected margin over the training rows,
// log-odds.
func (f *Forest) ExpectedValue() float64 { return f.expected }

// Tabled says whether score and reasons come from tables; otherwise trees are
// walked, exactly and slower.
func (f *Forest) Tabled() bool { return f.tables != nil }

// Explain returns a row's margin and the contribution of each reason group, all
// in log-odds; margin = ExpectedValue + sum of the groups. row holds NumInputs
// raw features, NaN where missing.
func (f *Forest) Explain(row []float32, groups *[MaxGroups]float32) (margin float64) {
	s := f.scratch.Get().(*scratch)
	defer f.scratch.Put(s)
	f.prepare(s, row[:NumInputs])
	return f.explain(s, 0, groups)
}

// ExplainRows is Explain for as many rows as there are margins, one behind the
// other, and takes less time for each. A row's result does not depend on the others.
func (f *Forest) ExplainRows(rows []float32, margins []float64, groups [][MaxGroups]float32) {
	s := f.scratch.Get().(*scratch)
	defer f.scratch.Put(s)
	for from := 0; from < len(margins); from += blockRows {
		to := min(from+blockRows, len(margins))
		for k := range f.prepare(s, rows[from*NumInputs:to*NumInputs]) {
			margins[from+k] = f.explain(s, k, &groups[from+k])
		}
	}
}

// prepare does what is done for a block of rows at once.
func (f *Forest) prepare(s *scratch, rows []float32) (n int) {
	n = s.load(rows)
	f.program.run(&s.registers, n)
	if f.tables != nil {
		f.tables.rank(&s.registers, n, f.program.outputs, &s.rows)
	}
	return n
}

// explain explains row k of a block.
func (f *Forest) explain(s *scratch, k int, groups *[MaxGroups]float32) (margin float64) {
	if f.tables == nil {
		return f.explainByWalking(&s.registers, k, groups)
	}
	sum := f.tables.explain(&s.rows, k)
	inverse := 1 / f.tables.scale
	var total int64
	for k, v := range sum {
		total += int64(v)
		groups[k] = float32(float64(v) * inverse)
	}
	return f.expected + float64(total)*inverse
}

func (f *Forest) explainByWalking(r *registers, k int, groups *[MaxGroups]float32) float64 {
	x := f.treeRow(r, k)
	phi := make([]float64, len(x))
	addContributions(f.trees, x, phi)
	var sums [MaxGroups]float64
	for i, v := range phi {
		sums[f.group[i]] += v
	}
	for k, v := range sums {
		groups[k] = float32(v)
	}
	return margin(f.trees, f.base, x)
}

func (f *Forest) treeRow(r *registers, k int) []float32 {
	x := make([]float32, len(f.program.outputs))
	for i, at := range f.program.outputs {
		x[i] = r[at][k]
	}
	return x
}

// TreeRow returns what the trees read of a row; NaN for an input that no tree
// splits on, which is not computed.
func (f *Forest) TreeRow(row []float32) []float32 {
	s := f.scratch.Get().(*scratch)
	defer f.scratch.Put(s)
	f.program.run(&s.registers, s.load(row[:NumInputs]))
	computed := f.treeRow(&s.registers, 0)
	read := make([]float32, len(computed))
	for i := range read {
		read[i] = float32(math.NaN())
	}
	for _, t := range f.trees {
		for i := range t {
			if k := t[i].feature; k >= 0 {
				read[k] = computed[k]
			}
		}
	}
	return read
}

// Contributions returns the contribution of every tree input, log-odds.
func (f *Forest) Contributions(row []float32) []float64 {
	s := f.scratch.Get().(*scratch)
	defer f.scratch.Put(s)
	f.program.run(&s.registers, s.load(row[:NumInputs]))
	phi := make([]float64, len(f.program.outputs))
	addContributions(f.trees, f.treeRow(&s.registers, 0), phi)
	return phi
}

// Probability is the logistic function of a margin in log-odds.
func Probability(margin float64) float32 {
	return float32(1 / (1 + math.Exp(-margin)))
}
