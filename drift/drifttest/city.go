package evaluate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
)

// shippedChampion is the shipped model as champion.
func shippedChampion(t testing.TB) *Champion {
	m, r, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	policy, err := schemas.ParsePolicy(schemas.DefaultPolicyText)
	require.NoError(t, err)
	return &Champion{ModelVersion: m.Version, Digest: "sha256:shipped", Reference: r, Policy: policy}
}

// city is a stream of decisions whose features are distributed as in a reference,
// each by itself, unless they have moved.
type city struct {
	rng      *rand.Rand
	champion *Champion
	features [][]float64 // running sums of weights
	scores   []float64
	moved    map[int][]float64
	lower    float64 // approvals of women that are referred instead
	at       schemas.Timestamp
	offset   int64
}

const noon = schemas.Timestamp(1_790_000_000_000_000)

func newCity(c *Champion, seed uint64) *city {
	w := &city{rng: rand.New(rand.NewPCG(seed, 1)), champion: c, moved: map[int][]float64{}, at: noon}
	for _, f := range c.Reference.Features {
		w.features = append(w.features, sums(f.Counts, 0))
	}
	w.scores = sums(c.Reference.Scores.Counts, 0)
	return w
}

func sums(counts []int64, tilt float64) []float64 {
	out := make([]float64, len(counts))
	sum := 0.0
	for i, n := range counts {
		sum += float64(n) * math.Exp(tilt*float64(i)/float64(len(counts)))
		out[i] = sum
	}
	return out
}

// move tilts a feature's distribution from now on, 0: back.
func (w *city) move(feature string, tilt float64) {
	i := slices.IndexFunc(w.champion.Reference.Features, func(f model.FeatureReference) bool { return f.Name == feature })
	if delete(w.moved, i); tilt != 0 {
		w.moved[i] = sums(w.champion.Reference.Features[i].Counts, tilt)
	}
}

func (w *city) pick(sums []float64) int {
	i, _ := slices.BinarySearch(sums, w.rng.Float64()*sums[len(sums)-1])
	return min(i, len(sums)-1)
}

// pane is n decisions within one second, a second after the one before.
func (w *city) pane(n int) *drift.Pane {
	c := w.champion
	p := &drift.Pane{Topic: "predictions", From: w.offset, To: w.offset + int64(n), Bucket: w.at, Width: 1, Reference: c.Digest, Decisions: int64(n)}
	w.offset += int64(n)
	w.at += 1e6
	for i, f := range c.Reference.Features {
		counts := drift.FeatureCounts{Bins: make([]int64, len(f.Counts))}
		from := w.features[i]
		if moved, ok := w.moved[i]; ok {
			from = moved
		}
		for range n {
			counts.Bins[w.pick(from)]++
		}
		p.Features = append(p.Features, counts)
	}
	v := drift.VersionCounts{ModelVersion: c.ModelVersion, Route: schemas.RouteChampion, Channel: schemas.ChannelStream, Scores: map[int32]int64{}}
	groups := []drift.GroupCounts{{Attribute: "sex", Group: "1"}, {Attribute: "sex", Group: "2"}}
	for range n {
		i := w.pick(w.scores)
		logOdds := c.Reference.Scores.Edges[max(0, i-1)] + 0.1*w.rng.Float64()
		probability := 1 / (1 + math.Exp(-logOdds))
		v.Scores[drift.ScoreBin(probability)]++
		v.Probabilities += probability
		g := &groups[w.rng.IntN(2)]
		one := drift.Decided{Decline: 1}
		switch {
		case probability < c.Policy.ApproveBelow && (g.Group != "2" || w.rng.Float64() >= w.lower):
			one = drift.Decided{Approve: 1}
		case probability < c.Policy.DeclineFrom:
			one = drift.Decided{Refer: 1}
		}
		v.Decided, g.Decided = plus(v.Decided, one), plus(g.Decided, one)
	}
	p.Versions, p.Groups = []drift.VersionCounts{v}, groups
	return p
}

// loans are n outcomes of loans with these probabilities of default, where the
// truth is as promised, or something else of the probability.
func (w *city) loans(n int, truth func(p float64) float64) *drift.Pane {
	p := &drift.Pane{Topic: "outcomes", Bucket: w.at, Width: 1, Read: int64(n), Matched: int64(n), Late: int64(n / 10)}
	w.at += 1e6
	bins := map[int32]*drift.OutcomeCounts{}
	for range n {
		probability := 1 / (1 + math.Exp(-(-2.2 + w.rng.NormFloat64())))
		bin := drift.ScoreBin(probability)
		if bins[bin] == nil {
			bins[bin] = &drift.OutcomeCounts{ModelVersion: w.champion.ModelVersion, Score: bin}
		}
		o := bins[bin]
		o.Loans++
		o.Probabilities += probability
		defaulted := 0.0
		if w.rng.Float64() < truth(probability) {
			o.Defaulted++
			defaulted = 1
		}
		o.Squares += (probability - defaulted) * (probability - defaulted)
		o.LogLoss -= math.Log(math.Abs(1 - defaulted - probability))
	}
	for _, o := range bins {
		p.Outcomes = append(p.Outcomes, *o)
	}
	slices.SortFunc(p.Outcomes, func(a, b drift.OutcomeCounts) int { return int(a.Score - b.Score) })
	return p
}

// testLimits wait for nothing but decisions.
var testLimits = limits{quiet: 5 * time.Minute, fair: FourFifths}

// bench folds panes into a judge by hand.
type bench struct {
	t     *testing.T
	city  *city
	judge *judge
	views []*view
	told  []string // "state alert"
	all   []schemas.Alert
	n     int64
}

func newBench(t *testing.T, seed uint64) *bench {
	c := shippedChampion(t)
	b := &bench{t: t, city: newCity(c, seed), judge: newJudge(testLimits, c)}
	windows, err := ParseWindows(DefaultWindows)
	require.NoError(t, err)
	for _, w := range windows {
		b.views = append(b.views, newView(w, c))
	}
	return b
}

func (b *bench) fold(p *drift.Pane) {
	now := b.city.at
	if p.Decisions > 0 {
		for _, v := range b.views {
			v.add(p, b.n, now)
		}
	}
	told, known := b.judge.fold(p, b.n, now, now)
	require.True(b.t, known)
	b.n++
	b.hear(told)
}

func (b *bench) hear(told []schemas.Alert) {
	for _, a := range told {
		b.told, b.all = append(b.told, a.State+" "+a.Alert), append(b.all, a)
	}
}

// blocks folds n blocks of decisions in panes of a hundred.
func (b *bench) blocks(n int) {
	for range 5 * n {
		b.fold(b.city.pane(100))
	}
}

func (b *bench) status() *drift.Status { return b.judge.status(b.views, b.city.at) }
