package demo

import (
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/schemas"
)

// demoChampion is the demo's model as its evaluator knows it.
func demoChampion(t *testing.T) (*model.Model, *drift.Champion) {
	t.Helper()
	graph, err := Shipped()
	require.NoError(t, err)
	t.Cleanup(graph.Close)
	bundle, err := Bundle(graph)
	require.NoError(t, err)
	m, err := model.Parse(bundle, model.EngineNative)
	require.NoError(t, err)
	t.Cleanup(m.Close)
	rules, err := policy.Parse(policy.DefaultText)
	require.NoError(t, err)
	return m, &drift.Champion{ModelVersion: m.Version, Digest: m.Reference.Digest(), Reference: m.Reference, Policy: rules}
}

// steadyPanes are a demo's decisions in which nothing happens: so many seconds of
// so many each.
func steadyPanes(t *testing.T, m *model.Model, c *drift.Champion, seed uint64, seconds, each int) iter.Seq[*drift.Pane] {
	t.Helper()
	population, err := producer.ShippedPopulation()
	require.NoError(t, err)
	bins := counting.NewBins(c.Reference)
	return func(yield func(*drift.Pane) bool) {
		counter := counting.NewCounter(bins)
		row, result := make([]float32, model.NumInputs), make([]model.Result, 1)
		pane := &drift.Pane{Bucket: 1_790_000_000_000_000, Width: 1}
		truth, fate, loans := Truth(m), rand.New(rand.NewPCG(seed, 1)), map[int32]*drift.OutcomeCounts{}
		for f := range producer.Applicants(population, seed, seconds*each) {
			f.Row(row)
			require.NoError(t, m.Evaluate(row, result))
			probability := float32(1 / (1 + math.Exp(-float64(result[0].LogOdds))))
			p := schemas.Prediction{
				Channel: schemas.ChannelStream, Route: schemas.RouteChampion, ModelVersion: c.ModelVersion,
				DefaultProbability: probability, Features: *f,
			}
			p.Decision, p.DefaultPrediction = c.Policy.Decide(probability, 0)
			if p.Decision == schemas.Approve {
				grant(loans, &p, fate.Float64() < 1/(1+math.Exp(-truth(f))))
			}
			if counter.Add(&p); counter.Decisions() < int64(each) {
				continue
			}
			counter.Fill(pane)
			if !yield(pane) || !yield(outcomesOf(loans, pane)) {
				return
			}
			clear(loans)
			counter.Reset(bins)
			pane = &drift.Pane{Bucket: pane.Bucket + 1e6, Width: 1}
		}
	}
}

// grant counts what becomes of a loan.
func grant(loans map[int32]*drift.OutcomeCounts, p *schemas.Prediction, defaulted bool) {
	probability := float64(p.DefaultProbability)
	score := drift.ScoreBin(probability)
	if loans[score] == nil {
		loans[score] = &drift.OutcomeCounts{ModelVersion: p.ModelVersion, Score: score}
	}
	loans[score].Loans++
	loans[score].Probabilities += probability
	if defaulted {
		loans[score].Defaulted++
	}
}

// outcomesOf is the pane of outcomes beside one of decisions.
func outcomesOf(loans map[int32]*drift.OutcomeCounts, beside *drift.Pane) *drift.Pane {
	p := &drift.Pane{Bucket: beside.Bucket, Width: beside.Width}
	for _, score := range slices.Sorted(maps.Keys(loans)) {
		p.Outcomes = append(p.Outcomes, *loans[score])
		p.Matched += loans[score].Loans
	}
	p.Read = p.Matched
	return p
}

func replaySteady(t *testing.T, settings judging.Settings, each int) (told []string, last *drift.Status) {
	t.Helper()
	m, c := demoChampion(t)
	alerts, last := judging.Replay(settings, c, steadyPanes(t, m, c, 8, 24, each))
	for i := range alerts {
		told = append(told, alerts[i].State+" "+alerts[i].Alert)
	}
	return told, last
}

// The walk of getting-started on a cluster: 100,000 of the applicants that produce
// draws, at 2,000 a second, with outcomes, against the model that it releases, judged as
// drift judges by default but for fairness.
func TestTheWalkOnAClusterIsQuiet(t *testing.T) {
	windows, err := judging.ParseWindows("1000,10000,1h,24h")
	require.NoError(t, err)
	settings := judging.Settings{Windows: windows, Quiet: 5 * time.Minute, BlockTime: 5 * time.Second, MinFiring: time.Minute, Fairness: fairness}
	m, fits := demoChampion(t)
	walk := func(c *drift.Champion, seed uint64) (told []string, last *drift.Status) {
		t.Helper()
		alerts, last := judging.Replay(settings, c, steadyPanes(t, m, c, seed, 50, 2000))
		for i := range alerts {
			told = append(told, alerts[i].State+" "+alerts[i].Alert)
		}
		require.EqualValues(t, 100_000, last.Decisions)
		return told, last
	}
	for seed := range uint64(3) {
		told, last := walk(fits, 1+seed)
		require.Empty(t, told, "seed %d", 1+seed)
		require.NotEqual(t, drift.Act, last.State)
	}
	data, err := Shipped()
	require.NoError(t, err)
	defer data.Close()
	told, _ := walk(&drift.Champion{ModelVersion: fits.ModelVersion, Digest: data.Reference.Digest(), Reference: data.Reference, Policy: fits.Policy}, 1)
	require.NotEmpty(t, told, "the UCI data is another population")
}

// As many decisions as a demo without a rate makes in half a minute: by then also
// what is small is beyond doubt.
func TestASteadyDemoIsQuiet(t *testing.T) {
	told, last := replaySteady(t, judged(), 20_000)
	require.Empty(t, told)
	require.EqualValues(t, 480_000, last.Decisions)
	require.Equal(t, drift.Quiet, last.State)
	require.Greater(t, last.Outcomes.Matched, int64(300_000))
	require.Len(t, last.Outcomes.Versions, 1)
	require.Equal(t, drift.Quiet, last.Outcomes.Versions[0].State)
	require.InDelta(t, last.Outcomes.Versions[0].Expected, last.Outcomes.Versions[0].Observed, 0.01)
	for _, w := range last.Windows {
		for _, g := range w.Groups {
			require.Equal(t, fairness, g.Limit)
		}
	}
}

// Why the demo has a limit of its own: of as many decisions as a demo on a larger
// machine makes.
func TestTheDemosPopulationDoesNotKeepFourFifths(t *testing.T) {
	settings := judged()
	settings.Fairness = judging.FourFifths
	told, _ := replaySteady(t, settings, 40_000)
	require.Contains(t, told, "firing fairness/age/18-24")
}
