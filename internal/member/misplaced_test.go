package member

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

// What claims the offsets of others is neither answered nor passed over where the look at
// it fails at first, nor where it comes while a transaction goes on.
func TestMember_AnswersNothingThatItCouldNotLookAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		more  bool  // it comes within a transaction
		fails int64 // looks
	}{
		{"the look fails", false, 3},
		{"in a transaction", true, 0},
		{"the look fails in a transaction", true, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const batch = 5
			dir := t.TempDir()
			broker, err := local.StartKafka(dir)
			require.NoError(t, err)
			defer broker.Close()
			config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test", Log: slog.New(slog.DiscardHandler)}
			client, err := kgo.NewClient(append(config.Options(), kgo.ProducerLinger(100*time.Millisecond))...)
			require.NoError(t, err)
			defer client.Close()
			adm := kadm.NewClient(client)
			_, err = adm.CreateTopic(t.Context(), 1, 1, nil, "in")
			require.NoError(t, err)
			for first := 0; first < 3*batch; first += batch {
				var records []*kgo.Record
				for i := range batch {
					records = append(records, &kgo.Record{Topic: "in", Value: []byte(strconv.Itoa(first + i))})
				}
				require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
			}
			require.NoError(t, kafkatest.Move(dir, "in", 0, batch, 1)) // 5 becomes 7
			var begin kadm.Offsets
			begin.AddOffset("in", 0, 0, -1)
			require.NoError(t, adm.CommitAllOffsets(t.Context(), "g", begin))
			var looks atomic.Int64
			broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
				broker.Cluster().KeepControl()
				if request.(*kmsg.FetchRequest).MaxBytes != 4<<20 || looks.Add(1) > c.fails { // a look: a member waits as long
					return nil, nil, false
				}
				return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
			})

			gauge := func(name string) *prometheus.GaugeVec {
				return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, []string{"partition"})
			}
			var log capture.Output
			reach := NewReach(ReachConfig{
				Group: "g", Topic: "in", Log: slog.New(slog.DiscardHandler), Retry: time.Millisecond,
				Lag: gauge("a"), Unreachable: gauge("b"), Unreadable: gauge("c"), Removed: gauge("d"),
			})
			m := New(Config{
				Kafka: config, Group: "g", ID: "one", Topic: "in", Protocol: ProtocolClassic, Log: slog.New(slog.NewTextHandler(&log, nil)),
				Reach: reach, Resolve: func(context.Context, error) error { return nil },
			})
			var answered []string
			answer := func(fetches kgo.Fetches) {
				fetches.EachRecord(func(r *kgo.Record) { answered = append(answered, string(r.Value)) })
			}
			turn := func(ctx context.Context, sess *kgo.GroupTransactSession) (committed bool, err error) {
				fetches, err := m.Poll(ctx, sess, batch)
				if err != nil || fetches.NumRecords() == 0 {
					return false, err
				}
				committed, _, err = m.Commit(ctx, sess, time.Now, func(ctx context.Context, _ func() func(*kgo.Record, error)) error {
					answer(fetches)
					if !c.more {
						return nil
					}
					more, err := m.More(ctx, sess, 3*batch)
					answer(more)
					return err
				})
				return committed, err
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- m.Run(ctx, turn) }()
			require.Eventually(t, func() bool { return strings.Contains(reach.Stopped(), "in/0 cannot be read at offset 5") }, time.Minute, time.Millisecond)
			cancel()
			require.NoError(t, <-done)
			require.Equal(t, []string{"0", "1", "2", "3", "4"}, answered)
			offsets, err := adm.FetchOffsets(t.Context(), "g")
			require.NoError(t, err)
			at, _ := offsets.Lookup("in", 0)
			require.EqualValues(t, batch, at.At)
			require.Greater(t, looks.Load(), c.fails)
			require.Equal(t, c.fails > 0, strings.Contains(log.String(), "cannot look why offsets are left out"))
		})
	}
}

