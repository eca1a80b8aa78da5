package tail

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

func TestRead_TellsOfATransactionThatHangsAndOfNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := func() (all []kafka.Open) {
		config := Config{Kafka: w.kafka, Topics: w.topics, From: kafka.From{Start: true}, Open: func(open []kafka.Open) { all = open }}
		_, err := Read(t.Context(), config, func(*schemas.Prediction, []byte) (bool, error) { return true, nil })
		require.NoError(t, err)
		return all
	}
	hold := func(age time.Duration) {
		require.NoError(t, w.client.BeginTransaction())
		record := &kgo.Record{Topic: w.topics.Predictions, Value: []byte("x"), Timestamp: time.Now().Add(-age)}
		require.NoError(t, w.client.ProduceSync(t.Context(), record).FirstErr())
	}
	require.Empty(t, told())
	hold(0)
	require.Empty(t, told(), "as a scorer's")
	require.NoError(t, w.client.EndTransaction(t.Context(), kgo.TryCommit))
	hold(time.Minute)
	open := told()
	require.Len(t, open, 1)
	require.EqualValues(t, 1, open[0].Records)
}

// The marker of an aborted transaction lies behind one that hangs: the log is read to
// its end all the same.
func TestRead_EndsWhereAbortedRecordsLieBeforeATransactionThatHangs(t *testing.T) {
	w := newWorld(t)
	put := func(client *kgo.Client, at time.Time) {
		p := prediction(7)
		record := &kgo.Record{Topic: w.topics.Predictions, Key: []byte("k"), Timestamp: at, Value: schemas.AppendPrediction(nil, p)}
		require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	}
	hangs, err := kgo.NewClient(append(w.kafka.Options(), kgo.TransactionalID("hangs"), kgo.TransactionTimeout(5*time.Minute))...)
	require.NoError(t, err)
	t.Cleanup(hangs.Close)
	require.NoError(t, w.client.BeginTransaction())
	put(w.client, time.Now())
	require.NoError(t, hangs.BeginTransaction())
	put(hangs, time.Now().Add(-time.Minute))
	require.NoError(t, w.client.EndTransaction(t.Context(), kgo.TryAbort))

	var open []kafka.Open
	require.Empty(t, w.ids(Config{From: kafka.From{Start: true}, Open: func(all []kafka.Open) { open = all }}, 0))
	require.Len(t, open, 1)
	require.EqualValues(t, 1, open[0].Offset)
}
