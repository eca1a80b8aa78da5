package kafka_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/loopback"
)

const topic = "decisions"

func start(t *testing.T, timeout time.Duration) (*kafka.Writer, *local.Kafka, *kgo.Client) {
	broker, err := local.StartKafka("", kfake.SleepOutOfOrder())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test"}
	client, err := kgo.NewClient(append(config.Options(), kgo.ConsumeTopics(topic))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(client), []kafka.TopicSpec{{Name: topic, Partitions: 4, Replication: 1}})
	require.NoError(t, err)
	w, err := kafka.NewWriter(config, topic, timeout)
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w, broker, client
}

func messages(n int) []kafka.Message {
	all := make([]kafka.Message, n)
	for i := range all {
		all[i] = kafka.Message{Key: fmt.Appendf(nil, "key-%d", i), Value: fmt.Appendf(nil, "value-%d", i)}
	}
	return all
}

func read(t *testing.T, client *kgo.Client, n int) map[string]*kgo.Record {
	got := map[string]*kgo.Record{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(got) < n {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			require.NotContains(t, got, string(r.Key), "written once")
			got[string(r.Key)] = r
		})
	}
	return got
}

func TestWriterAnswersOnceTheLogHasIt(t *testing.T) {
	t.Parallel()
	w, _, client := start(t, time.Minute)
	errs := make([]error, 100)
	at := make([]kafka.Position, 100)
	w.Write(t.Context(), messages(100), at, errs)
	for _, err := range errs {
		require.NoError(t, err)
	}
	w.Write(t.Context(), nil, nil, nil)
	// The partition is the one that murmur2 of the key says, as for other clients.
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	for key, r := range read(t, client, 100) {
		require.Equal(t, "value"+key[3:], string(r.Value))
		require.Empty(t, r.Headers)
		require.EqualValues(t, partitioner.Partition(&kgo.Record{Key: r.Key}, 4), r.Partition)
		i, err := strconv.Atoi(key[len("key-"):])
		require.NoError(t, err)
		require.Equal(t, kafka.Position{Partition: r.Partition, Offset: r.Offset}, at[i])
	}
}

func TestWriterSaysWhichFailed(t *testing.T) {
	t.Parallel()
	w, broker, client := start(t, time.Minute)
	broker.Cluster().ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		resp := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range r.(*kmsg.ProduceRequest).Topics {
			topic := kmsg.NewProduceResponseTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				partition := kmsg.NewProduceResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.MessageTooLarge.Code
				topic.Partitions = append(topic.Partitions, partition)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
	errs := make([]error, 1)
	w.Write(t.Context(), messages(1), nil, errs)
	require.ErrorIs(t, errs[0], kerr.MessageTooLarge)
	w.Write(t.Context(), messages(1), nil, errs)
	require.NoError(t, errs[0])
	read(t, client, 1)
}

func TestWriterGivesUpInTimeAndRecovers(t *testing.T) {
	t.Parallel()
	w, broker, client := start(t, 300*time.Millisecond)
	errs := make([]error, 3)
	// The broker takes the records and does not answer.
	hold := make(chan struct{})
	broker.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster().SleepControl(func() { <-hold })
		return nil, nil, false
	})
	w.Write(t.Context(), messages(3), nil, errs)
	for _, err := range errs {
		require.Error(t, err)
	}
	close(hold)
	require.Eventually(t, func() bool {
		again := make([]error, 1)
		w.Write(t.Context(), []kafka.Message{{Key: []byte("later"), Value: []byte("v")}}, nil, again)
		return again[0] == nil
	}, time.Minute, 50*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for found := false; !found; {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { found = found || string(r.Key) == "later" })
	}
}

func TestWriterWithoutABroker(t *testing.T) {
	t.Parallel()
	addr, _, err := loopback.Free(1)
	require.NoError(t, err)
	w, err := kafka.NewWriter(kafka.Config{Brokers: []string{addr}}, topic, 200*time.Millisecond)
	require.NoError(t, err)
	defer w.Close()
	require.Error(t, w.Ready())
	errs := make([]error, 1)
	w.Write(t.Context(), messages(1), nil, errs)
	require.Error(t, errs[0])
}

func TestWriterIsReadyWhenItsTopicIsThere(t *testing.T) {
	t.Parallel()
	w, broker, _ := start(t, time.Second)
	require.Error(t, w.Ready(), "not reached yet")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	require.Eventually(t, func() bool { return w.Ready() == nil }, time.Minute, time.Millisecond)
	stop()
	require.NoError(t, <-done)

	missing, err := kafka.NewWriter(kafka.Config{Brokers: []string{broker.Addr()}}, "none", time.Second)
	require.NoError(t, err)
	defer missing.Close()
	require.ErrorContains(t, missing.Run(t.Context()), "the cluster has no topic none; run: creditstream topics apply")
}
