package forest

import (
	"errors"
	"fmt"
	"math"
)

// treeNode is one node of a tree; feature -1 marks a leaf. x <= threshold goes
// left, everything else (NaN too) right.
type treeNode struct {
	feature     int32
	threshold   float32
	left, right int32
	value       float64 // of a leaf, log-odds
	cover       float64 // weight of the training rows that reached it
}

type tree []treeNode

const (
	maxTrees  = 10_000
	maxNodes  = 1 << 18
	maxDepth  = 16
	maxInputs = 256
)

// parseTrees reads a TreeEnsembleClassifier (ai.onnx.ml, binary, LOGISTIC).
func parseTrees(n *node) (trees []tree, base float64, err error) {
	a := n.attributes
	fail := func(format string, args ...any) ([]tree, float64, error) {
		return nil, 0, fmt.Errorf("ONNX: %s: "+format, append([]any{n}, args...)...)
	}
	count := len(a["nodes_treeids"].ints)
	if count == 0 || count > maxNodes {
		return fail("has %d nodes, expected 1 to %d", count, maxNodes)
	}
	for name, have := range map[string]int{
		"nodes_nodeids": len(a["nodes_nodeids"].ints), "nodes_featureids": len(a["nodes_featureids"].ints),
		"nodes_values": len(a["nodes_values"].floats), "nodes_modes": len(a["nodes_modes"].strings),
		"nodes_truenodeids":  len(a["nodes_truenodeids"].ints),
		"nodes_falsenodeids": len(a["nodes_falsenodeids"].ints),
		"nodes_hitrates":     len(a["nodes_hitrates"].floats),
	} {
		if have != count {
			return fail("%s has %d entries, nodes_treeids %d", name, have, count)
		}
	}
	if got := a["post_transform"].s; got != "LOGISTIC" {
		return fail("post_transform %q is not supported, only LOGISTIC", got)
	}
	if got := len(a["classlabels_int64s"].ints); got != 2 {
		return fail("has %d integer classes, expected 2", got)
	}
	for _, v := range a["nodes_missing_value_tracks_true"].ints {
		if v != 0 {
			return fail("nodes_missing_value_tracks_true is not supported")
		}
	}
	switch b := a["base_values"].floats; len(b) {
	case 0:
	case 1:
		base = float64(b[0])
	default:
		return fail("has %d base_values, expected at most 1", len(b))
	}

	type id struct{ tree, node int64 }
	index := make(map[id]int32, count)
	number := map[int64]int{}
	for i, t := range a["nodes_treeids"].ints {
		k, ok := number[t]
		if !ok {
			k = len(trees)
			number[t] = k
			trees = append(trees, nil)
		}
		key := id{t, a["nodes_nodeids"].ints[i]}
		if _, twice := index[key]; twice {
			return fail("tree %d has node %d twice", t, key.node)
		}
		index[key] = int32(len(trees[k]))
		trees[k] = append(trees[k], treeNode{})
	}
	if len(trees) > maxTrees {
		return fail("has %d trees, at most %d are supported", len(trees), maxTrees)
	}
	for i, t := range a["nodes_treeids"].ints {
		nd := &trees[number[t]][index[id{t, a["nodes_nodeids"].ints[i]}]]
		nd.cover = float64(a["nodes_hitrates"].floats[i])
		if !(nd.cover > 0) || math.IsInf(nd.cover, 0) {
			return fail("tree %d: nodes_hitrates %g is not a number of training rows", t, nd.cover)
		}
		switch mode := a["nodes_modes"].strings[i]; mode {
		case "LEAF":
			nd.feature = -1
		case "BRANCH_LEQ":
			f := a["nodes_featureids"].ints[i]
			if f < 0 || f >= maxInputs {
				return fail("tree %d splits on input %d, expected 0 to %d", t, f, maxInputs-1)
			}
			left, okLeft := index[id{t, a["nodes_truenodeids"].ints[i]}]
			right, okRight := index[id{t, a["nodes_falsenodeids"].ints[i]}]
			if !okLeft || !okRight {
				return fail("tree %d: node %d has a branch that leads nowhere", t, a["nodes_nodeids"].ints[i])
			}
			nd.feature, nd.left, nd.right = int32(f), left, right
			nd.threshold = a["nodes_values"].floats[i] + 0 // -0 becomes 0
			if nd.threshold != nd.threshold || math.IsInf(float64(nd.threshold), 0) {
				return fail("tree %d: threshold %g is not finite", t, nd.threshold)
			}
		default:
			return fail("mode %q is not supported, only BRANCH_LEQ and LEAF", mode)
		}
	}
	weights := a["class_weights"].floats
	if len(a["class_treeids"].ints) != len(weights) || len(a["class_nodeids"].ints) != len(weights) || len(a["class_ids"].ints) != len(weights) {
		return fail("class_treeids, class_nodeids, class_ids and class_weights differ in length")
	}
	for i, w := range weights {
		if a["class_ids"].ints[i] != a["class_ids"].ints[0] {
			return fail("weighs more than one class; a binary model weighs one")
		}
		at, ok := index[id{a["class_treeids"].ints[i], a["class_nodeids"].ints[i]}]
		if !ok {
			return fail("class_nodeids names node %d of tree %d, which is not there", a["class_nodeids"].ints[i], a["class_treeids"].ints[i])
		}
		nd := &trees[number[a["class_treeids"].ints[i]]][at]
		if nd.feature >= 0 || w != w || math.IsInf(float64(w), 0) {
			return fail("class_weights %g stands at a node that is no leaf, or is not finite", w)
		}
		nd.value += float64(w)
	}
	for k := range trees {
		if err := trees[k].check(); err != nil {
			return fail("tree %d: %w", k, err)
		}
	}
	return trees, base, nil
}

// check makes sure that the nodes form one tree, rooted at node 0, not too deep.
func (t tree) check() error {
	seen := make([]bool, len(t))
	var walk func(k int32, depth int) error
	walk = func(k int32, depth int) error {
		if seen[k] {
			return errors.New("a node is reached twice")
		}
		if depth > maxDepth {
			return fmt.Errorf("is deeper than %d", maxDepth)
		}
		seen[k] = true
		if t[k].feature < 0 {
			return nil
		}
		if err := walk(t[k].left, depth+1); err != nil {
			return err
		}
		return walk(t[k].right, depth+1)
	}
	if err := walk(0, 0); err != nil {
		return err
	}
	for _, s := range seen {
		if !s {
			return errors.New("a node is never reached")
		}
	}
	return nil
}

// margin walks every tree: the raw score in log-odds.
func margin(trees []tree, base float64, x []float32) float64 {
	sum := base
	for _, t := range trees {
		k := int32(0)
		for t[k].feature >= 0 {
			if x[t[k].feature] <= t[k].threshold {
				k = t[k].left
			} else {
				k = t[k].right
			}
		}
		sum += t[k].value
	}
	return sum
}

// expected is the mean margin over the training rows: SHAP's base value.
func expected(trees []tree, base float64) float64 {
	sum := base
	for _, t := range trees {
		var mean func(k int32) float64
		mean = func(k int32) float64 {
			nd := &t[k]
			if nd.feature < 0 {
				return nd.value
			}
			l, r := &t[nd.left], &t[nd.right]
			return (mean(nd.left)*l.cover + mean(nd.right)*r.cover) / (l.cover + r.cover)
		}
		sum += mean(0)
	}
	return sum
}
