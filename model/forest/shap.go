package forest

// Path-dependent TreeSHAP by recursion: S. M. Lundberg, G. G. Erion, S.-I. Lee,
// "Consistent Individualized Feature Attribution for Tree Ensembles" (2018),
// algorithm 2. Exact and slow: it explains single tree inputs where someone asks,
// serves models whose tables would be too large, and judges the tables.

// pathElement is one distinct feature on the way from the root.
type pathElement struct {
	feature int32
	zero    float64 // share of training rows that go this way when the feature is unknown
	one     float64 // 1 when the row goes this way, else 0
	weight  float64 // of the subsets of each size
}

// addContributions adds each tree input's contribution in log-odds to phi.
func addContributions(trees []tree, x []float32, phi []float64) {
	for _, t := range trees {
		path := make([]pathElement, 0, maxDepth+2)
		t.explain(x, phi, path, 0, 1, 1, -1)
	}
}

func (t tree) explain(x []float32, phi []float64, parent []pathElement, k int32, zero, one float64, feature int32) {
	path := extend(append(make([]pathElement, 0, cap(parent)), parent...), zero, one, feature)
	nd := &t[k]
	if nd.feature < 0 {
		for i := 1; i < len(path); i++ {
			e := path[i]
			phi[e.feature] += unwoundSum(path, i) * (e.one - e.zero) * nd.value
		}
		return
	}
	hot, cold := nd.left, nd.right
	if !(x[nd.feature] <= nd.threshold) {
		hot, cold = cold, hot
	}
	inZero, inOne := 1.0, 1.0
	for i := 1; i < len(path); i++ {
		if path[i].feature == nd.feature {
			inZero, inOne = path[i].zero, path[i].one
			path = unwind(path, i)
			break
		}
	}
	total := t[hot].cover + t[cold].cover
	t.explain(x, phi, path, hot, inZero*t[hot].cover/total, inOne, nd.feature)
	t.explain(x, phi, path, cold, inZero*t[cold].cover/total, 0, nd.feature)
}

func extend(path []pathElement, zero, one float64, feature int32) []pathElement {
	l := len(path)
	e := pathElement{feature: feature, zero: zero, one: one}
	if l == 0 {
		e.weight = 1
	}
	path = append(path, e)
	for i := l - 1; i >= 0; i-- {
		path[i+1].weight += one * path[i].weight * float64(i+1) / float64(l+1)
		path[i].weight = zero * path[i].weight * float64(l-i) / float64(l+1)
	}
	return path
}

func unwind(path []pathElement, i int) []pathElement {
	l := len(path) - 1
	one, zero := path[i].one, path[i].zero
	next := path[l].weight
	for j := l - 1; j >= 0; j-- {
		if one != 0 {
			w := path[j].weight
			path[j].weight = next * float64(l+1) / (float64(j+1) * one)
			next = w - path[j].weight*zero*float64(l-j)/float64(l+1)
		} else {
			path[j].weight = path[j].weight * float64(l+1) / (zero * float64(l-j))
		}
	}
	for j := i; j < l; j++ {
		path[j].feature, path[j].zero, path[j].one = path[j+1].feature, path[j+1].zero, path[j+1].one
	}
	return path[:l]
}

func unwoundSum(path []pathElement, i int) float64 {
	l := len(path) - 1
	one, zero := path[i].one, path[i].zero
	next, sum := path[l].weight, 0.0
	for j := l - 1; j >= 0; j-- {
		if one != 0 {
			w := next * float64(l+1) / (float64(j+1) * one)
			sum += w
			next = path[j].weight - w*zero*float64(l-j)/float64(l+1)
		} else {
			sum += path[j].weight / zero * float64(l+1) / float64(l-j)
		}
	}
	return sum
}
