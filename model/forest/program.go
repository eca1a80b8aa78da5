package forest

import (
	"fmt"
	"math"
	"slices"
)

// A program computes the tree ensemble's inputs of one row from its raw
// features. ONNX's tensor operators over [N, k] become scalar instructions over
// registers; slices and concatenations only rename registers. Every instruction
// rounds to float32, as ONNX Runtime does.
type program struct {
	code      []instruction
	registers int // the first NumInputs hold the raw features
	outputs   []uint16
}

type instruction struct {
	op        opcode
	dst, a, b uint16
	x, y      float32 // immediate operands
}

type opcode uint8

const (
	opFill  opcode = iota // dst = x where a is NaN, else b
	opClip                // dst = min(max(a, x), y)
	opAdd                 // dst = a + b
	opSub                 // dst = a - b
	opMul                 // dst = a * b
	opDiv                 // dst = a / b
	opMax                 // dst = max(a, b)
	opMin                 // dst = min(a, b)
	opConst               // dst = x
)

const (
	// maxRegisters bounds the memory that rows take.
	maxRegisters = 512
	// blockRows are computed at once: what an instruction is has to be found out
	// once for all of them.
	blockRows = 32
)

// registers hold one value of each row of a block.
type registers [maxRegisters][blockRows]float32

// load sets the raw features of up to blockRows rows, NumInputs values each.
func (r *registers) load(rows []float32) (n int) {
	for n = 0; n*NumInputs < len(rows); n++ {
		for i, v := range rows[n*NumInputs : (n+1)*NumInputs] {
			r[i][n] = v
		}
	}
	return n
}

// run computes every register of the first n rows.
func (p *program) run(r *registers, n int) {
	for i := range p.code {
		c := &p.code[i]
		to := r[c.dst%maxRegisters][:n]
		a, b := r[c.a%maxRegisters][:len(to)], r[c.b%maxRegisters][:len(to)]
		switch c.op {
		case opFill:
			for k := range to {
				v := b[k]
				if a[k] != a[k] {
					v = c.x
				}
				to[k] = v
			}
		case opClip:
			for k := range to {
				v := a[k]
				if v < c.x {
					v = c.x
				}
				if v > c.y {
					v = c.y
				}
				to[k] = v
			}
		case opAdd:
			for k := range to {
				to[k] = float32(a[k] + b[k])
			}
		case opSub:
			for k := range to {
				to[k] = float32(a[k] - b[k])
			}
		case opMul:
			for k := range to {
				to[k] = float32(a[k] * b[k])
			}
		case opDiv:
			for k := range to {
				to[k] = a[k] / b[k]
			}
		case opMax:
			for k := range to {
				v := a[k]
				if b[k] > v || b[k] != b[k] {
					v = b[k]
				}
				to[k] = v
			}
		case opMin:
			for k := range to {
				v := a[k]
				if b[k] < v || b[k] != b[k] {
					v = b[k]
				}
				to[k] = v
			}
		case opConst:
			for k := range to {
				to[k] = c.x
			}
		}
	}
}

// value is what a tensor of the graph is: a run of registers, a constant, or a
// mask of what is NaN in a run of registers.
type value struct {
	registers []uint16
	constant  *tensor
	isNaN     bool
}

type compiler struct {
	values map[string]value
	code   []instruction
	next   int
	consts map[uint32]uint16 // float32 bits -> register
}

// compileProgram compiles every node up to the tensor `output`.
func compileProgram(g *graph, input, output string) (*program, error) {
	c := &compiler{values: map[string]value{}, next: NumInputs, consts: map[uint32]uint16{}}
	raw := make([]uint16, NumInputs)
	for i := range raw {
		raw[i] = uint16(i)
	}
	c.values[input] = value{registers: raw}
	for name, t := range g.initializers {
		c.values[name] = value{constant: &t}
	}
	for i := range g.nodes {
		n := &g.nodes[i]
		if n.op == "TreeEnsembleClassifier" {
			continue
		}
		v, err := c.node(n)
		if err != nil {
			return nil, fmt.Errorf("ONNX: %s: %w", n, err)
		}
		if len(n.outputs) != 1 {
			return nil, fmt.Errorf("ONNX: %s has %d outputs, expected 1", n, len(n.outputs))
		}
		if _, twice := c.values[n.outputs[0]]; twice {
			return nil, fmt.Errorf("ONNX: %s writes %q, which another node writes", n, n.outputs[0])
		}
		c.values[n.outputs[0]] = v
	}
	out, ok := c.values[output]
	if !ok || out.registers == nil || out.isNaN {
		return nil, fmt.Errorf("ONNX: the trees read %q, which no node computes", output)
	}
	return &program{code: c.code, registers: c.next, outputs: out.registers}, nil
}

