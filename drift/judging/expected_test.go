package judging

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/schemas"
)

// What is expected of scores is what happens when they are right.
func TestWhatIsExpectedHappensWhereScoresAreRight(t *testing.T) {
	t.Parallel()
	c := drifttest.ShippedChampion(t)
	rng := rand.New(rand.NewPCG(3, 3))
	scored := noDecisionsOf(c.ModelVersion)
	happened := &performance{Open: loanSpan{Loans: loans{}}}
	const n = 400_000
	for range n {
		p := 1 / (1 + math.Exp(-(-1.4 + 1.2*rng.NormFloat64())))
		bin := drift.ScoreBin(p)
		scored.Scores[bin]++
		scored.Probabilities += p
		o := drift.OutcomeCounts{Score: bin, Loans: 1, Probabilities: p}
		happens, defaulted := 1-p, 0.0
		if rng.Float64() < p {
			happens, defaulted, o.Defaulted = p, 1, 1
		}
		o.Squares, o.LogLoss = (p-defaulted)*(p-defaulted), -math.Log(happens)
		happened.add(&o, drifttest.Noon, drifttest.Noon)
	}
	scored.Approve = n
	pane := drifttest.NewCity(c, 1).Pane(n)
	pane.Versions = []drift.VersionCounts{*scored}
	w := newView(Window{Decisions: 10 * n}, c)
	w.add(pane, 0, drifttest.Noon)
	w.add(pane, 1, drifttest.Noon) // what is counted twice is expected alike
	list := Compare("w", w.sum(drifttest.Noon), c, FourFifths).Expected
	require.Len(t, list, 1)
	e, s := list[0], happened.status(c.ModelVersion, false)
	require.Equal(t, c.ModelVersion, e.ModelVersion)
	require.EqualValues(t, 2*n, e.Decisions)
	require.InDelta(t, s.AUC, e.AUC, 4*s.AUCError)
	require.InDelta(t, 2*e.AUC-1, e.Gini, 1e-12)
	require.InDelta(t, s.Brier, e.Brier, 0.001)
	require.InDelta(t, s.LogLoss, e.LogLoss, 0.003)
	require.InDelta(t, s.Observed, e.DefaultRate, 0.003)
	require.InDelta(t, scored.Probabilities/n, e.DefaultRate, 0.0005, "the middle of a bin stands for it")
}

func noDecisionsOf(version string) *drift.VersionCounts {
	return &drift.VersionCounts{ModelVersion: version, Route: schemas.RouteChampion, Channel: schemas.ChannelStream, Scores: map[int32]int64{}}
}

func TestNothingIsExpectedOfNobody(t *testing.T) {
	t.Parallel()
	c := drifttest.ShippedChampion(t)
	require.Empty(t, Compare("w", NewTally(c.Reference), c, FourFifths).Expected)
}
