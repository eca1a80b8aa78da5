package member

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/local"
)

// slowToForget holds a client that has lost its membership before it forgets what it
// has fetched.
type slowToForget struct{ forget chan struct{} }

func (s slowToForget) OnGroupManageError(error) { <-s.forget }

// drop makes the group drop the next member that says it lives.
func (w *world) drop() {
	w.broker.Cluster().ControlKey(int16(kmsg.Heartbeat), func(request kmsg.Request) (kmsg.Response, error, bool) {
		return local.Refusal(request, kerr.UnknownMemberID.Code), nil, true
	})
}

// The group drops a member while its transaction ends: the transaction is aborted, but the
// client forgets its partitions a moment later, and polls on till then. What is read in
// that moment has no offsets to be committed with.
func TestMember_CommitsNothingThatItReadsAfterItWasLost(t *testing.T) {
	t.Parallel()
	const records = 10
	w := newWorld(t, 1)
	_, err := w.admin.CreateTopic(t.Context(), 1, 1, nil, "out")
	require.NoError(t, err)
	for i := range records {
		w.produce(t.Context(), &kgo.Record{Topic: "in", Value: []byte(strconv.Itoa(i))})
	}
	held := slowToForget{make(chan struct{})}
	forget := sync.OnceFunc(func() { close(held.forget) })
	defer forget()
	m := w.member("one", func(c *Config) { c.Options = []kgo.Opt{kgo.WithHooks(held)} })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var dropped *kgo.Client
	turn := func(ctx context.Context, sess *kgo.GroupTransactSession) (committed bool, err error) {
		fetches, err := m.Poll(ctx, sess, 100)
		read := err == nil && fetches.NumRecords() > 0
		if dropped != nil && (err != nil || read) {
			forget()
		}
		if !read {
			return false, err
		}
		switch dropped {
		case sess.Client(): // it has forgotten by the time it commits
			require.Eventually(t, func() bool { return len(sess.Client().UncommittedOffsets()) == 0 }, time.Minute, time.Millisecond)
			dropped = w.client
		case nil:
			dropped = sess.Client()
			w.drop()
		}
		committed, _, err = m.Commit(ctx, sess, time.Now, func(ctx context.Context, promise func() func(*kgo.Record, error)) error {
			fetches.EachRecord(func(r *kgo.Record) {
				sess.Produce(ctx, &kgo.Record{Topic: "out", Value: r.Value}, promise())
			})
			return nil
		})
		return committed, err
	}
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, turn) }()
	require.Eventually(t, func() bool { return w.committed(0) == records }, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	ends, err := w.admin.ListCommittedOffsets(t.Context(), "out")
	require.NoError(t, err)
	end, _ := ends.Lookup("out", 0)
	reader := w.connect(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics("out"))
	seen := 0
	for at := int64(0); at < end.Offset-1; { // the last is the end of a transaction
		reader.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) { seen, at = seen+1, r.Offset+1 })
	}
	require.Equal(t, records, seen)
}

// A member that was busy while the group dropped it, and whose transactional id a newer
// process has, does not take the id from that one.
func TestMember_ThatWasLostLeavesItsIDToANewerProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	needs := Needs{Who: "scorer", Kafka: w.config, Group: "g", Instance: "one", Reads: []string{"in"}, Writes: []string{"in"}}
	m := w.member("one", func(c *Config) {
		c.Idle, c.Resolve = 100*time.Millisecond, func(_ context.Context, err error) error { return needs.Fatal(err) }
	})
	newer := w.connect(kgo.TransactionalID("one"))
	busy := false
	err := m.Run(t.Context(), func(ctx context.Context, sess *kgo.GroupTransactSession) (bool, error) {
		_, err := m.Poll(ctx, sess, 100)
		if _, generation := sess.Client().GroupMetadata(); err != nil || generation <= 0 || busy {
			return false, err
		}
		busy = true
		_, _, err = newer.ProducerID(ctx)
		require.NoError(t, err)
		w.drop()
		require.Eventually(t, m.lost.Load, time.Minute, time.Millisecond)
		return false, nil
	})
	require.ErrorContains(t, err, "another process")
	require.NoError(t, newer.BeginTransaction())
	require.NoError(t, newer.ProduceSync(t.Context(), &kgo.Record{Topic: "in"}).FirstErr())
	require.NoError(t, newer.EndTransaction(t.Context(), kgo.TryCommit), "the newer one is not fenced")
}

// A group that takes no more members is said to be full, also where that is known before
// the first poll.
func TestMember_SaysWhyItIsNotInTheGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	needs := Needs{Who: "scorer", Kafka: w.config, Group: "g", Instance: "one", Reads: []string{"in"}, Writes: []string{"in"}}
	var refused atomic.Bool
	w.broker.Cluster().ControlKey(int16(kmsg.JoinGroup), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		refused.Store(true)
		return local.Refusal(request, kerr.GroupMaxSizeReached.Code), nil, true
	})
	m := w.member("one", func(c *Config) { c.Resolve = func(_ context.Context, err error) error { return needs.Fatal(err) } })
	err := m.Run(t.Context(), func(ctx context.Context, sess *kgo.GroupTransactSession) (bool, error) {
		require.Eventually(t, m.lost.Load, time.Minute, time.Millisecond)
		_, err := m.Poll(ctx, sess, 100)
		return false, err
	})
	require.True(t, refused.Load())
	require.ErrorContains(t, err, "is full")
}