// A partition moves to another member while it is looked at, is answered there and comes
// back: what the look found is of no use any more, and nothing is answered again.
func TestMember_GoesNotBackWhereAnotherHasAnswered(t *testing.T) {
	t.Parallel()
	const moves, records, end = 1, 5, 2 + 5 // of two partitions the balancer takes the second
	w := newWorld(t, 2)
	// Offsets are left out before the records: that is looked at.
	aborts := w.connect(kgo.TransactionalID("aborts"))
	require.NoError(t, aborts.BeginTransaction())
	require.NoError(t, aborts.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Partition: moves}).FirstErr())
	require.NoError(t, aborts.EndTransaction(t.Context(), kgo.TryAbort))
	for i := range records {
		w.produce(t.Context(), &kgo.Record{Topic: "in", Partition: moves, Value: []byte(strconv.Itoa(i))})
	}
	var refused atomic.Int64 // looks to come
	refused.Store(1)
	looking, release := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() { close(looking); w.broker.Cluster().SleepControl(func() { <-release }) })
	letGo := sync.OnceFunc(func() { refused.Store(1); close(release) }) // one asks twice
	defer letGo()
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if request.(*kmsg.FetchRequest).MaxBytes != 4<<20 || refused.Add(-1) < 0 { // not a look: a member waits as long
			return nil, nil, false
		}
		hold()
		return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
	})
	var mu sync.Mutex
	answered := map[int64][]string{} // by whom an offset is
	run := func(ctx context.Context, id string) (*Member, chan error) {
		m, done := w.member(id), make(chan error, 1)
		go func() {
			done <- m.Run(ctx, func(ctx context.Context, sess *kgo.GroupTransactSession) (bool, error) {
				fetches, err := m.Poll(ctx, sess, 100)
				if err != nil || fetches.NumRecords() == 0 {
					return false, err
				}
				committed, _, err := m.Commit(ctx, sess, time.Now, func(context.Context, func() func(*kgo.Record, error)) error { return nil })
				if committed {
					mu.Lock()
					defer mu.Unlock()
					fetches.EachRecord(func(r *kgo.Record) {
						answered[r.Offset] = append(answered[r.Offset], id)
					})
				}
				return committed, err
			})
		}()
		return m, done
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	one, done := run(ctx, "one")
	<-looking
	other, stop := context.WithCancel(ctx)
	_, stopped := run(other, "two")
	require.Eventually(t, func() bool { return w.committed(moves) == end }, time.Minute, time.Millisecond, "two has the partition and answers it")
	stop()
	require.NoError(t, <-stopped)
	require.Eventually(t, func() bool { return one.Client().CommittedOffsets()["in"][moves].Offset == end }, time.Minute, time.Millisecond, "one has it again")
	letGo()
	w.produce(t.Context(), &kgo.Record{Topic: "in", Partition: moves})
	require.Eventually(t, func() bool { return w.committed(moves) == end+1 }, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.Len(t, answered, records+1)
	for offset, by := range answered {
		require.Len(t, by, 1, "offset %d is answered by %v", offset, by)
	}
}

// A batch that was aborted and is too large to be unpacked is passed over when what was
// polled before it is committed, and not before: where that transaction is aborted it is
// polled again.
func TestMember_LosesNothingBeforeAnAbortedOversizedBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.produce(t.Context(), &kgo.Record{Topic: "in", Value: []byte("zero")})
	require.NoError(t, kafkatest.AbortedOversized(t.Context(), w.config.Brokers, "in", kafka.MaxBatch+1))
	m := w.member("one")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var answered []int64
	tries := 0
	err := m.Run(ctx, func(ctx context.Context, sess *kgo.GroupTransactSession) (bool, error) {
		fetches, err := m.Poll(ctx, sess, 100)
		if err != nil || fetches.NumRecords() == 0 {
			return false, err
		}
		var got []int64
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, r.Offset) })
		if tries++; tries == 1 {
			require.Eventually(t, func() bool {
				more := sess.PollFetches(ctx)
				require.NoError(t, m.Polled(ctx, sess.Client(), more))
				more.EachRecord(func(r *kgo.Record) { got = append(got, r.Offset) })
				return len(more.Errors()) > 0
			}, time.Minute, time.Millisecond, "it comes to the batch")
			w.produce(ctx, &kgo.Record{Topic: "in", Value: []byte("three")})
		}
		committed, _, err := m.Commit(ctx, sess, time.Now, func(context.Context, func() func(*kgo.Record, error)) error {
			if tries == 1 {
				return errors.New("the group rebalances, say")
			}
			return nil
		})
		if committed {
			answered = append(answered, got...)
		}
		if slices.Contains(answered, 3) {
			cancel()
		}
		return committed, err
	})
	require.NoError(t, err)
	require.Equal(t, []int64{0, 3}, answered)
}
