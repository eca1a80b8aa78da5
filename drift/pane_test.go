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
		Outcomes: []OutcomeCounts{{ModelVersion: "v1", Score: -20, Loans: 2, Defaulted: 1, Probabilities: 0.5, Squares: 0.9, LogLoss: 2}},
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
	f("is 1 + 0 + 0, expected 2 (read)", func(p *Pane) { p.Read, p.Matched = 2, 1 })
	f("late is 3, expected 0 … 2 (matched)", func(p *Pane) { p.Read, p.Matched, p.Late = 2, 2, 3 })
	f("declined is 3, expected 0 … 2 (matched)", func(p *Pane) { p.Read, p.Matched, p.Declined = 2, 2, 3 })
	f("declined is -1, expected 0 … 2 (matched)", func(p *Pane) { p.Read, p.Matched, p.Declined = 2, 2, -1 })
	f("duplicate is 3 + -1 + 0, expected 2", func(p *Pane) { p.Read, p.Matched, p.NoMatch = 2, 3, -1 })
	f("features.0 has a count below 0", func(p *Pane) { p.Features[0].Bins[0] -= 1e9; p.Features[0].Bins[1] += 1e9 })
	f("features.0 has a count below 0 or more", func(p *Pane) {
		p.Features[0].Bins = []int64{math.MaxInt64, math.MaxInt64, 5}
		p.Features[0].Missing = 0
	})
	f("features.0 has a count below 0", func(p *Pane) { p.Features[0].Missing, p.Features[0].OutOfRange = 2, -1 })
	f("decisions is -3", func(p *Pane) { p.Decisions = -3 })
	f("decisions is 1099511627777", func(p *Pane) { p.Decisions = mostCounted + 1 })
	f("malformed is -1", func(p *Pane) { p.Malformed = -1 })
	f("read is -1", func(p *Pane) { p.Read, p.Matched = -1, -1 })
	f("partition -1", func(p *Pane) { p.Partition = -1 })
	f("to not before from", func(p *Pane) { p.To = p.From - 1 })
	f("width is -1", func(p *Pane) { p.Width = -1 })
	f("width is 9000000000000000", func(p *Pane) { p.Width = 9e15 })
	f("groups of sex counts 4 values, expected 3", func(p *Pane) { p.Groups[0].Refer++ })
	f("groups of sex has a count below 0", func(p *Pane) { p.Groups[0].Refer, p.Groups[0].Approve = -1, 3 })
	f("versions counts 6 values, expected 3", func(p *Pane) { p.Versions = append(p.Versions, p.Versions[0]) })
	f("versions counts 0 values, expected 3", func(p *Pane) { p.Versions = nil })
	f("versions.0 counts approve 4, refer -2", func(p *Pane) { p.Versions[0].Approve, p.Versions[0].Refer = 4, -2 })
	f("versions.0 scores: counts 2 values, expected 3", func(p *Pane) { delete(p.Versions[0].Scores, 7); p.Versions[0].Scores[-12] = 2 })
	f("versions.0 scores: has a count below 0", func(p *Pane) { p.Versions[0].Scores[7] = -1; p.Versions[0].Scores[-12] = 4 })
	f("versions.0 scores: bin 80", func(p *Pane) { p.Versions[0].Scores = map[int32]int64{80: 3} })
	f("versions.0 shadow_scores: counts 3 values, expected 0", func(p *Pane) { p.Versions[0].ShadowVersion = "" })
	f("versions.0 defaults is 4, expected 0 … 3", func(p *Pane) { p.Versions[0].Defaults = 4 })
	f("versions.0 defaults is -1", func(p *Pane) { p.Versions[0].Defaults = -1 })
	f("versions.0 shadow_flips is 4", func(p *Pane) { p.Versions[0].ShadowFlips = 4 })
	f("versions.0 probabilities is 3.1, expected 0 … 3", func(p *Pane) { p.Versions[0].Probabilities = 3.1 })
	f("versions.0 probabilities is -0.1", func(p *Pane) { p.Versions[0].Probabilities = -0.1 })
	outcome := func(says string, change func(*OutcomeCounts)) {
		t.Helper()
		f(says, func(p *Pane) {
			*p = Pane{Topic: "credit.outcomes", Read: 9, Matched: 9}
			p.Outcomes = []OutcomeCounts{{ModelVersion: "v", Loans: 9, Defaulted: 2, Probabilities: 2, Squares: 1, LogLoss: 3}}
			change(&p.Outcomes[0])
		})
	}
	outcome("outcomes.0 loans is -5", func(o *OutcomeCounts) { o.Loans, o.Defaulted = -5, 9 })
	outcome("outcomes.0 loans is 0", func(o *OutcomeCounts) { *o = OutcomeCounts{} })
	outcome("outcomes.0 defaulted is 10, expected 0 … 9", func(o *OutcomeCounts) { o.Defaulted = 10 })
	outcome("outcomes.0 defaulted is -1", func(o *OutcomeCounts) { o.Defaulted = -1 })
	outcome("outcomes counts 8 values, expected 9 (matched, less declined)", func(o *OutcomeCounts) { o.Loans = 8 })
	outcome("outcomes.0 score is -81", func(o *OutcomeCounts) { o.Score = -81 })
	outcome("outcomes.0 probabilities is 10, expected 0 … 9", func(o *OutcomeCounts) { o.Probabilities = 10 })
	outcome("outcomes.0 squares is 10, expected 0 … 9", func(o *OutcomeCounts) { o.Squares = 10 })
	outcome("outcomes.0 log_loss is 1e+308, expected 0 … 360", func(o *OutcomeCounts) { o.LogLoss = 1e308 })
	outcome("outcomes.0 log_loss is -1", func(o *OutcomeCounts) { o.LogLoss = -1 })
	_, err := DecodePane([]byte(`{"decisions":"many"}`))
	require.ErrorContains(t, err, "pane:")
}

func FuzzDecodePane(f *testing.F) {
	value, err := AppendPane(nil, examplePane())
	require.NoError(f, err)
	f.Add(value)
	f.Add([]byte(`{"read":3,"matched":0,"unmatched":3}`))
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
