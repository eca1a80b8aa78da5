package drifttest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// ShippedChampion is the shipped model as champion.
func ShippedChampion(t testing.TB) *drift.Champion {
	m, r, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	rules, err := policy.Parse(policy.DefaultText)
	require.NoError(t, err)
	return &drift.Champion{ModelVersion: m.Version, Digest: "sha256:shipped", Reference: r, Policy: rules}
}

// City is a stream of decisions whose features are distributed as in a reference,
// each by itself, unless they have moved.
type City struct {
	rng      *rand.Rand
	Champion *drift.Champion
	features [][]float64 // running sums of weights
	scores   []float64
	moved    map[int][]float64
	Lower    float64           // approvals of women that are referred instead
	At       schemas.Timestamp // of the next pane
	offset   int64
}

// Noon is when a city begins.
const Noon = schemas.Timestamp(1_790_000_000_000_000)

// NewCity is one that has not moved.
func NewCity(c *drift.Champion, seed uint64) *City {
	w := &City{rng: rand.New(rand.NewPCG(seed, 1)), Champion: c, moved: map[int][]float64{}, At: Noon}
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

// Move tilts a feature's distribution from now on, 0: back.
func (w *City) Move(feature string, tilt float64) {
	i := slices.IndexFunc(w.Champion.Reference.Features, func(f model.FeatureReference) bool { return f.Name == feature })
	if delete(w.moved, i); tilt != 0 {
		w.moved[i] = sums(w.Champion.Reference.Features[i].Counts, tilt)
	}
}

// MoveScores tilts the scores' distribution from now on, 0: back.
func (w *City) MoveScores(tilt float64) { w.scores = sums(w.Champion.Reference.Scores.Counts, tilt) }

// MoveTo gives a feature another distribution from now on: running sums of the weights
// of its bins.
func (w *City) MoveTo(feature int, sums []float64) { w.moved[feature] = sums }

func (w *City) pick(sums []float64) int {
	i, _ := slices.BinarySearch(sums, w.rng.Float64()*sums[len(sums)-1])
	return min(i, len(sums)-1)
}

// Pane is n decisions within one second, a second after the one before.
func (w *City) Pane(n int) *drift.Pane {
	c := w.Champion
	p := &drift.Pane{Topic: "predictions", From: w.offset, To: w.offset + int64(n), Bucket: w.At, Width: 1, Reference: c.Digest, Decisions: int64(n)}
	w.offset += int64(n)
	w.At += 1e6
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
		case probability < c.Policy.ApproveBelow && (g.Group != "2" || w.rng.Float64() >= w.Lower):
			one = drift.Decided{Approve: 1}
		case probability < c.Policy.DeclineFrom:
			one = drift.Decided{Refer: 1}
		}
		v.Decided, g.Decided = v.Plus(one), g.Plus(one)
	}
	p.Versions, p.Groups = []drift.VersionCounts{v}, groups
	return p
}

// Loans are n outcomes of loans with these probabilities of default, where the
// truth is as promised, or something else of the probability.
func (w *City) Loans(n int, truth func(p float64) float64) *drift.Pane {
	p := &drift.Pane{Topic: "outcomes", Bucket: w.At, Width: 1, Read: int64(n), Matched: int64(n), Late: int64(n / 10)}
	w.At += 1e6
	bins := map[int32]*drift.OutcomeCounts{}
	for range n {
		probability := 1 / (1 + math.Exp(-(-2.2 + w.rng.NormFloat64())))
		bin := drift.ScoreBin(probability)
		if bins[bin] == nil {
			bins[bin] = &drift.OutcomeCounts{ModelVersion: w.Champion.ModelVersion, Score: bin}
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

// Story is a stretch of stream in which something happens of every kind.
func Story(t *testing.T, seed uint64) []*drift.Pane {
	c := NewCity(ShippedChampion(t), seed)
	var panes []*drift.Pane
	add := func(blocks int) {
		for range 5 * blocks {
			panes = append(panes, c.Pane(100))
		}
		panes = append(panes, c.Loans(600, func(p float64) float64 { return min(1, 1.8*p) }))
	}
	add(4)
	c.Move("pay_0", 3)
	add(4)
	c.Move("pay_0", 0)
	c.Lower = 0.6
	add(14)
	c.Move("limit_bal", -3)
	add(3)
	c.Move("limit_bal", 0)
	c.Lower = 0
	add(18)
	return panes
}
