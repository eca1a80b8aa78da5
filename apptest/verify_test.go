package apptest

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// A judge that finds nothing must be able to find something.
func TestVerifyFindsASecondAnswer(t *testing.T) {
	long(t)
	t.Parallel()
	s := embedded(t)
	common := []string{"--brokers", s.kafka, "--prefix", "v"}
	with := func(args ...string) []string { return append(args, common...) }
	run(t, with("topics", "apply")...)
	w := watch(t, s, "v")
	run(t, with("produce", "--count", "500", "--rate", "0", "--malformed", "0.1")...)
	service(t, "scorer", with("score", "--model", "shipped")...)
	until(t, time.Minute, "all are answered", func() bool { return w.answered() == 550 })

	// Decisions by a route are made again as well as those without one.
	run(t, with("model", "release", "../model/shipped/credit-default.bundle")...)
	var released []struct {
		Version string `json:"version"`
	}
	run(t, with("model", "list", "--json")...).answer(&released)
	run(t, with("model", "route", "--champion", released[0].Version, "--why", "the first")...)
	n := 500
	until(t, time.Minute, "the route has taken effect", func() bool {
		run(t, with("produce", "--count", "10", "--rate", "0")...)
		n += 10
		until(t, time.Minute, "they are answered", func() bool { return w.answered() == n+50 })
		for _, p := range w.predictions() {
			if holds(p.value, []byte(`{"route_revision": 0}`)) {
				return true
			}
		}
		return false
	})

	var v verdict
	until(t, time.Minute, "the group's offsets are at the end", func() bool {
		run(t, with("verify", "--json")...).answer(&v)
		return v.Pending == 0
	})
	require.Equal(t, verdict{Applications: n + 50, Predictions: n, DeadLetters: 50}, v)

	original := onePrediction(t, s, "v.predictions")
	var headers []sarama.RecordHeader
	for _, h := range original.Headers {
		headers = append(headers, *h)
	}
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer([]string{s.kafka}, config)
	require.NoError(t, err)
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{
		Topic: original.Topic, Key: sarama.ByteEncoder(original.Key), Value: sarama.ByteEncoder(original.Value), Headers: headers,
	})
	require.NoError(t, err)
	require.NoError(t, producer.Close())

	again := start(t, "verify", with("verify", "--json")...)
	<-again.ended
	require.Equal(t, 1, again.cmd.ProcessState.ExitCode())
	again.answer(&v)
	require.Equal(t, verdict{Applications: n + 50, Predictions: n + 1, DeadLetters: 50, Duplicated: 1}, v)

	text := start(t, "verify", with("verify")...)
	<-text.ended
	require.Equal(t, 1, text.cmd.ProcessState.ExitCode())
	require.Contains(t, string(text.stdout.bytes()), "duplicated: v.applications/")
	require.Contains(t, string(text.stdout.bytes()), "answered again by v.predictions/")
	require.Contains(t, string(text.stdout.bytes()), "FAILED")
}

// onePrediction is the first of some partition that has one.
func onePrediction(t *testing.T, s servers, topic string) *sarama.ConsumerMessage {
	client, err := sarama.NewClient([]string{s.kafka}, sarama.NewConfig())
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	partitions, err := client.Partitions(topic)
	require.NoError(t, err)
	consumer, err := sarama.NewConsumerFromClient(client)
	require.NoError(t, err)
	for _, p := range partitions {
		end, err := client.GetOffset(topic, p, sarama.OffsetNewest)
		require.NoError(t, err)
		if end == 0 {
			continue
		}
		reader, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		require.NoError(t, err)
		defer reader.AsyncClose()
		return <-reader.Messages()
	}
	require.Fail(t, "no partition of "+topic+" has a record")
	return nil
}
