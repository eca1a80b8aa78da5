package main

import (
	"iter"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/aggregate"
	"github.com/creditstream/creditstream/drift/evaluate"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/schemas"
)

// demoChampion is the demo's model as its evaluator knows it.
func demoChampion(t *testing.T) (*model.Model, *evaluate.Champion) {
	t.Helper()
	bundle, err := demoBundle()
	require.NoError(t, err)
	m, err := model.Parse(bundle, model.EngineNative)
	require.NoError(t, err)
	t.Cleanup(m.Close)
	policy, err := schemas.ParsePolicy(schemas.DefaultPolicyText)
	require.NoError(t, err)
	return m, &evaluate.Champion{ModelVersion: m.Version, Digest: m.Reference.Digest(), Reference: m.Reference, Policy: policy}
}

// steadyPanes are a demo's decisions in which nothing happens: so many seconds of
// so many each.
func steadyPanes(t *testing.T, m *model.Model, c *evaluate.Champion, seed uint64, seconds, each int) iter.Seq[*drift.Pane] {
	t.Helper()
	population, err := producer.ShippedPopulation()
	require.NoError(t, err)
	bins := aggregate.NewBins(c.Reference)
	return func(yield func(*drift.Pane) bool) {
		counter := aggregate.NewCounter(bins)
		row, result := make([]float32, model.NumInputs), make([]model.Result, 1)
		pane := &drift.Pane{Bucket: 1_790_000_000_000_000, Width: 1}
		for f := range producer.Applicants(population, seed, seconds*each) {
			f.Row(row)
			require.NoError(t, m.Evaluate(row, result))
			probability := float32(1 / (1 + math.Exp(-float64(result[0].LogOdds))))
			p := schemas.Prediction{
				Channel: schemas.ChannelStream, Route: schemas.RouteChampion, ModelVersion: c.ModelVersion,
				DefaultProbability: probability, Features: *f,
			}
			p.Decision, p.DefaultPrediction = c.Policy.Decide(probability, 0)
			if counter.Add(&p); counter.Decisions() < int64(each) {
				continue
			}
			counter.Fill(pane)
			if !yield(pane) {
				return
			}
			counter.Reset(bins)
			pane = &drift.Pane{Bucket: pane.Bucket + 1e6, Width: 1}
		}
	}
}

func replaySteady(t *testing.T, flags evaluatorFlags) (told []string, last *drift.Status) {
	t.Helper()
	config, err := flags.config()
	require.NoError(t, err)
	judge, err := evaluate.New(config)
	require.NoError(t, err)
	m, c := demoChampion(t)
	alerts, last := judge.Replay(c, steadyPanes(t, m, c, 8, 24, 20_000))
	for i := range alerts {
		told = append(told, alerts[i].State+" "+alerts[i].Alert)
	}
	return told, last
}

// As many decisions as a demo without a rate makes in half a minute: by then also
// what is small is beyond doubt.
func TestASteadyDemoIsQuiet(t *testing.T) {
	told, last := replaySteady(t, demoEvaluator())
	require.Empty(t, told)
	require.EqualValues(t, 480_000, last.Decisions)
	require.Equal(t, drift.Quiet, last.State)
	for _, w := range last.Windows {
		for _, g := range w.Groups {
			require.Equal(t, demoFairness, g.Limit)
		}
	}
}

// Why the demo has a limit of its own.
func TestTheDemosPopulationDoesNotKeepFourFifths(t *testing.T) {
	flags := demoEvaluator()
	flags.Fairness = evaluate.FourFifths
	told, _ := replaySteady(t, flags)
	require.Contains(t, told, "firing fairness/age/18-24")
}
