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

func TestWhatWasAppendedInAStretchIsFoundWithALittleMore(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test"}
	client, err := kgo.NewClient(append(config.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	_, err = kafka.CreateTopics(t.Context(), admin, []kafka.TopicSpec{{Name: topic, Partitions: 3, Replication: 1}})
	require.NoError(t, err)
	// An hour apart: ten in partition 0, one in partition 1, none in partition 2.
	began := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	hour := func(h float64) time.Time { return began.Add(time.Duration(h * float64(time.Hour))) }
	for i := range 10 {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Timestamp: hour(float64(i))}).FirstErr())
	}
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 1, Timestamp: hour(5)}).FirstErr())

	f := func(from, to time.Time, want map[int32]kafka.Span) {
		t.Helper()
		got, err := kafka.Appended(t.Context(), admin, topic, from, to)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	all := map[int32]kafka.Span{0: {From: 0, To: 10}, 1: {From: 0, To: 1}}
	f(time.Time{}, time.Time{}, all)
	f(time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), hour(99), all)
	f(hour(5), time.Time{}, map[int32]kafka.Span{0: {From: 5, To: 10}, 1: {From: 0, To: 1}})
	f(hour(5.1), hour(6.9), map[int32]kafka.Span{0: {From: 5, To: 8}, 1: {From: 0, To: 1}}) // ten minutes on either side
	f(hour(5.5), hour(6.5), map[int32]kafka.Span{0: {From: 6, To: 7}})
	f(hour(20), hour(30), map[int32]kafka.Span{})
	f(time.Time{}, time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), map[int32]kafka.Span{})
}
