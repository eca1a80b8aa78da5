package forest

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The parts of ONNX's protobuf messages (onnx/onnx.proto, field numbers there)
// that a tree model needs.

type graph struct {
	nodes        []node
	initializers map[string]tensor
	inputs       []string
	outputs      []string
}

type node struct {
	op, name, domain string
	inputs, outputs  []string
	attributes       map[string]attribute
}

func (n *node) String() string { return fmt.Sprintf("node %q (%s)", n.name, n.op) }

type attribute struct {
	f       float32
	i       int64
	s       string
	floats  []float32
	ints    []int64
	strings []string
}

// tensor is a constant: float32 or int64 values, row-major.
type tensor struct {
	dims   []int64
	floats []float32
	ints   []int64
}

const (
	onnxFloat = 1
	onnxInt64 = 7
)

var errTruncated = errors.New("truncated or malformed protobuf")

// fields calls f for every field of a message: num and, by wire type, v (varint
// or fixed) or b (bytes).
func fields(msg []byte, f func(num protowire.Number, v uint64, b []byte) error) error {
	for len(msg) > 0 {
		num, kind, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return errTruncated
		}
		msg = msg[n:]
		var (
			v uint64
			b []byte
		)
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(msg)
		case protowire.Fixed32Type:
			var w uint32
			w, n = protowire.ConsumeFixed32(msg)
			v = uint64(w)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(msg)
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(msg)
			if b == nil {
				b = []byte{}
			}
		default:
			n = protowire.ConsumeFieldValue(num, kind, msg)
		}
		if n < 0 {
			return errTruncated
		}
		msg = msg[n:]
		if err := f(num, v, b); err != nil {
			return err
		}
	}
	return nil
}

func parseModel(data []byte) (*graph, error) {
	var g *graph
	err := fields(data, func(num protowire.Number, _ uint64, b []byte) (err error) {
		if num == 7 && b != nil {
			g, err = parseGraph(b)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ONNX: %w", err)
	}
	if g == nil {
		return nil, errors.New("ONNX: the file holds no graph")
	}
	return g, nil
}

func parseGraph(msg []byte) (*graph, error) {
	g := &graph{initializers: map[string]tensor{}}
	err := fields(msg, func(num protowire.Number, _ uint64, b []byte) error {
		if b == nil {
			return nil
		}
		switch num {
		case 1:
			n, err := parseNode(b)
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			name, t, err := parseTensor(b)
			g.initializers[name] = t
			return err
		case 11, 12:
			name, err := firstString(b)
			if num == 11 {
				g.inputs = append(g.inputs, name)
			} else {
				g.outputs = append(g.outputs, name)
			}
			return err
		}
		return nil
	})
	return g, err
}

// firstString is field 1 of a message: a value's name.
func firstString(msg []byte) (s string, err error) {
	err = fields(msg, func(num protowire.Number, _ uint64, b []byte) error {
		if num == 1 && b != nil {
			s = string(b)
		}
		return nil
	})
	return s, err
}

func parseNode(msg []byte) (node, error) {
	n := node{attributes: map[string]attribute{}}
	err := fields(msg, func(num protowire.Number, _ uint64, b []byte) error {
		if b == nil {
			return nil
		}
		switch num {
		case 1:
			n.inputs = append(n.inputs, string(b))
		case 2:
			n.outputs = append(n.outputs, string(b))
		case 3:
			n.name = string(b)
		case 4:
			n.op = string(b)
		case 5:
			name, a, err := parseAttribute(b)
			n.attributes[name] = a
			return err
		case 7:
			n.domain = string(b)
		}
		return nil
	})
	return n, err
}

func parseAttribute(msg []byte) (name string, a attribute, err error) {
	err = fields(msg, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 1:
			name = string(b)
		case 2:
			a.f = math.Float32frombits(uint32(v))
		case 3:
			a.i = int64(v)
		case 4:
			a.s = string(b)
		case 7:
			return appendFloats(&a.floats, v, b)
		case 8:
			return appendInts(&a.ints, v, b)
		case 9:
			a.strings = append(a.strings, string(b))
		}
		return nil
	})
	return name, a, err
}

func parseTensor(msg []byte) (name string, t tensor, err error) {
	var (
		raw  []byte
		kind uint64
	)
	err = fields(msg, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 1:
			return appendInts(&t.dims, v, b)
		case 2:
			kind = v
		case 4:
			return appendFloats(&t.floats, v, b)
		case 7:
			return appendInts(&t.ints, v, b)
		case 8:
			name = string(b)
		case 9:
			raw = b
		}
		return nil
	})
	if err != nil {
		return name, t, err
	}
	switch kind {
	case onnxFloat:
		if raw != nil {
			t.floats = nil
			err = appendFixed32s(&t.floats, raw)
		}
	case onnxInt64:
		if raw != nil {
			t.ints = nil
			for len(raw) >= 8 {
				v, n := protowire.ConsumeFixed64(raw)
				t.ints = append(t.ints, int64(v))
				raw = raw[n:]
			}
			if len(raw) > 0 {
				err = errTruncated
			}
		}
	default:
		err = fmt.Errorf("initializer %q has element type %d; only float (1) and int64 (7) are supported", name, kind)
	}
	if err != nil {
		return name, t, err
	}
	size := int64(1)
	for _, d := range t.dims {
		if d < 0 || d > 1<<20 || size*d > 1<<20 {
			return name, t, fmt.Errorf("initializer %q has shape %v", name, t.dims)
		}
		size *= d
	}
	if have := int64(len(t.floats) + len(t.ints)); have != size {
		return name, t, fmt.Errorf("initializer %q has %d values, its shape %v wants %d", name, have, t.dims, size)
	}
	return name, t, nil
}

// appendFloats takes one fixed32 or a packed run of them.
func appendFloats(dst *[]float32, v uint64, packed []byte) error {
	if packed == nil {
		*dst = append(*dst, math.Float32frombits(uint32(v)))
		return nil
	}
	return appendFixed32s(dst, packed)
}

func appendFixed32s(dst *[]float32, packed []byte) error {
	for len(packed) >= 4 {
		v, n := protowire.ConsumeFixed32(packed)
		*dst = append(*dst, math.Float32frombits(v))
		packed = packed[n:]
	}
	if len(packed) > 0 {
		return errTruncated
	}
	return nil
}

// appendInts takes one varint or a packed run of them.
func appendInts(dst *[]int64, v uint64, packed []byte) error {
	if packed == nil {
		*dst = append(*dst, int64(v))
		return nil
	}
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return errTruncated
		}
		*dst = append(*dst, int64(v))
		packed = packed[n:]
	}
	return nil
}
