package demo

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

func TestTheDemoKeepsAsMuchAsItSays(t *testing.T) {
	var sum int64
	for _, bytes := range bytesKept(schemas.NewTopics("credit")) {
		sum += bytes
	}
	require.LessOrEqual(t, sum, int64(100e6))
	for _, spec := range topicSpecs(false) {
		if spec.Configs["cleanup.policy"] == "delete" && spec.Name != "credit.routes" {
			if spec.Name != "credit.drift.panes" {
				require.Equal(t, "3600000", spec.Configs["retention.ms"], spec.Name)
			}
			require.NotEqual(t, "-1", spec.Configs["retention.bytes"], spec.Name)
		}
	}
}

// No component warns of the topics that the demo makes.
func TestTopicSpecs_AreNothingToWarnOf(t *testing.T) {
	for _, keepAll := range []bool{false, true} {
		specs := topicSpecs(keepAll)
		for i, topic := range schemas.Catalogue(prefix) {
			require.Equal(t, topic.Name, specs[i].Name)
			require.Empty(t, topic.Flaws(specs[i].Configs), topic.Name)
		}
	}
}

func TestTheStatusLineLetsOthersPass(t *testing.T) {
	var b bytes.Buffer
	s := NewStatus(&b)
	s.show("one")
	_, err := s.Write([]byte("log\n"))
	require.NoError(t, err)
	s.show("")
	require.Equal(t, clearLine+"one"+clearLine+"log\none"+clearLine, b.String())
	line := statusText(watched{Stream: 3, API: 1, DeadLetters: 2, Decisions: map[string]int64{schemas.Approve: 3, schemas.Decline: 1}}, 12.4, 1500*time.Microsecond, 2*time.Second, 1)
	require.Equal(t, "4 decisions  12/s  approve 75 %  refer 0 %  decline 25 %  latency p50 1.5ms p99 2s  dead letters 2  scorer restarted 1×", line)
}

func TestTheDemoCountsNoMarkers(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	config, topics := kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t"}, schemas.NewTopics("t")
	client, err := kgo.NewClient(config.Options()...)
	require.NoError(t, err)
	defer client.Close()
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(client), []kafka.TopicSpec{
		{Name: topics.Predictions, Partitions: 1, Replication: 1}, {Name: topics.DLQ, Partitions: 1, Replication: 1},
	})
	require.NoError(t, err)
	w, err := newWatch(t.Context(), config, topics, nil, 2)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = lifecycle.Component(w).Run(ctx) }() // it ends with ctx
	letter := func() *kgo.Record {
		return &kgo.Record{Topic: topics.DLQ, Value: []byte("{"), Headers: []kgo.RecordHeader{{Key: schemas.HeaderErrorClass, Value: []byte("decode")}}}
	}
	marker := &kgo.Record{Topic: topics.DLQ, Headers: []kgo.RecordHeader{{Key: schemas.HeaderReplayOf, Value: []byte("0/0")}}}
	require.NoError(t, client.ProduceSync(t.Context(), letter(), marker, letter()).FirstErr())
	<-w.done
	seen, _ := w.snapshot()
	require.EqualValues(t, 2, seen.DeadLetters)
}
