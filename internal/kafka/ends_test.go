package kafka_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
)

// held is a topic of two partitions; a producer holds a transaction open on the first.
type held struct {
	t      *testing.T
	config kafka.Config
	admin  *kadm.Client
	holder *kgo.Client
	plain  *kgo.Client
}

func (h *held) connect(opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(append(h.config.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner())), opts...)...)
	require.NoError(h.t, err)
	h.t.Cleanup(client.Close)
	return client
}

// write writes n records to a partition.
func (h *held) write(client *kgo.Client, partition int32, n int) {
	for range n {
		require.NoError(h.t, client.ProduceSync(h.t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: []byte("x")}).FirstErr())
	}
}

func newHeld(t *testing.T, timestamps string) *held {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	h := &held{t: t, config: kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test"}}
	h.plain = h.connect()
	h.admin = kadm.NewClient(h.plain)
	_, err = kafka.CreateTopics(t.Context(), h.admin, []kafka.TopicSpec{{
		Name: topic, Partitions: 2, Replication: 1, Configs: map[string]string{"message.timestamp.type": timestamps},
	}})
	require.NoError(t, err)
	h.holder = h.connect(kgo.TransactionalID("holder"))
	return h
}

func TestEnds_TellWhatLiesBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	h := newHeld(t, "LogAppendTime")
	h.write(h.plain, 0, 3)
	h.write(h.plain, 1, 2)
	require.NoError(t, h.holder.BeginTransaction())
	h.write(h.holder, 0, 1)
	h.write(h.plain, 0, 4)

	ends, err := kafka.ListEnds(t.Context(), h.admin, topic)
	require.NoError(t, err)
	require.Equal(t, kafka.Ends{topic: {0: {Stable: 3, High: 8}, 1: {Stable: 2, High: 2}}}, ends)
	open := ends.Open()
	require.Equal(t, []kafka.Open{{Topic: topic, Offset: 3, Records: 5}}, open)
	require.Equal(t, "5 records behind an open transaction on "+topic+"/0", open[0].String())
	require.NoError(t, h.config.Since(t.Context(), open))
	require.WithinDuration(t, time.Now(), open[0].Since, time.Hour)
	require.Contains(t, open[0].String(), " since "+open[0].Since.UTC().Format(time.RFC3339))

	require.NoError(t, h.holder.EndTransaction(t.Context(), kgo.TryAbort))
	ends, err = kafka.ListEnds(t.Context(), h.admin, topic)
	require.NoError(t, err)
	require.Empty(t, ends.Open())
	require.Equal(t, kafka.End{Stable: 9, High: 9}, ends[topic][0], "the marker takes an offset")
}

// What a producer says of the time is not when a transaction began.
func TestEnds_DoNotTrustAProducersClock(t *testing.T) {
	t.Parallel()
	h := newHeld(t, "CreateTime")
	require.NoError(t, h.holder.BeginTransaction())
	record := &kgo.Record{Topic: topic, Value: []byte("x"), Timestamp: time.UnixMilli(1_764_493_200)}
	require.NoError(t, h.holder.ProduceSync(t.Context(), record).FirstErr())
	ends, err := kafka.ListEnds(t.Context(), h.admin, topic)
	require.NoError(t, err)
	open := ends.Open()
	require.Len(t, open, 1)
	require.NoError(t, h.config.Since(t.Context(), open))
	require.Zero(t, open[0].Since)
}

func TestSettled_WaitsForATransactionThatEnds(t *testing.T) {
	t.Parallel()
	h := newHeld(t, "LogAppendTime")
	require.NoError(t, h.holder.BeginTransaction())
	h.write(h.holder, 0, 1)
	h.write(h.plain, 0, 4)
	ended := make(chan error, 1)
	go func() { ended <- h.holder.EndTransaction(t.Context(), kgo.TryCommit) }()
	ends, open, err := h.config.Settled(t.Context(), h.admin, time.Hour, topic)
	require.NoError(t, err)
	require.NoError(t, <-ended)
	require.Empty(t, open)
	require.GreaterOrEqual(t, ends[topic][0].Stable, int64(5))
}

func TestSettled_GivesUpOnATransactionThatHangs(t *testing.T) {
	t.Parallel()
	h := newHeld(t, "LogAppendTime")
	require.NoError(t, h.holder.BeginTransaction())
	h.write(h.plain, 0, 2)
	h.write(h.holder, 0, 1)
	h.write(h.plain, 0, 4)
	ends, open, err := h.config.Settled(t.Context(), h.admin, time.Millisecond, topic)
	require.NoError(t, err)
	require.Equal(t, kafka.End{Stable: 2, High: 7}, ends[topic][0])
	require.Len(t, open, 1)
	require.Equal(t, int64(5), open[0].Records)
	require.NotZero(t, open[0].Since)
}

// A transaction that began before another one and ended after that began: what became
// of its records is written behind the last stable offset, where readers of committed
// records do not come until the other ends.
func TestReadCommitted_ReadsToTheLastStableOffsetWhileATransactionHangs(t *testing.T) {
	t.Parallel()
	for name, commit := range map[string]kgo.TransactionEndTry{"committed": kgo.TryCommit, "aborted": kgo.TryAbort} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHeld(t, "LogAppendTime")
			other := h.connect(kgo.TransactionalID("other"))
			h.write(h.plain, 0, 2)
			require.NoError(t, other.BeginTransaction())
			h.write(other, 0, 3) // 2 … 4
			require.NoError(t, h.holder.BeginTransaction())
			h.write(h.holder, 0, 1) // 5
			h.write(other, 0, 2)    // 6, 7
			require.NoError(t, other.EndTransaction(t.Context(), commit))
			ends, err := kafka.ListEnds(t.Context(), h.admin, topic)
			require.NoError(t, err)
			require.Equal(t, kafka.End{Stable: 5, High: 9}, ends[topic][0])
			var got []int64
			require.NoError(t, h.config.ReadCommitted(t.Context(), kafka.Spans{topic: {0: {To: 5}}}, kafka.Sink{Each: func(r *kgo.Record) error {
				got = append(got, r.Offset)
				return nil
			}}))
			want := []int64{0, 1}
			if commit {
				want = []int64{0, 1, 2, 3, 4}
			}
			require.Equal(t, want, got)
		})
	}
}
