package judging

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/drifttest"
)

// Outcomes of declined applications are counted, also by the evaluator that takes
// over, and are in no figure of loans.
func TestOutcomesOfDeclinedApplicationsAreCountedApart(t *testing.T) {
	t.Parallel()
	b := newBench(t, 31)
	version := drifttest.ShippedChampion(t).ModelVersion
	b.fold(&drift.Pane{
		Topic: "outcomes", Bucket: b.city.At, Width: 1, Read: 130, Matched: 120, NoMatch: 6, Repeated: 4, Declined: 20,
		Outcomes: []drift.OutcomeCounts{{ModelVersion: version, Score: -15, Loans: 100, Defaulted: 18, Probabilities: 18}},
	})
	o := b.status().Outcomes
	require.Equal(t, []int64{130, 120, 6, 4, 20}, []int64{o.Read, o.Matched, o.Unmatched, o.Duplicate, o.Declined})
	require.Equal(t, int64(100), o.Versions[0].Loans)

	header, err := b.judge.snapshot(0).pack()
	require.NoError(t, err)
	state, err := UnpackState(header)
	require.NoError(t, err)
	next, _ := resume(testSettings, drifttest.ShippedChampion(t), state, nil, b.city.At)
	require.Equal(t, o, next.status(nil, b.city.At).Outcomes)
}
