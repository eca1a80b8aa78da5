package tail

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/api/feed"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

// write appends predictions to partition 0, in one batch.
func (w *world) write(from, to int) {
	plain, err := kgo.NewClient(append(w.kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(w.t, err)
	defer plain.Close()
	var records []*kgo.Record
	for i := from; i < to; i++ {
		records = append(records, &kgo.Record{Topic: w.topics.Predictions, Value: schemas.AppendPrediction(nil, prediction(i))})
	}
	require.NoError(w.t, plain.ProduceSync(w.t.Context(), records...).FirstErr())
}

// A damaged batch is left out and named, whether the client complains of it or waits for
// it in silence.
func TestUnreadableBatch_IsLeftOutByTail(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]kafkatest.Damage{
		"records": kafkatest.Records, "length": kafkatest.Length,
		// The first offset is 3, 0b11.
		"offset, bit 0": kafkatest.Moved(0), "offset, bit 1": kafkatest.Moved(1), "offset, bit 2": kafkatest.Moved(2), "offset, bit 40": kafkatest.Moved(40),
	} {
		for how, follow := range map[string]bool{"to the end": false, "following": true} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				w := newWorldIn(t, dir)
				w.write(0, 3)
				w.write(3, 6)
				w.write(6, 9)
				require.NoError(t, damage(dir, w.topics.Predictions, 0, 4))
				var ids []string
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				leftOut, err := Read(ctx, Config{Kafka: w.kafka, Topics: w.topics, From: kafka.From{Start: true}, Follow: follow}, func(p *schemas.Prediction, _ []byte) (bool, error) {
					ids = append(ids, p.ApplicationID)
					return !follow || len(ids) < 6, nil
				})
				require.NoError(t, err)
				require.Equal(t, []string{"A-0000", "A-0001", "A-0002", "A-0006", "A-0007", "A-0008"}, ids)
				require.Zero(t, leftOut.Records)
				require.EqualValues(t, 3, leftOut.Unreadable.Offsets)
				require.Equal(t, []string{w.topics.Predictions + "/0@3"}, leftOut.Unreadable.At)
			})
		}
	}
}

func TestUnreadableBatch_DoesNotSilenceTheFeed(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]kafkatest.Damage{
		"records": kafkatest.Records, "length": kafkatest.Length,
		"offset, bit 1": kafkatest.Moved(1), "offset, bit 40": kafkatest.Moved(40),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			r, err := open(t.Context(), w.kafka, w.topics.Predictions, kafka.From{}, true)
			require.NoError(t, err)
			r.client.Close()
			shown := feed.New()
			follower := NewFollower(FollowerConfig{Kafka: w.kafka, Topics: w.topics, Each: shown.Add, Log: slog.New(slog.DiscardHandler)})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			_, letGo := kafkatest.Hold(w.broker.Cluster()) // what comes is damaged before the feed asks for it
			go func() { done <- follower.Run(ctx) }()
			require.Eventually(t, func() bool { return follower.Ready() == nil }, patience, time.Millisecond)
			w.write(0, 3)
			w.write(3, 6)
			require.NoError(t, damage(dir, w.topics.Predictions, 0, 1))
			letGo()
			require.Eventually(t, func() bool { return shown.Snapshot().Totals.Decisions == 3 }, patience, time.Millisecond)
			cancel()
			require.NoError(t, <-done)
		})
	}
}

// A broker that fails at a damaged batch, which it shows, is waited for no longer than one
// that calls it damaged.
func TestFailingBroker_DoesNotEndTailAtADamagedBatch(t *testing.T) {
	t.Parallel()
	for how, follow := range map[string]bool{"to the end": false, "following": true} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			w.write(0, 3)
			w.write(3, 6)
			w.write(6, 9)
			require.NoError(t, kafkatest.Format(0)(dir, w.topics.Predictions, 0, 4))
			failed := kafkatest.Fail(w.broker.Cluster(), 0, func(at int64) bool { return at > 0 && at < 6 })
			var ids []string
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			leftOut, err := Read(ctx, Config{Kafka: w.kafka, Topics: w.topics, From: kafka.From{Start: true}, Follow: follow}, func(p *schemas.Prediction, _ []byte) (bool, error) {
				ids = append(ids, p.ApplicationID)
				return !follow || len(ids) < 6, nil
			})
			require.NoError(t, err)
			require.Equal(t, []string{"A-0000", "A-0001", "A-0002", "A-0006", "A-0007", "A-0008"}, ids)
			require.Equal(t, []string{w.topics.Predictions + "/0@3"}, leftOut.Unreadable.At)
			require.Positive(t, failed.Load())
		})
	}
}

