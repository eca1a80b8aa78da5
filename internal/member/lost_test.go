package member

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
)

// slowToForget holds a client that has lost its membership before it forgets what it
// has fetched.
type slowToForget struct{ forget chan struct{} }

func (s slowToForget) OnGroupManageError(error) { <-s.forget }

// The group drops a member while its transaction ends: the transaction is aborted, but the
// client forgets its partitions a moment later, and polls on till then. What is read in
// that moment has no offsets to be committed with.
func TestMember_CommitsNothingThatItReadsAfterItWasLost(t *testing.T) {
	t.Parallel()
	const records = 10
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test", Log: slog.New(slog.DiscardHandler)}
	client, err := kgo.NewClient(append(config.Options(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics("out"))...)
	require.NoError(t, err)
	defer client.Close()
	adm := kadm.NewClient(client)
	for _, topic := range []string{"in", "out"} {
		_, err = adm.CreateTopic(t.Context(), 1, 1, nil, topic)
		require.NoError(t, err)
	}
	for i := range records {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Value: []byte(strconv.Itoa(i))}).FirstErr())
	}
	var begin kadm.Offsets
	begin.AddOffset("in", 0, 0, -1)
	require.NoError(t, adm.CommitAllOffsets(t.Context(), "g", begin))

	gauge := func(name string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, []string{"partition"})
	}
	held := slowToForget{make(chan struct{})}
	forget := sync.OnceFunc(func() { close(held.forget) })
	defer forget()
	m := New(Config{
		Kafka: config, Group: "g", ID: "one", Topic: "in", Protocol: ProtocolClassic, Log: slog.New(slog.DiscardHandler),
		Reach: NewReach(ReachConfig{
			Group: "g", Topic: "in", Log: slog.New(slog.DiscardHandler),
			Lag: gauge("a"), Unreachable: gauge("b"), Unreadable: gauge("c"), Removed: gauge("d"),
		}),
		Options: []kgo.Opt{kgo.WithHooks(held)}, Resolve: func(context.Context, error) error { return nil },
	})
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
			dropped = client
		case nil:
			dropped = sess.Client()
			broker.Cluster().ControlKey(int16(kmsg.Heartbeat), func(request kmsg.Request) (kmsg.Response, error, bool) {
				return local.Refusal(request, kerr.UnknownMemberID.Code), nil, true
			})
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
	committed := func() int64 {
		offsets, err := adm.FetchOffsets(t.Context(), "g")
		require.NoError(t, err)
		at, _ := offsets.Lookup("in", 0)
		return at.At
	}
	require.Eventually(t, func() bool { return committed() == records }, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	ends, err := adm.ListCommittedOffsets(t.Context(), "out")
	require.NoError(t, err)
	end, _ := ends.Lookup("out", 0)
	seen := 0
	for at := int64(0); at < end.Offset-1; { // the last is the end of a transaction
		client.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) { seen, at = seen+1, r.Offset+1 })
	}
	require.Equal(t, records, seen)
}
