package counting

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Every value is counted in the bin that the reference says, whatever the bins.
func TestCountersCountOverTheReferencesBins(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 20 {
		ref := drifttest.AnyReference(t, r)
		counter, want := NewCounter(NewBins(ref)), model.NewReferenceCounter(ref)
		for range 2000 {
			p := drifttest.AnyDecision(r, ref)
			counter.Add(p)
			want.Add(&p.Features, 0)
		}
		var pane drift.Pane
		counter.Fill(&pane)
		require.Equal(t, ref.Digest(), pane.Reference)
		require.Equal(t, int64(2000), pane.Decisions)
		for i, f := range want.Reference().Features {
			require.Equal(t, drift.FeatureCounts{Bins: f.Counts, Missing: f.Missing, OutOfRange: f.OutOfRange}, pane.Features[i], f.Name)
		}
		value, err := drift.AppendPane(nil, &pane)
		require.NoError(t, err)
		again, err := drift.DecodePane(value)
		require.NoError(t, err)
		require.Equal(t, &pane, again)
	}
}

// byHand counts the slow way.
func byHand(all []*schemas.Prediction) (groups map[[2]string]drift.Decided, versions map[[4]string]*drift.VersionCounts) {
	groups, versions = map[[2]string]drift.Decided{}, map[[4]string]*drift.VersionCounts{}
	count := func(d *drift.Decided, decision string) {
		switch decision {
		case schemas.Approve:
			d.Approve++
		case schemas.Refer:
			d.Refer++
		case schemas.Decline:
			d.Decline++
		}
	}
	for _, p := range all {
		for _, i := range []int{schemas.FeatureSex, schemas.FeatureEducation, schemas.FeatureMarriage, schemas.FeatureAge} {
			rule, v := schemas.FeatureRules[i], p.Features[i]
			key := [2]string{rule.Name, "out_of_range"}
			if v == schemas.Missing || v >= rule.Min && v <= rule.Max {
				key[1] = schemas.Group(i, v)
			}
			d := groups[key]
			count(&d, p.Decision)
			groups[key] = d
		}
		key := [4]string{p.ModelVersion, p.Route, p.Channel}
		if p.Shadow != nil {
			key[3] = p.Shadow.ModelVersion
		}
		v := versions[key]
		if v == nil {
			v = &drift.VersionCounts{ModelVersion: key[0], Route: key[1], Channel: key[2], ShadowVersion: key[3], Scores: map[int32]int64{}}
			versions[key] = v
		}
		count(&v.Decided, p.Decision)
		v.Defaults += int64(p.DefaultPrediction)
		v.Probabilities += float64(p.DefaultProbability)
		v.Scores[drift.ScoreBin(float64(p.DefaultProbability))]++
		if s := p.Shadow; s != nil {
			if v.ShadowScores == nil {
				v.ShadowScores = map[int32]int64{}
			}
			v.ShadowScores[drift.ScoreBin(float64(s.DefaultProbability))]++
			if s.Decision != p.Decision {
				v.ShadowFlips++
			}
		}
	}
	return groups, versions
}

func TestCountersCountByGroupAndByVersion(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	ref := drifttest.ShippedReference(t)
	counter := NewCounter(NewBins(ref))
	for range 3 { // used again, it has forgotten everything
		counter.Reset(counter.bins)
		var all []*schemas.Prediction
		for range 3000 {
			p := drifttest.AnyDecision(r, ref)
			all = append(all, p)
			counter.Add(p)
		}
		var pane drift.Pane
		counter.Fill(&pane)
		groups, versions := byHand(all)
		got := map[[2]string]drift.Decided{}
		for _, g := range pane.Groups {
			got[[2]string{g.Attribute, g.Group}] = g.Decided
		}
		require.Equal(t, groups, got)
		require.Len(t, pane.Versions, len(versions))
		for _, v := range pane.Versions {
			require.Equal(t, *versions[[4]string{v.ModelVersion, v.Route, v.Channel, v.ShadowVersion}], v)
		}
	}
}

func TestAnEmptyCounterFillsNothing(t *testing.T) {
	t.Parallel()
	var pane drift.Pane
	NewCounter(NewBins(drifttest.ShippedReference(t))).Fill(&pane)
	assert.Equal(t, drift.Pane{}, pane)
}

