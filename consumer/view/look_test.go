package view

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
)

// Where a transaction was aborted the log is looked at. While a leader moves that look
// fails: nothing is wrong with the log, and the view says so of nothing.
func TestLook_ThatFailsWhileALeaderMovesIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 20, 1)
	tx, err := kgo.NewClient(append(w.config.Kafka.Options(), kgo.TransactionalID("aborts"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer tx.Close()
	require.NoError(t, tx.BeginTransaction())
	require.NoError(t, tx.ProduceSync(t.Context(), w.record(1, 1, w.predict(1, 2))).FirstErr())
	require.NoError(t, tx.EndTransaction(t.Context(), kgo.TryAbort))
	w.emit(0, 20, 3)
	var looks atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if !kafkatest.IsLook(request) || looks.Add(1) > 3 {
			return nil, nil, false
		}
		return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
	})
	var log capture.Output
	w.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	w.config.retry = tick
	v, stop := w.start()
	w.same()
	w.ready(v)
	stop()
	require.Greater(t, looks.Load(), int64(3))
	require.Contains(t, log.String(), "cannot look at the log")
	require.NotContains(t, log.String(), "level=ERROR")
}

// sessionOf is a session that is no member of a group.
func sessionOf(w *world, v *View) *session {
	return &session{
		view: v, client: w.client, positions: map[int32]*position{}, paused: map[int32]*pause{}, broken: map[int32]error{},
		batch: batch{lifetimes: w.config.Lifetimes, logger: w.config.Log, metrics: v.metrics},
	}
}

// Readiness names the batch that a broker fails at where it shows that, and the broker's
// failure where it does not.
func TestReady_NamesWhatABrokerFailsAt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.emit(0, 20, 1)
	w.emit(20, 28, 1) // offsets 5 and 6 of each partition
	require.NoError(t, kafkatest.Format(0)(dir, w.config.Topics.Predictions, 3, 5))
	kafkatest.Fail(w.broker.Cluster(), 3, func(at int64) bool { return at > 0 && at < 7 })
	v, err := New(w.configured())
	require.NoError(t, err)
	s := sessionOf(w, v)
	s.joined, s.positions = true, map[int32]*position{2: {next: 7}, 3: {next: 5}}
	broken := map[int32]kgo.FetchError{}
	for p := range s.positions {
		broken[p] = kgo.FetchError{Topic: w.config.Topics.Predictions, Partition: p, Err: kerr.UnknownServerError}
	}
	s.blame(t.Context(), broken)
	for _, e := range broken {
		require.NoError(t, s.cannotRead(t.Context(), e))
	}
	require.ErrorContains(t, s.ready(), "predictions/3 cannot be read at offset 5: the broker fails at the batch at offset 5")
	require.ErrorContains(t, s.ready(), "predictions/2 cannot be read at offset 7: UNKNOWN_SERVER_ERROR")
}

// What was found in a partition is forgotten when that moves away: another replica may
// have passed it since, and counted what it left out.
func TestUnreadableBatch_IsNotCountedByWhoComesBackBehindIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 40, 1)
	v, stop := w.start()
	w.same()
	w.ready(v)
	stop()
	l, err := logOf(t.Context(), kadm.NewClient(w.client), w.config.Topics.Predictions)
	require.NoError(t, err)
	s := sessionOf(w, v)
	s.log, s.batch.log = l.number, l.number
	topic := w.config.Topics.Predictions
	take := func(next int64) {
		s.mu.Lock()
		s.positions[3] = &position{next: next}
		s.mu.Unlock()
	}
	came := func(offset int64) kgo.Fetches {
		record := w.record(3, 3, w.predict(3, 1))
		record.Offset = offset
		of := kgo.FetchPartition{Partition: 3, Records: []*kgo.Record{record}}
		return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: topic, Partitions: []kgo.FetchPartition{of}}}}}
	}
	found := &kafka.UnreadableError{Topic: topic, Partition: 3, From: 5, To: 7, Err: errors.New("claims the offsets of others")}
	for _, moves := range []bool{true, false} {
		take(5)
		require.NoError(t, s.cannotRead(t.Context(), kgo.FetchError{Topic: topic, Partition: 3, Err: found}))
		if moves {
			s.lost([]int32{3})
			take(7)
		}
		require.NoError(t, s.write(t.Context(), came(7)))
		if moves {
			require.Zero(t, testutil.ToFloat64(v.metrics.unreadable))
		}
	}
	require.InDelta(t, 2, testutil.ToFloat64(v.metrics.unreadable), 0, "it never moved: the batch is left out here")
}
