package kafka_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
)

func TestReadCommittedReadsWhatIsCommittedInOrder(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test"}
	client, err := kgo.NewClient(append(config.Options(), kgo.TransactionalID("writer"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	_, err = kafka.CreateTopics(t.Context(), admin, []kafka.TopicSpec{{Name: topic, Partitions: 2, Replication: 1}})
	require.NoError(t, err)
	// Ten records each and a marker: 0 … 9 committed, 11 … 20 aborted, 22 … 31 committed.
	for round, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		require.NoError(t, client.BeginTransaction())
		for i := range 20 {
			record := &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte{byte(round)}}
			require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
		}
		require.NoError(t, client.EndTransaction(t.Context(), commit))
	}
	f := func(spans map[int32]kafka.Span, want map[int32][]int64, gaps ...int32) {
		t.Helper()
		got := map[int32][]int64{}
		var told []int32
		require.NoError(t, config.ReadCommitted(t.Context(), kafka.Spans{topic: spans}, kafka.Sink{
			Each: func(r *kgo.Record) error {
				require.NotEqual(t, byte(1), r.Value[0], "aborted")
				got[r.Partition] = append(got[r.Partition], r.Offset)
				return nil
			},
			Gap: func(_ string, partition int32) { told = append(told, partition) },
		}))
		require.Equal(t, want, got)
		require.Equal(t, gaps, told)
	}
	f(map[int32]kafka.Span{0: {From: 8, To: 24}, 1: {From: 0, To: 2}}, map[int32][]int64{0: {8, 9, 22, 23}, 1: {0, 1}})
	f(map[int32]kafka.Span{0: {From: 11, To: 21}}, map[int32][]int64{})
	f(map[int32]kafka.Span{0: {From: 30, To: 33}}, map[int32][]int64{0: {30, 31}})
	f(map[int32]kafka.Span{0: {From: 5, To: 5}}, map[int32][]int64{})

	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 7, -1)
	_, err = admin.DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	f(map[int32]kafka.Span{0: {From: 0, To: 10}, 1: {From: 8, To: 10}}, map[int32][]int64{0: {7, 8, 9}, 1: {8, 9}}, 0)

	full := errors.New("full")
	require.ErrorIs(t, config.ReadCommitted(t.Context(), kafka.Spans{topic: {1: {To: 10}}}, kafka.Sink{Each: func(*kgo.Record) error { return full }}), full)
}
