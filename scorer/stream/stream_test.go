package stream

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
)

const partitions = 4

// world is an embedded broker with the topics and a client that sees everything.
type world struct {
	t      *testing.T
	broker *local.Kafka
	config kafka.Config
	topics schemas.Topics
	client *kgo.Client
	live   *release.LiveSet
}

func newWorld(t *testing.T) *world {
	broker, err := local.StartKafka("", kfake.SleepOutOfOrder())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, broker: broker, topics: schemas.NewTopics("t"), config: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"}}
	w.client, err = kgo.NewClient(append(w.config.Options(), kgo.ProducerBatchMaxBytes(maxRecord), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Catalogue("t") {
		specs = append(specs, kafka.TopicSpec{Name: topic.Name, Partitions: min(partitions, topic.Partitions), Replication: 1, Configs: topic.Configs})
	}
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), specs)
	require.NoError(t, err)
	w.live, err = release.Fixed(shipped.Bundle, model.EngineNative, schemas.DefaultPolicyText)
	require.NoError(t, err)
	return w
}

// apply emits applications with ids from first to last, every tenth malformed.
func (w *world) apply(first, last int) {
	var records []*kgo.Record
	for i := first; i < last; i++ {
		a := schemas.Application{ApplicationID: fmt.Sprintf("A-%06d", i), AppliedAt: schemas.Timestamp(1e15)}
		for k, rule := range schemas.FeatureRules {
			a.Features[k] = max(rule.Min, 0) + int32(i%2)
		}
		value := schemas.AppendApplication(nil, &a)
		switch i % 20 {
		case 0:
			value = value[:50]
		case 10:
			value = bytes.Replace(value, []byte(`"age":`), []byte(`"age":9`), 1)
		}
		records = append(records, &kgo.Record{Topic: w.topics.Applications, Partition: int32(i % partitions), Key: []byte(a.ApplicationID), Value: value, Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("x")}}})
	}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
}

// start runs a scorer; stop ends it as SIGTERM would and returns its error.
func (w *world) start(instance string, from From) (s *Scorer, stop func() error) {
	s, err := New(Config{
		Kafka: w.config, Topics: w.topics, Group: "g", Instance: instance, Sessions: 2, Protocol: ProtocolClassic, From: from,
		Live: func() *release.LiveSet { return w.live }, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() error { cancel(); return <-done }
}

// outputs reads n committed records of predictions and dead letters, then all
// there are, and counts them by source.
func (w *world) outputs(n int) (bySource map[schemas.Source]int, letters []*kgo.Record) {
	reader, err := kgo.NewClient(append(w.config.Options(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(w.topics.Predictions, w.topics.DLQ))...)
	require.NoError(w.t, err)
	defer reader.Close()
	bySource = map[schemas.Source]int{}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for seen := 0; seen < n; {
		fetches := reader.PollFetches(ctx)
		require.NoError(w.t, fetches.Err(), "%d of %d outputs", seen, n)
		fetches.EachRecord(func(r *kgo.Record) {
			seen++
			h := map[string][]byte{}
			for _, header := range r.Headers {
				h[header.Key] = header.Value
			}
			source, err := schemas.ParseSource(h[schemas.HeaderSourceTopic], h[schemas.HeaderSourcePartition], h[schemas.HeaderSourceOffset])
			require.NoError(w.t, err)
			bySource[source]++
			if r.Topic == w.topics.DLQ {
				letters = append(letters, r)
				return
			}
			var p schemas.Prediction
			require.NoError(w.t, schemas.DecodePrediction(r.Value, &p))
			require.Equal(w.t, string(r.Key), p.ApplicationID)
			require.Equal(w.t, w.live.Champion.Version, p.ModelVersion)
		})
	}
	return bySource, letters
}

// exact holds that every application from 0 to n was answered once.
func (w *world) exact(n int) []*kgo.Record {
	bySource, letters := w.outputs(n)
	require.Len(w.t, bySource, n)
	for source, times := range bySource {
		require.Equal(w.t, 1, times, source)
		require.Equal(w.t, w.topics.Applications, source.Topic)
	}
	return letters
}

func TestEveryApplicationIsAnsweredOnce(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 3000)
	s, stop := w.start("one", From{})
	letters := w.exact(3000)
	require.Len(t, letters, 300)
	classes := map[string]int{}
	for _, d := range letters {
		require.Equal(t, "trace", d.Headers[0].Key, "headers as received")
		require.True(t, strings.HasPrefix(string(d.Key), "A-"))
		for _, h := range d.Headers {
			if h.Key == schemas.HeaderErrorClass {
				classes[string(h.Value)]++
			}
		}
	}
	require.Equal(t, map[string]int{schemas.ErrorClassDecode: 150, schemas.ErrorClassContract: 150}, classes)
	require.NoError(t, s.Ready())
	require.NoError(t, stop())
	require.InDelta(t, 3000, testutil.ToFloat64(s.metrics.records), 0)

	// Another instance goes on where it stopped; none is scored again.
	w.apply(3000, 3100)
	_, stop = w.start("two", From{})
	w.exact(3100)
	require.NoError(t, stop())
}

func TestTwoReplicasShareTheWorkAndOneLeaves(t *testing.T) {
	w := newWorld(t)
	_, stopOne := w.start("one", From{})
	_, stopTwo := w.start("two", From{})
	w.apply(0, 2000)
	w.outputs(500)
	require.NoError(t, stopOne())
	w.apply(2000, 4000)
	w.exact(4000)
	require.NoError(t, stopTwo())
}

// A failed produce must abort: the offsets of what was not answered would
// otherwise be committed.
func TestAFailedProduceAborts(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.MessageTooLarge, kerr.InvalidRecord, kerr.NotLeaderForPartition} {
		t.Run(code.Message, func(t *testing.T) {
			w := newWorld(t)
			w.apply(0, 400)
			failures := 0
			w.broker.Cluster().ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
				w.broker.Cluster().KeepControl()
				if failures >= 3 {
					return nil, nil, false
				}
				failures++
				response := request.ResponseKind().(*kmsg.ProduceResponse)
				for _, topic := range request.(*kmsg.ProduceRequest).Topics {
					rt := kmsg.NewProduceResponseTopic()
					rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
					for _, partition := range topic.Partitions {
						rp := kmsg.NewProduceResponseTopicPartition()
						rp.Partition, rp.ErrorCode = partition.Partition, code.Code
						rt.Partitions = append(rt.Partitions, rp)
					}
					response.Topics = append(response.Topics, rt)
				}
				return response, nil, true
			})
			_, stop := w.start("one", From{})
			w.exact(400)
			require.NoError(t, stop())
			require.Equal(t, 3, failures)
		})
	}
}