func (c *compiler) node(n *node) (value, error) {
	in := make([]value, len(n.inputs))
	for i, name := range n.inputs {
		v, ok := c.values[name]
		if !ok {
			return value{}, fmt.Errorf("reads %q, which nothing computes before it", name)
		}
		in[i] = v
	}
	want := map[string][2]int{
		"Identity": {1, 1}, "Slice": {4, 5}, "Concat": {1, 256}, "IsNaN": {1, 1}, "Where": {3, 3}, "Clip": {1, 3},
		"Add": {2, 2}, "Sub": {2, 2}, "Mul": {2, 2}, "Div": {2, 2}, "Max": {2, 2}, "Min": {2, 2},
		"ReduceSum": {1, 2}, "ReduceMax": {1, 2},
	}
	arity, known := want[n.op]
	if !known || n.domain != "" {
		return value{}, fmt.Errorf("operator %s%s is not supported by the native engine", domainPrefix(n.domain), n.op)
	}
	if len(in) < arity[0] || len(in) > arity[1] {
		return value{}, fmt.Errorf("has %d inputs, expected %d to %d", len(in), arity[0], arity[1])
	}
	switch n.op {
	case "Identity":
		return in[0], nil
	case "Slice":
		return slice(in)
	case "Concat":
		return concat(n, in)
	case "IsNaN":
		if in[0].registers == nil || in[0].isNaN {
			return value{}, errTensor
		}
		return value{registers: in[0].registers, isNaN: true}, nil
	case "Where":
		return c.where(in)
	case "Clip":
		return c.clip(in)
	case "ReduceSum", "ReduceMax":
		return c.reduce(n, in)
	}
	ops := map[string]opcode{"Add": opAdd, "Sub": opSub, "Mul": opMul, "Div": opDiv, "Max": opMax, "Min": opMin}
	return c.binary(ops[n.op], in[0], in[1])
}

var errTensor = fmt.Errorf("expected columns of the rows as its input")

func domainPrefix(domain string) string {
	if domain == "" {
		return ""
	}
	return domain + "."
}

func (c *compiler) emit(i instruction) (uint16, error) {
	if c.next >= maxRegisters {
		return 0, fmt.Errorf("the graph needs more than %d intermediate values", maxRegisters)
	}
	i.dst = uint16(c.next)
	c.next++
	c.code = append(c.code, i)
	return i.dst, nil
}

func slice(in []value) (value, error) {
	if in[0].registers == nil {
		return value{}, errTensor
	}
	var at [4]int64 // start, end, axis, step
	at[3] = 1
	for i, v := range in[1:] {
		if v.constant == nil || len(v.constant.ints) != 1 {
			return value{}, fmt.Errorf("expected one constant start, end, axis and step")
		}
		at[i] = v.constant.ints[0]
	}
	width := int64(len(in[0].registers))
	if at[2] != 1 || at[3] != 1 {
		return value{}, fmt.Errorf("slices axis %d by %d; only columns (axis 1) by 1 are supported", at[2], at[3])
	}
	if at[0] < 0 || at[1] > width || at[0] >= at[1] {
		return value{}, fmt.Errorf("takes columns %d to %d of %d", at[0], at[1], width)
	}
	return value{registers: in[0].registers[at[0]:at[1]], isNaN: in[0].isNaN}, nil
}

func concat(n *node, in []value) (value, error) {
	if n.attributes["axis"].i != 1 {
		return value{}, fmt.Errorf("joins along axis %d; only 1 is supported", n.attributes["axis"].i)
	}
	var out []uint16
	for _, v := range in {
		if v.registers == nil || v.isNaN {
			return value{}, errTensor
		}
		out = append(out, v.registers...)
	}
	if len(out) > maxRegisters {
		return value{}, fmt.Errorf("joins %d columns, at most %d are supported", len(out), maxRegisters)
	}
	return value{registers: out}, nil
}

// where supports the one form imputation takes: a constant where a column is NaN.
func (c *compiler) where(in []value) (value, error) {
	mask, fill, otherwise := in[0], in[1], in[2]
	if !mask.isNaN || fill.constant == nil || otherwise.registers == nil || len(mask.registers) != len(otherwise.registers) {
		return value{}, fmt.Errorf("only Where(IsNaN(x), constant, y) is supported")
	}
	out := make([]uint16, len(otherwise.registers))
	for i, r := range otherwise.registers {
		x, err := broadcast(fill.constant, i, len(out))
		if err != nil {
			return value{}, err
		}
		if out[i], err = c.emit(instruction{op: opFill, a: mask.registers[i], b: r, x: x}); err != nil {
			return value{}, err
		}
	}
	return value{registers: out}, nil
}

