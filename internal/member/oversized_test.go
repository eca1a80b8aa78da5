package member

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
)

// The client says once that a batch is too large, and fetches its partition no more.
// Where nobody heard, as when the group rebalanced at that moment, it is made to say
// so again.
func TestReach_MakesTheClientSayAgainWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(context.Context, []string, string, int) error{
		"committed": kafkatest.Oversized, "aborted": kafkatest.AbortedOversized,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			require.NoError(t, write(t.Context(), w.config.Brokers, "in", kafka.MaxBatch+1))
			client := w.connect(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("in"), kgo.DisableAutoCommit(), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
			said := func() bool {
				poll, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				for _, e := range client.PollFetches(poll).Errors() {
					if e.Topic == "in" {
						require.ErrorIs(t, e.Err, kgo.ErrMaxDecompress)
						return true
					}
				}
				return false
			}
			require.Eventually(t, said, time.Minute, time.Millisecond)
			require.False(t, said(), "once")

			r := w.member("one").config.Reach
			r.config.Retry = time.Nanosecond
			r.ends[0] = 1
			for range stallLooks + 1 { // the first finds out where it is
				r.lookForStalls(t.Context(), client)
			}
			require.Eventually(t, said, time.Minute, time.Millisecond)
			require.Empty(t, r.Stopped(), "it is not damaged")
		})
	}
}

// The look that would say that a batch was aborted fails at first: the partition is not
// stopped for good.
func TestMember_PassesAnAbortedOversizedBatchAlsoWhereALookFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	require.NoError(t, kafkatest.AbortedOversized(t.Context(), w.config.Brokers, "in", kafka.MaxBatch+1))
	w.produce(t.Context(), &kgo.Record{Topic: "in", Value: []byte("two")})
	var refused atomic.Int64
	refused.Store(2)
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if request.(*kmsg.FetchRequest).MaxBytes != 4<<20 || refused.Add(-1) < 0 { // not a look: a member waits as long
			return nil, nil, false
		}
		return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
	})
	m := w.member("one", func(c *Config) { c.Idle = 50 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.NoError(t, m.Run(ctx, func(ctx context.Context, sess *kgo.GroupTransactSession) (bool, error) {
		fetches, err := m.Poll(ctx, sess, 100)
		if err != nil || fetches.NumRecords() == 0 {
			return false, err
		}
		cancel()
		committed, _, err := m.Commit(ctx, sess, time.Now, func(context.Context, func() func(*kgo.Record, error)) error { return nil })
		return committed, err
	}))
	require.EqualValues(t, 3, w.committed(0))
	require.Empty(t, m.config.Reach.Stopped())
	require.Negative(t, refused.Load())
}

// A client stops at an aborted batch while a transaction of other partitions goes on. Where
// that is aborted too, the client comes to the batch again.
func TestMember_ComesToAnAbortedOversizedBatchAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	require.NoError(t, kafkatest.AbortedOversized(t.Context(), w.config.Brokers, "in", kafka.MaxBatch+1))
	w.produce(t.Context(), &kgo.Record{Topic: "in", Partition: 0, Value: []byte("two")})
	m := w.member("one", func(c *Config) { c.Idle = 50 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tries, answered := 0, 0
	require.NoError(t, m.Run(ctx, func(ctx context.Context, sess *kgo.GroupTransactSession) (bool, error) {
		poll := func() (int, error) {
			fetches := sess.PollFetches(ctx)
			return fetches.NumRecords(), m.Polled(ctx, sess.Client(), fetches)
		}
		n := 0
		if tries++; tries == 1 {
			for len(m.order.back) == 0 {
				if _, err := poll(); err != nil {
					return false, err
				}
			}
			w.produce(ctx, &kgo.Record{Topic: "in", Partition: 1})
			for n == 0 {
				var err error
				if n, err = poll(); err != nil {
					return false, err
				}
			}
		} else {
			fetches, err := m.Poll(ctx, sess, 100)
			if n = fetches.NumRecords(); err != nil || n == 0 {
				return false, err
			}
		}
		committed, _, err := m.Commit(ctx, sess, time.Now, func(context.Context, func() func(*kgo.Record, error)) error {
			if tries == 1 {
				return errors.New("the group rebalances, say")
			}
			return nil
		})
		if committed {
			answered += n
		}
		if answered == 2 {
			cancel()
		}
		return committed, err
	}))
	require.EqualValues(t, 3, w.committed(0))
	require.EqualValues(t, 1, w.committed(1))
}