func TestAnApplicationOfNearlyOneMebibyteIsAnswered(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 4)
	big := append([]byte(`{"x":"`), bytes.Repeat([]byte("y"), 1_048_000)...)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Applications, Partition: 1, Value: big}).FirstErr())
	w.apply(4, 8)
	_, stop := w.start("one", From{})
	letters := w.exact(9)
	require.NoError(t, stop())
	found := false
	for _, d := range letters {
		found = found || bytes.Equal(d.Value, big)
	}
	require.True(t, found, "whole, it fits")
}

func TestStartRefusesToGuess(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Predictions, Value: []byte("{}")}).FirstErr())
	s, stop := w.start("one", From{})
	require.Eventually(t, func() bool { return s.Ready() == nil }, time.Minute, time.Millisecond, "the API's decisions do not count")
	require.NoError(t, stop())

	w = newWorld(t)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Predictions, Value: []byte("{}"), Headers: []kgo.RecordHeader{{Key: schemas.HeaderSourceTopic, Value: []byte("x")}}}).FirstErr())
	w.apply(0, 10)
	s, err := New(Config{Kafka: w.config, Topics: w.topics, Group: "g", Instance: "i", Sessions: 1, Protocol: ProtocolClassic, Live: func() *release.LiveSet { return w.live }, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	require.ErrorContains(t, s.Run(t.Context()), "--from start, end or a time")

	_, stop = w.start("i", From{End: true})
	adm := kadm.NewClient(w.client)
	require.Eventually(t, func() bool {
		o, err := adm.FetchOffsets(t.Context(), "g")
		return err == nil && len(o[w.topics.Applications]) == partitions
	}, time.Minute, time.Millisecond)
	require.NoError(t, stop())
	o, err := adm.FetchOffsets(t.Context(), "g")
	require.NoError(t, err)
	sum := int64(0)
	o.Each(func(o kadm.OffsetResponse) { sum += o.At })
	require.Equal(t, int64(10), sum)
}

func TestAPartitionWhoseOffsetIsOutsideTheLogStops(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	adm := kadm.NewClient(w.client)
	var commit kadm.Offsets
	for p := range int32(partitions) {
		at := int64(0)
		if p == 2 {
			at = 500
		}
		commit.AddOffset(w.topics.Applications, p, at, -1)
	}
	require.NoError(t, adm.CommitAllOffsets(t.Context(), "g", commit))
	s, stop := w.start("one", From{})
	bySource, _ := w.outputs(30)
	require.NoError(t, stop())
	for source := range bySource {
		require.NotEqual(t, int32(2), source.Partition)
	}
	require.InDelta(t, 490, testutil.ToFloat64(s.metrics.unreachable.WithLabelValues("2")), 0)
}

func TestMissingTopicsAreNamed(t *testing.T) {
	w := newWorld(t)
	w.topics.DLQ = "t.nowhere"
	s, err := New(Config{Kafka: w.config, Topics: w.topics, Group: "g", Instance: "i", Sessions: 1, Protocol: ProtocolClassic, Live: func() *release.LiveSet { return w.live }, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	err = s.Run(t.Context())
	require.ErrorContains(t, err, "t.nowhere")
	require.ErrorContains(t, err, "topics apply")
}