// broadcast is column i of a constant that stands against width columns.
func broadcast(t *tensor, i, width int) (float32, error) {
	switch len(t.floats) {
	case 1:
		return t.floats[0], nil
	case width:
		if len(t.dims) == 1 || (len(t.dims) == 2 && t.dims[0] == 1) {
			return t.floats[i], nil
		}
	}
	return 0, fmt.Errorf("a constant of shape %v does not fit %d columns", t.dims, width)
}

func (c *compiler) clip(in []value) (value, error) {
	if in[0].registers == nil || in[0].isNaN {
		return value{}, errTensor
	}
	bounds := [2]float32{float32(math.Inf(-1)), float32(math.Inf(1))}
	for i, v := range in[1:] {
		if v.constant == nil || len(v.constant.floats) != 1 {
			return value{}, fmt.Errorf("expected constant bounds")
		}
		bounds[i] = v.constant.floats[0]
	}
	out := make([]uint16, len(in[0].registers))
	for i, r := range in[0].registers {
		var err error
		if out[i], err = c.emit(instruction{op: opClip, a: r, x: bounds[0], y: bounds[1]}); err != nil {
			return value{}, err
		}
	}
	return value{registers: out}, nil
}

func (c *compiler) binary(op opcode, a, b value) (value, error) {
	if a.isNaN || b.isNaN || (a.registers == nil && b.registers == nil) {
		return value{}, errTensor
	}
	width := max(len(a.registers), len(b.registers))
	out := make([]uint16, width)
	for i := range out {
		ra, err := c.operand(a, i, width)
		if err != nil {
			return value{}, err
		}
		rb, err := c.operand(b, i, width)
		if err != nil {
			return value{}, err
		}
		if out[i], err = c.emit(instruction{op: op, a: ra, b: rb}); err != nil {
			return value{}, err
		}
	}
	return value{registers: out}, nil
}

// operand is the register that holds column i of a value.
func (c *compiler) operand(v value, i, width int) (uint16, error) {
	if v.constant != nil {
		x, err := broadcast(v.constant, i, width)
		if err != nil {
			return 0, err
		}
		bits := math.Float32bits(x)
		if r, ok := c.consts[bits]; ok {
			return r, nil
		}
		r, err := c.emit(instruction{op: opConst, x: x})
		c.consts[bits] = r
		return r, err
	}
	switch len(v.registers) {
	case 1:
		return v.registers[0], nil
	case width:
		return v.registers[i], nil
	}
	return 0, fmt.Errorf("%d columns do not fit %d", len(v.registers), width)
}

// reduce folds columns from left to right. A sum's order cannot matter where the
// terms are whole numbers below 2^24, which the contract's bounds ensure.
func (c *compiler) reduce(n *node, in []value) (value, error) {
	if in[0].registers == nil || in[0].isNaN {
		return value{}, errTensor
	}
	axes := n.attributes["axes"].ints
	if len(in) == 2 {
		if in[1].constant == nil {
			return value{}, fmt.Errorf("expected constant axes")
		}
		axes = in[1].constant.ints
	}
	keep, set := n.attributes["keepdims"]
	if !slices.Equal(axes, []int64{1}) || (set && keep.i != 1) {
		return value{}, fmt.Errorf("only axis 1 with keepdims is supported")
	}
	op := opAdd
	if n.op == "ReduceMax" {
		op = opMax
	}
	acc := in[0].registers[0]
	for _, r := range in[0].registers[1:] {
		var err error
		if acc, err = c.emit(instruction{op: op, a: acc, b: r}); err != nil {
			return value{}, err
		}
	}
	return value{registers: []uint16{acc}}, nil
}

// inputs lists the raw features that the program's outputs depend on.
func (p *program) inputs() []int {
	live := p.live(func(int) bool { return true })
	var in []int
	for i := range NumInputs {
		if live[i] {
			in = append(in, i)
		}
	}
	return in
}

// live marks the registers that the wanted outputs depend on.
func (p *program) live(wanted func(output int) bool) []bool {
	live := make([]bool, p.registers)
	for i, r := range p.outputs {
		if wanted(i) {
			live[r] = true
		}
	}
	for i := len(p.code) - 1; i >= 0; i-- {
		c := &p.code[i]
		if !live[c.dst] || c.op == opConst {
			continue
		}
		live[c.a] = true
		if c.op != opClip {
			live[c.b] = true
		}
	}
	return live
}

// prune drops what no wanted output needs.
func (p *program) prune(wanted func(output int) bool) {
	live := p.live(wanted)
	p.code = slices.DeleteFunc(p.code, func(c instruction) bool { return !live[c.dst] })
}
