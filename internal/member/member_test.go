package member

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

func TestWhoHoldsATransactionalID(t *testing.T) {
	t.Parallel()
	f := func(state string, id int64, epoch int16, want bool) {
		t.Helper()
		require.Equal(t, want, isAnothers(kadm.DescribedTransaction{State: state, ProducerID: id, ProducerEpoch: epoch}, 7, 3))
	}
	for _, state := range []string{"Empty", "Ongoing", "CompleteCommit", "CompleteAbort"} {
		f(state, 7, 3, false)
		f(state, 7, 2, false) // what was so a moment ago
		f(state, 7, 4, true)
		f(state, 8, 0, true)
		f(state, 6, 9, true)
	}
	for _, state := range []string{"PrepareCommit", "PrepareAbort", "PrepareEpochFence", "Dead", ""} {
		f(state, 7, 4, false)
		f(state, 8, 0, false)
	}
}
