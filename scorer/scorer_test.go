package scorer

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

func open(t testing.TB) *model.Model {
	m, err := model.Parse(shipped.Bundle, model.EngineNative)
	require.NoError(t, err)
	return m
}

func liveSet(t testing.TB) *model.LiveSet {
	rules, err := policy.Parse(policy.DefaultText)
	require.NoError(t, err)
	return &model.LiveSet{Champion: open(t), Policy: rules, Revision: 7}
}

// applications differ from one another, some of them with missing features.
func applications(n int) []schemas.Application {
	apps := make([]schemas.Application, n)
	for i := range apps {
		a := &apps[i]
		a.ApplicationID, a.AppliedAt = fmt.Sprintf("A-%06d", i), schemas.Timestamp(i)
		for k, rule := range schemas.FeatureRules {
			span := int64(rule.Max) - int64(rule.Min) + 1
			a.Features[k] = rule.Min + int32((int64(i)*7919+int64(k)*104729)%min(span, 200_000))
		}
		for k := range i % 6 {
			a.Features[5+k] = schemas.Missing
		}
	}
	return apps
}

func decide(t *testing.T, set *model.LiveSet, apps []schemas.Application) []schemas.Prediction {
	out := make([]schemas.Prediction, len(apps))
	require.NoError(t, New().Decide(set, schemas.ChannelStream, 42, apps, out))
	return out
}

func TestDecideSaysWhatTheModelSays(t *testing.T) {
	set, apps := liveSet(t), applications(500)
	decisions := map[string]int{}
	for i, p := range decide(t, set, apps) {
		var row [model.NumInputs]float32
		apps[i].Features.Row(row[:])
		want := make([]model.Result, 1)
		require.NoError(t, set.Champion.Evaluate(row[:], want))
		require.Equal(t, want[0].Probability, p.DefaultProbability)
		require.Equal(t, set.Policy.ScorecardPoints(p.DefaultProbability), p.Points)
		require.Equal(t, apps[i].ApplicationID, p.ApplicationID)
		require.Equal(t, apps[i].Features, p.Features)
		require.Equal(t, schemas.Timestamp(42), p.DecidedAt)
		require.Equal(t, int64(7), p.RouteRevision)
		require.Equal(t, schemas.RouteChampion, p.Route)
		require.Nil(t, p.Shadow)
		decisions[p.Decision]++
		if i%6 > set.Policy.MaxMissing {
			require.Equal(t, schemas.Refer, p.Decision, "too little is known")
		}

		adverse := 0
		for _, c := range want[0].Groups {
			if c > 0 {
				adverse++
			}
		}
		require.Len(t, p.Reasons, min(adverse, schemas.MaxReasons))
		for k, reason := range p.Reasons {
			require.Positive(t, reason.Contribution)
			require.Contains(t, want[0].Groups[:], reason.Contribution)
			require.True(t, k == 0 || p.Reasons[k-1].Contribution >= reason.Contribution)
		}
		// It stands on the wire as the contract has it.
		var read schemas.Prediction
		require.NoError(t, schemas.DecodePrediction(schemas.AppendPrediction(nil, &p), &read))
	}
	require.Len(t, decisions, 3, "the applications must reach every decision: %v", decisions)
}

func TestDecideIsTheSameAloneAndInABatch(t *testing.T) {
	set, apps := liveSet(t), applications(300)
	set.Canary, set.CanaryShare = set.Champion, 3000
	batch := decide(t, set, apps)
	s, one := New(), make([]schemas.Prediction, 1)
	for i := range apps {
		require.NoError(t, s.Decide(set, schemas.ChannelStream, 42, apps[i:i+1], one))
		require.Equal(t, batch[i], one[0])
	}
	require.Error(t, s.Decide(set, schemas.ChannelStream, 42, apps, one))
	require.NoError(t, s.Decide(set, schemas.ChannelStream, 42, nil, nil))
}

func TestCanaryTakesItsShare(t *testing.T) {
	set, apps := liveSet(t), applications(20_000)
	canary := *set.Champion
	canary.Version = "canary"
	set.Canary, set.CanaryShare = &canary, 1000
	count := func() (n int, ids map[string]bool) {
		ids = map[string]bool{}
		for _, p := range decide(t, set, apps) {
			require.Equal(t, p.Route == schemas.RouteCanary, p.ModelVersion == "canary")
			ids[p.ApplicationID] = p.Route == schemas.RouteCanary
			if p.Route == schemas.RouteCanary {
				n++
			}
		}
		return n, ids
	}
	tenth, first := count()
	require.InDelta(t, 2000, tenth, 200)
	set.CanaryShare = 2000
	fifth, second := count()
	require.InDelta(t, 4000, fifth, 300)
	for id, was := range first {
		require.True(t, !was || second[id], "a larger share keeps those it had")
	}
	set.CanaryShare = 0
	none, _ := count()
	require.Zero(t, none)
	set.CanaryShare = model.ShareScale
	all, _ := count()
	require.Equal(t, len(apps), all)
}

func TestShadowChangesNothing(t *testing.T) {
	set, apps := liveSet(t), applications(50)
	plain := decide(t, set, apps)
	shadow := *set.Champion
	shadow.Version = "shadow"
	set.Shadow = &shadow
	for i, p := range decide(t, set, apps) {
		require.Equal(t, &schemas.Shadow{ModelVersion: "shadow", DefaultProbability: p.DefaultProbability, Decision: p.Decision}, p.Shadow)
		p.Shadow = nil
		require.Equal(t, plain[i], p)
	}
}

func BenchmarkDecide(b *testing.B) {
	set, apps := liveSet(b), applications(1024)
	s, out := New(), make([]schemas.Prediction, len(apps))
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Decide(set, schemas.ChannelStream, 42, apps, out)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(apps)), "ns/application")
}