// A broker that fails and does not say why is asked again.
func TestRead_WaitsForAFailingBroker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(0, 3)
	var left atomic.Int64
	left.Store(4)
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if left.Add(-1) < 0 {
			return nil, nil, false
		}
		return local.Refusal(request, kerr.UnknownServerError.Code), nil, true
	})
	require.Len(t, w.ids(Config{From: kafka.From{Start: true}}, 0), 3)
	require.LessOrEqual(t, left.Load(), int64(0))
}

// Following goes on where a look for the reason of a silence fails: what reads says what
// is wrong.
func TestFollow_OutlastsALookThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(0, 1)
	var failing atomic.Bool
	var asked atomic.Int64
	looked := make(chan struct{}) // twice, in vain
	w.broker.Cluster().ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if !failing.Load() {
			return nil, nil, false
		}
		if asked.Add(1) == 2 {
			close(looked)
		}
		return local.Refusal(request, kerr.UnknownServerError.Code), nil, true
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	read := 0
	_, err := Read(ctx, Config{Kafka: w.kafka, Topics: w.topics, From: kafka.From{Start: true}, Follow: true}, func(*schemas.Prediction, []byte) (bool, error) {
		if read++; read == 1 {
			failing.Store(true)
			go func() {
				select {
				case <-looked:
					failing.Store(false)
					w.write(1, 2)
				case <-ctx.Done():
				}
			}()
		}
		return read < 2, nil
	})
	require.NoError(t, err)
	require.Equal(t, 2, read)
}

// Where a transaction was aborted the log is looked at. A look that fails because a leader
// moves ends nothing.
func TestFollow_OutlastsALookWhileALeaderMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(0, 1)
	tx, err := kgo.NewClient(append(w.kafka.Options(), kgo.TransactionalID("aborts"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer tx.Close()
	require.NoError(t, tx.BeginTransaction())
	require.NoError(t, tx.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Predictions}).FirstErr())
	require.NoError(t, tx.EndTransaction(t.Context(), kgo.TryAbort))
	w.write(1, 3)
	var looks atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if !kafkatest.IsLook(request) || looks.Add(1) > 3 {
			return nil, nil, false
		}
		return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var ids []string
	leftOut, err := Read(ctx, Config{Kafka: w.kafka, Topics: w.topics, From: kafka.From{Start: true}, Follow: true}, func(p *schemas.Prediction, _ []byte) (bool, error) {
		ids = append(ids, p.ApplicationID)
		return len(ids) < 3, nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"A-0000", "A-0001", "A-0002"}, ids)
	require.Zero(t, leftOut.Unreadable.Offsets)
	require.Greater(t, looks.Load(), int64(3))
}

// A batch is named once, also where the client complains of it and its offsets are not
// those of its place either.
func TestUnreadableBatch_IsNamedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.write(0, 3)
	w.write(3, 6)
	w.write(6, 9)
	topic := w.topics.Predictions
	require.NoError(t, kafkatest.Records(dir, topic, 0, 4))
	r, err := open(t.Context(), w.kafka, topic, kafka.From{Start: true}, false)
	require.NoError(t, err)
	defer r.close()
	r.next[0] = 3
	var named []int64
	require.NoError(t, r.passOver(t.Context(), []kgo.FetchError{
		{Topic: topic, Err: errors.New("encoded crc")},
		{Topic: topic, Err: &kafka.UnreadableError{Topic: topic, From: 3, To: 6}},
	}, func(u *kafka.UnreadableError) error { named = append(named, u.From); return nil }))
	require.Equal(t, []int64{3}, named)
	require.EqualValues(t, 6, r.next[0])
}

// A batch that was aborted and is too large for a client to see that is nobody's.
func TestAbortedBatch_ThatIsTooLargeHoldsUpNoTail(t *testing.T) {
	t.Parallel()
	for how, follow := range map[string]bool{"to the end": false, "following": true} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.write(0, 1)
			require.NoError(t, kafkatest.AbortedOversized(t.Context(), w.kafka.Brokers, w.topics.Predictions, kafka.MaxBatch+1))
			w.write(1, 2)
			var ids []string
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			leftOut, err := Read(ctx, Config{Kafka: w.kafka, Topics: w.topics, From: kafka.From{Start: true}, Follow: follow}, func(p *schemas.Prediction, _ []byte) (bool, error) {
				ids = append(ids, p.ApplicationID)
				return len(ids) < 2, nil
			})
			require.NoError(t, err)
			require.Equal(t, []string{"A-0000", "A-0001"}, ids)
			require.Zero(t, leftOut.Unreadable.Offsets)
		})
	}
}
