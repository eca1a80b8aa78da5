package deadletters

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Letters are listed up to a transaction that hangs. None is replayed: behind it may
// stand the marker that says it was.
func TestDeadLetters_BehindAnOpenTransactionAreNamedAndKeepReplayFromGuessing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(30)
	hangs := w.connect(kgo.TransactionalID("hangs"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, hangs.BeginTransaction())
	held := w.letter(30) // partition 0
	held.Timestamp = time.Now().Add(-time.Minute)
	require.NoError(t, hangs.ProduceSync(t.Context(), held).FirstErr())
	w.write(w.letter(33))

	letters, counts, err := List(t.Context(), ListConfig{Config: w.config})
	require.NoError(t, err)
	require.Len(t, letters, 30)
	require.Len(t, counts.Open, 1)
	require.EqualValues(t, 2, counts.Open[0].Records)

	_, err = Replay(t.Context(), ReplayConfig{Config: w.config})
	var open *OpenError
	require.ErrorAs(t, err, &open)
	require.Equal(t, counts.Open, open.Open)
	require.Empty(t, w.committed(w.config.Topics.Applications))

	require.NoError(t, hangs.EndTransaction(context.WithoutCancel(t.Context()), kgo.TryCommit))
	report, err := Replay(t.Context(), ReplayConfig{Config: w.config})
	require.NoError(t, err)
	require.EqualValues(t, 32, report.Replayed)
}
