package view

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
)

// Commit markers are offsets, too: a log that ends with one is read to its end,
// and what was aborted is never shown.
func TestOnlyWhatIsCommittedIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	writer, err := kgo.NewClient(append(w.config.Kafka.Options(), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer writer.Close()
	transaction := func(pass int, end kgo.TransactionEndTry) {
		require.NoError(t, writer.BeginTransaction())
		for i := range 40 {
			value := w.predict(i, pass)
			writer.Produce(t.Context(), w.record(partitionOf(i), i, value), func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
			if end == kgo.TryCommit {
				w.last[id(i)] = string(value)
			}
		}
		require.NoError(t, writer.Flush(t.Context()))
		require.NoError(t, writer.EndTransaction(t.Context(), end))
	}
	transaction(1, kgo.TryCommit)
	transaction(2, kgo.TryAbort)
	v, _ := w.start()
	w.same()
	w.ready(v)
	transaction(3, kgo.TryCommit)
	transaction(4, kgo.TryAbort)
	w.same()
	require.Eventually(t, func() bool {
		lag, err := kadm.NewClient(w.client).Lag(t.Context(), "view")
		group := lag["view"]
		return err == nil && group.Error() == nil && len(group.Lag[w.config.Topics.Predictions]) == partitions && group.Lag.Total() == 0
	}, patience, tick)

	_, err = Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.NoError(t, err)
	w.same()
}

func TestProgressOutsideTheLogBeginsAtItsStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 40, 1)
	_, stop := w.start()
	w.same()
	stop()

	// Retention has passed it by: what left the log is not shown.
	w.emit(40, 80, 1)
	w.cutLog(15)
	for i := 40; i < 60; i++ {
		delete(w.last, id(i))
	}
	v, stop := w.start()
	w.same()
	w.ready(v)
	stop()
	require.InDelta(t, 20, testutil.ToFloat64(v.metrics.written), 0)

	// A broker has lost the end of the log.
	for field, text := range w.rdb.HGetAll(t.Context(), w.keys.progress).Val() {
		require.NoError(t, w.rdb.HSet(t.Context(), w.keys.progress, field, text+"000").Err())
	}
	v, _ = w.start()
	w.ready(v)
	w.emit(0, 40, 2)
	w.same()
	require.InDelta(t, 20, testutil.ToFloat64(v.metrics.stale), 0)
}

func TestTheAPIsPredictionsAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	value := w.predict(1, 1)
	var p schemas.Prediction
	require.NoError(t, schemas.DecodePrediction(value, &p))
	p.Channel = schemas.ChannelAPI
	p.ApplicationID = `A-"ünï" \ {x},"view":{` // whatever the contract allows
	value = schemas.AppendPrediction(nil, &p)
	require.NoError(t, w.client.ProduceSync(t.Context(), w.record(1, 1, value)).FirstErr())
	w.last[p.ApplicationID] = string(value)
	w.start()
	w.same()
}

func TestAMissingTopicIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Topics.Predictions = "t.nowhere"
	v, err := New(w.configured())
	require.NoError(t, err)
	require.ErrorContains(t, v.Run(t.Context()), "topics apply")
	_, err = Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.ErrorContains(t, err, "topics apply")
}
