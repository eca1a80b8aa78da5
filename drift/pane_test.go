package drift

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func examplePane() *Pane {
	return &Pane{
		Topic: "credit.predictions", Partition: 3, From: 918, To: 921, Bucket: schemas.Timestamp(1763892000000000), Width: 60,
		Reference: "sha256:00", Decisions: 3,
		Features: []FeatureCounts{{Bins: []int64{1, 0, 1}, Missing: 1}, {Bins: []int64{2}, OutOfRange: 1}},
		Groups:   []GroupCounts{{Attribute: "sex", Group: "2", Decided: Decided{Approve: 2, Decline: 1}}},
		Versions: []VersionCounts{{
			ModelVersion: "v1", Route: schemas.RouteChampion, Channel: schemas.ChannelStream, Decided: Decided{Approve: 2, Decline: 1},
			Defaults: 1, Probabilities: 0.75, Scores: map[int32]int64{-12: 2, 7: 1}, ShadowVersion: "v2", ShadowFlips: 1, ShadowScores: map[int32]int64{0: 3},
		}},
	}
}

func TestAPaneReadsAsItWasWritten(t *testing.T) {
	f := func(p *Pane) {
		t.Helper()
		value, err := AppendPane([]byte("x"), p)
		require.NoError(t, err)
		require.Equal(t, byte('x'), value[0])
		again, err := DecodePane(value[1:])
		require.NoError(t, err)
		require.Equal(t, p, again)
	}
	f(examplePane())
	f(&Pane{
		Topic: "credit.outcomes", From: 1, To: 9, Bucket: schemas.Timestamp(1763892000000000), Width: 1, Malformed: 2,
		Outcomes: []OutcomeCounts{{ModelVersion: "v1", Score: -20, Loans: 3, Defaulted: 1, Probabilities: 0.5, Squares: 0.9, LogLoss: 2}},
		Read:     6, Matched: 3, NoMatch: 2, Repeated: 1, Late: 2, Declined: 1,
	})
	_, err := AppendPane(nil, &Pane{Outcomes: []OutcomeCounts{{LogLoss: math.Inf(1)}}})
	require.Error(t, err)
}

func TestAPaneThatDoesNotAgreeWithItselfIsRefused(t *testing.T) {
	f := func(says string, change func(*Pane)) {
		t.Helper()
		p := examplePane()
		change(p)
		value, err := AppendPane(nil, p)
		require.NoError(t, err)
		_, err = DecodePane(value)
		require.ErrorContains(t, err, says)
	}
	f("features.0 counts 4 values, expected 3", func(p *Pane) { p.Features[0].Bins[1] = 1 })
	f("features.1 counts 3 values, expected 4", func(p *Pane) { p.Features[0].Missing, p.Decisions = 2, 4 })
	f("is 1, expected 2 (read)", func(p *Pane) { p.Read, p.Matched = 2, 1 })
	f("late is 3, expected 0 … 2 (matched)", func(p *Pane) { p.Read, p.Matched, p.Late = 2, 2, 3 })
	f("declined is 3, expected 0 … 2 (matched)", func(p *Pane) { p.Read, p.Matched, p.Declined = 2, 2, 3 })
	f("declined is -1, expected 0 … 2 (matched)", func(p *Pane) { p.Read, p.Matched, p.Declined = 2, 2, -1 })
	_, err := DecodePane([]byte(`{"decisions":"many"}`))
	require.ErrorContains(t, err, "pane:")
}

func FuzzDecodePane(f *testing.F) {
	value, err := AppendPane(nil, examplePane())
	require.NoError(f, err)
	f.Add(value)
	f.Add([]byte(`{"read":3,"matched":1,"unmatched":2}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		p, err := DecodePane(value)
		if err != nil {
			return
		}
		written, err := AppendPane(nil, p)
		require.NoError(t, err)
		require.True(t, json.Valid(written))
		_, err = DecodePane(written)
		require.NoError(t, err)
	})
}

func TestScoreBinsAreTenthsOfLogOdds(t *testing.T) {
	f := func(p float64, want int32) {
		t.Helper()
		require.Equal(t, want, ScoreBin(p))
	}
	f(0.5, 0)
	f(1/(1+math.Exp(-0.15)), 1)
	f(1/(1+math.Exp(0.05)), -1)
	f(1/(1+math.Exp(7.95)), -80)
	f(1/(1+math.Exp(-7.95)), 79)
	f(0, FirstScore)
	f(1, FirstScore+ScoreBins-1)
	f(1e-30, FirstScore)
	require.InDelta(t, -1.2, ScoreFrom(-12), 1e-12)
}
