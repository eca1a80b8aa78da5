package compare

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/creditstream/creditstream/model"
)

// Turn is why applications went from one decision to another.
type Turn struct {
	A      string  `json:"a"`
	B      string  `json:"b"`
	N      int64   `json:"n"`
	Base   float64 `json:"base"`   // by how much the models' bases differ
	Groups []Moved `json:"groups"` // what moved the score most first
}

// Moved is a reason group and the mean by which its contribution differs, log-odds:
// above 0, the second model sees more risk in it.
type Moved struct {
	Code       string  `json:"code"`
	Text       string  `json:"text"`
	Difference float64 `json:"difference"` // among these applications
	OfAll      float64 `json:"of_all"`     // among all
}

// why sums the reason groups' contributions, by pair of decisions. A group that one
// of the models lacks contributes nothing there.
type why struct {
	groups []model.Group // of either model
	at     [2][]int      // where each model's groups stand in groups
	base   float64
	sums   map[turn]*[2 * model.MaxGroups]float64
}

func newWhy(a, b *model.Model) *why {
	w := &why{base: b.Manifest.ExpectedValue - a.Manifest.ExpectedValue, sums: map[turn]*[2 * model.MaxGroups]float64{}}
	for k, m := range [2]*model.Model{a, b} {
		for _, g := range m.Groups {
			i := slices.IndexFunc(w.groups, func(have model.Group) bool { return have.Code == g.Code })
			if i < 0 {
				i = len(w.groups)
				w.groups = append(w.groups, g)
			}
			w.at[k] = append(w.at[k], i)
		}
	}
	return w
}

func (w *why) add(t turn, a, b *model.Result) {
	sums := w.sums[t]
	if sums == nil {
		sums = new([2 * model.MaxGroups]float64)
		w.sums[t] = sums
	}
	for g, i := range w.at[0] {
		sums[i] -= float64(a.Groups[g])
	}
	for g, i := range w.at[1] {
		sums[i] += float64(b.Groups[g])
	}
}

// result is why decisions flipped.
func (w *why) result(matrix map[turn]int64) []Turn {
	var all [2 * model.MaxGroups]float64
	var n int64
	pairs := slices.SortedFunc(maps.Keys(w.sums), func(x, y turn) int { return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b)) })
	for _, t := range pairs { // in this order, so that the sums come out alike every time
		n += matrix[t]
		for i, v := range w.sums[t] {
			all[i] += v
		}
	}
	turns := []Turn{}
	for _, t := range pairs {
		if t.a == t.b {
			continue
		}
		sums := w.sums[t]
		one := Turn{A: t.a, B: t.b, N: matrix[t], Base: w.base, Groups: []Moved{}}
		for i, g := range w.groups {
			one.Groups = append(one.Groups, Moved{g.Code, g.Text, sums[i] / float64(one.N), all[i] / float64(n)})
		}
		slices.SortStableFunc(one.Groups, func(x, y Moved) int { return cmp.Compare(math.Abs(y.Difference), math.Abs(x.Difference)) })
		turns = append(turns, one)
	}
	slices.SortStableFunc(turns, func(x, y Turn) int { return cmp.Compare(y.N, x.N) })
	return turns
}