func TestOutcomesAreCountedByVersionAndScore(t *testing.T) {
	t.Parallel()
	var c OutcomeCounter
	c.Add(Outcome{Claimed: Claimed{State: Matched, Probability: 0.25, ModelVersion: "v1"}, Defaulted: true, Late: true})
	c.Add(Outcome{Claimed: Claimed{State: Matched, Probability: 0.25, ModelVersion: "v1"}})
	c.Add(Outcome{Claimed: Claimed{State: Matched, Probability: 0, ModelVersion: "v1"}, Defaulted: true}) // certain, and wrong
	c.Add(Outcome{Claimed: Claimed{State: Matched, Probability: 0.9, ModelVersion: "v2"}, Defaulted: true})
	c.Add(Outcome{Claimed: Claimed{State: Repeated, Probability: 0.9, ModelVersion: "v2"}, Defaulted: true, Late: true})
	c.Add(Outcome{Claimed: Claimed{State: Matched, Probability: 0.25, ModelVersion: "v1", Declined: true}, Defaulted: true, Late: true}) // no loan
	c.Add(Outcome{Claimed: Claimed{State: Repeated, Probability: 0.25, ModelVersion: "v1", Declined: true}, Defaulted: true})
	c.Add(Outcome{Claimed: Claimed{State: Unknown}, Defaulted: true, Late: true})
	var p drift.Pane
	c.Fill(&p)
	require.Equal(t, []int64{8, 5, 1, 2, 2, 1}, []int64{p.Read, p.Matched, p.NoMatch, p.Repeated, p.Late, p.Declined})
	require.Len(t, p.Outcomes, 3)
	require.Equal(t, drift.OutcomeCounts{ModelVersion: "v1", Score: drift.FirstScore, Loans: 1, Defaulted: 1, Squares: 1, LogLoss: -math.Log(certain)}, p.Outcomes[0])
	half := p.Outcomes[1]
	require.InDelta(t, -math.Log(0.25)-math.Log(0.75), half.LogLoss, 1e-12)
	half.LogLoss = 0
	require.Equal(t, drift.OutcomeCounts{ModelVersion: "v1", Score: drift.ScoreBin(0.25), Loans: 2, Defaulted: 1, Probabilities: 0.5, Squares: 0.75*0.75 + 0.25*0.25}, half)
	require.Equal(t, "v2", p.Outcomes[2].ModelVersion)
	value, err := drift.AppendPane(nil, &p)
	require.NoError(t, err)
	_, err = drift.DecodePane(value)
	require.NoError(t, err)
}

// scikit-learn's figures of the same loans, as statistic/testdata has them.
func TestScoresOfLoansAreScikitLearns(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "statistic", "testdata", "figures.json"))
	require.NoError(t, err)
	var recorded struct {
		Loans struct {
			Probabilities []float64
			Defaulted     []int64
			Brier         float64
			LogLoss       float64 `json:"log_loss"`
		}
	}
	require.NoError(t, json.Unmarshal(text, &recorded))
	l := recorded.Loans
	require.NotEmpty(t, l.Probabilities)
	var c OutcomeCounter
	for i, p := range l.Probabilities {
		c.Add(Outcome{Claimed: Claimed{State: Matched, Probability: p, ModelVersion: "v"}, Defaulted: l.Defaulted[i] == 1})
	}
	var p drift.Pane
	c.Fill(&p)
	var squares, loss float64
	for i := range p.Outcomes {
		squares += p.Outcomes[i].Squares
		loss += p.Outcomes[i].LogLoss
	}
	n := float64(len(l.Probabilities))
	require.InDelta(t, l.Brier, squares/n, 1e-12)
	require.InDelta(t, l.LogLoss, loss/n, 1e-12)
}

func FuzzBins(f *testing.F) {
	ref := drifttest.ShippedReference(f)
	f.Add(uint8(0), int32(200_000), 1.5, 20.0)
	f.Add(uint8(4), int32(math.MinInt32), -1e12, 1e12)
	f.Fuzz(func(t *testing.T, feature uint8, v int32, low, high float64) {
		i := int(feature) % schemas.NumFeatures
		if !(low < high) || math.IsInf(low, 0) || math.IsInf(high, 0) {
			return // no reference has such
		}
		d := &ref.Features[i].Distribution
		was := *d
		defer func() { *d = was }()
		*d = model.Distribution{Edges: []float64{low, high}, Counts: make([]int64, 3)}
		b := NewBins(ref)
		got := b.features[i].slot(v) - b.features[i].first
		want := d.Bin(float64(v))
		if rule := schemas.FeatureRules[i]; v == schemas.Missing {
			want = 3
		} else if v < rule.Min || v > rule.Max {
			want = 4
		}
		require.Equal(t, want, got, "%s %d in %v", schemas.FeatureRules[i].Name, v, d.Edges)
	})
}
