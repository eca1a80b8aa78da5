package stream

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
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

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/loopback"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
	"github.com/creditstream/creditstream/scorer"
)

const partitions = 4

// world is an embedded broker with the topics and a client that sees everything.
type world struct {
	t       *testing.T
	broker  *local.Kafka
	options []kfake.Opt // the broker's
	config  kafka.Config
	topics  schemas.Topics
	client  *kgo.Client
	live    *model.LiveSet
	codec   *wire.Codec // of the scorers, and to read what they wrote
	reads   []string    // the topics that outputs looks into
}

func newWorld(t *testing.T) *world {
	return newWorldOn(t)
}

func newWorldOn(t *testing.T, options ...kfake.Opt) *world {
	return newWorldIn(t, "", options...)
}

// newWorldIn is one whose broker keeps its logs in a folder.
func newWorldIn(t *testing.T, dir string, options ...kfake.Opt) *world {
	w := newBareWorldIn(t, dir, options...)
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Catalogue("t") {
		specs = append(specs, kafka.TopicSpec{Name: topic.Name, Partitions: min(partitions, topic.Partitions), Replication: 1, Configs: topic.Configs})
	}
	_, err := kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), specs)
	require.NoError(t, err)
	return w
}

// newBareWorld is one without topics but those of the options.
func newBareWorld(t *testing.T, options ...kfake.Opt) *world {
	return newBareWorldIn(t, "", options...)
}

func newBareWorldIn(t *testing.T, dir string, options ...kfake.Opt) *world {
	heartbeat := kfake.BrokerConfigs(map[string]string{"group.consumer.heartbeat.interval.ms": "100"})
	options = append(options, heartbeat, kfake.SleepOutOfOrder())
	broker, err := local.StartKafka(dir, options...)
	require.NoError(t, err)
	topics := schemas.NewTopics("t")
	w := &world{
		t: t, broker: broker, options: options, topics: topics, reads: []string{topics.Predictions, topics.DLQ},
		config: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"},
	}
	t.Cleanup(func() { w.broker.Close() }) // whichever runs by then
	w.client, err = kgo.NewClient(append(w.config.Options(), kgo.ProducerBatchMaxBytes(maxLetterBytes), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	w.live, err = model.Fixed(shipped.Bundle, model.EngineNative, policy.DefaultText)
	require.NoError(t, err)
	return w
}

// apply emits applications.
func (w *world) apply(first, last int) {
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), w.applications(first, last)...).FirstErr())
}

// applications have ids from first to last, every tenth is malformed.
func (w *world) applications(first, last int) (records []*kgo.Record) {
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
	return records
}

// scorer is one that does not run yet.
func (w *world) scorer(instance string, change ...func(*Config)) *Scorer {
	c := Config{
		Kafka: w.config, Topics: w.topics, Codec: w.codec, Group: member.Names{Group: "g"}, Instance: instance, Sessions: 2, Protocol: member.ProtocolClassic,
		Live: func() *model.LiveSet { return w.live }, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
	for _, f := range change {
		f(&c)
	}
	s, err := New(c)
	require.NoError(w.t, err)
	return s
}

// run runs a scorer; stop ends it as SIGTERM would and returns its error.
func run(s *Scorer) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

// becomesReady waits for a scorer to be ready: it is not while its group settles.
func becomesReady(t *testing.T, s *Scorer) {
	require.Eventually(t, func() bool { return s.Ready() == nil }, time.Minute, time.Millisecond)
}

// ends waits for a scorer that ends by itself.
func ends(t *testing.T, running <-chan error) (err error) {
	require.Eventually(t, func() bool {
		select {
		case err = <-running:
			return true
		default:
			return false
		}
	}, time.Minute, time.Millisecond, "it goes on")
	return err
}

// start makes a scorer and runs it.
func (w *world) start(instance string, from kafka.From) (s *Scorer, stop func() error) {
	s = w.scorer(instance, func(c *Config) { c.From = from })
	return s, run(s)
}

// read reads n committed records of predictions and dead letters, or what came with
// the last of them; those of a partition are in its order.
func (w *world) read(n int) (records []*kgo.Record) {
	reader, err := kgo.NewClient(append(w.config.Options(), kgo.FetchMaxWait(50*time.Millisecond), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(w.reads...))...)
	require.NoError(w.t, err)
	defer reader.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for len(records) < n {
		fetches := reader.PollFetches(ctx)
		require.NoError(w.t, fetches.Err(), "%d of %d outputs", len(records), n)
		records = append(records, fetches.Records()...)
	}
	return records
}

// answeredBy is the application that an output answers.
func (w *world) answeredBy(output *kgo.Record) schemas.Source {
	h := map[string][]byte{}
	for _, header := range output.Headers {
		h[header.Key] = header.Value
	}
	source, err := schemas.ParseSource(h[schemas.HeaderSourceTopic], h[schemas.HeaderSourcePartition], h[schemas.HeaderSourceOffset])
	require.NoError(w.t, err)
	return source
}

// outputs reads n outputs and counts them by source.
func (w *world) outputs(n int) (bySource map[schemas.Source]int, letters []*kgo.Record) {
	bySource = map[schemas.Source]int{}
	for _, r := range w.read(n) {
		bySource[w.answeredBy(r)]++
		if r.Topic == w.topics.DLQ {
			letters = append(letters, r)
			continue
		}
		var p schemas.Prediction
		require.NoError(w.t, w.codec.DecodePrediction(w.t.Context(), r.Value, &p))
		require.Equal(w.t, string(r.Key), p.ApplicationID)
		require.Equal(w.t, w.live.Champion.Version, p.ModelVersion)
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
	s, stop := w.start("one", kafka.From{})
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
	becomesReady(t, s)
	require.NoError(t, stop())
	require.InDelta(t, 3000, testutil.ToFloat64(s.metrics.records), 0)

	// Another instance goes on where it stopped; none is scored again.
	w.apply(3000, 3100)
	_, stop = w.start("two", kafka.From{})
	w.exact(3100)
	require.NoError(t, stop())
}

func TestTwoReplicasShareTheWorkAndOneLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, stopOne := w.start("one", kafka.From{})
	_, stopTwo := w.start("two", kafka.From{})
	w.apply(0, 2000)
	w.outputs(500)
	require.NoError(t, stopOne())
	w.apply(2000, 4000)
	w.exact(4000)
	require.NoError(t, stopTwo())
}

// As large a record as the log takes, between two of another applicant: one that
// keeps the contract is decided, one that does not is dead-lettered whole, and the
// two are decided in their order.
func TestAnApplicationOfNearlyOneMebibyteIsAnswered(t *testing.T) {
	const size = 1_048_000
	f := func(name string, want []string, large func(r *kgo.Record) []byte) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			applications := w.applications(1, 6) // of which 1 and 5 go to one partition
			first, big, last := applications[0], applications[4], *applications[0]
			big.Value = large(big)
			require.NoError(t, w.client.ProduceSync(t.Context(), first, big, &last).FirstErr())
			_, stop := w.start("one", kafka.From{})
			answers := w.read(3)
			require.NoError(t, stop())

			var got, ofFirst []string
			for _, r := range answers {
				source := w.answeredBy(r)
				require.Equal(t, int32(1), source.Partition)
				got = append(got, fmt.Sprintf("%d %s %s", source.Offset, r.Key, r.Topic))
				if string(r.Key) == string(first.Key) {
					ofFirst = append(ofFirst, got[len(got)-1])
				}
				if r.Topic == w.topics.DLQ {
					require.True(t, bytes.Equal(big.Value, r.Value), "whole, it fits")
				}
			}
			require.ElementsMatch(t, want, got)
			require.Equal(t, []string{want[0], want[2]}, ofFirst, "in the order of the log")
		})
	}
	neighbours := func(middle string) []string {
		return []string{"0 A-000001 t.predictions", middle, "2 A-000001 t.predictions"}
	}
	padding := `{"x":"` + strings.Repeat("y", size)
	f("valid", neighbours("1 A-000005 t.predictions"), func(r *kgo.Record) []byte {
		return append([]byte(padding+`",`), r.Value[1:]...)
	})
	f("broken", neighbours("1 A-000005 t.applications.dlq"), func(*kgo.Record) []byte { return []byte(padding) })
}

// What a producer took back was never applied for: it is not answered, though it is
// in the log, and what stands behind it is.
func TestWhatAProducerAbortedIsNotAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	producer, err := kgo.NewClient(append(w.config.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("producer"))...)
	require.NoError(t, err)
	t.Cleanup(producer.Close)
	emit := func(first, last int, end kgo.TransactionEndTry) {
		require.NoError(t, producer.BeginTransaction())
		require.NoError(t, producer.ProduceSync(t.Context(), w.applications(first, last)...).FirstErr())
		require.NoError(t, producer.EndTransaction(t.Context(), end))
	}
	emit(0, 40, kgo.TryAbort)
	emit(40, 80, kgo.TryCommit)
	s, stop := w.start("one", kafka.From{})
	w.read(40)
	emit(80, 120, kgo.TryAbort) // while it reads
	emit(120, 160, kgo.TryCommit)
	answers := w.read(80)
	require.NoError(t, stop())

	answered := map[string]int{}
	for _, r := range answers {
		answered[string(r.Key)]++
	}
	expected := map[string]int{}
	for _, r := range append(w.applications(40, 80), w.applications(120, 160)...) {
		expected[string(r.Key)] = 1
	}
	require.Equal(t, expected, answered)
	require.InDelta(t, 80, testutil.ToFloat64(s.metrics.records), 0)
}

// What a member asks of the brokers: that it is given up after 10 s of silence, and
// that a transaction of its is aborted before, so that a member that hangs cannot
// commit after its partitions have moved.
func TestATransactionEndsBeforeTheMembersSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var session, rebalance, transaction atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.JoinGroup), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		join := request.(*kmsg.JoinGroupRequest)
		session.Store(int64(join.SessionTimeoutMillis))
		rebalance.Store(int64(join.RebalanceTimeoutMillis))
		return nil, nil, false
	})
	w.broker.Cluster().ControlKey(int16(kmsg.InitProducerID), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if init := request.(*kmsg.InitProducerIDRequest); init.TransactionalID != nil {
			transaction.Store(int64(init.TransactionTimeoutMillis))
		}
		return nil, nil, false
	})
	s, stop := w.start("one", kafka.From{})
	becomesReady(t, s)
	w.apply(0, 4)
	w.exact(4)
	require.NoError(t, stop())
	require.EqualValues(t, 10_000, session.Load())
	require.EqualValues(t, 10_000, rebalance.Load())
	require.EqualValues(t, 8_000, transaction.Load())
	require.Less(t, transaction.Load(), session.Load())
}

func TestMissingTopicsAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topics.DLQ = "t.nowhere"
	err := w.scorer("i").Run(t.Context())
	require.ErrorContains(t, err, "t.nowhere")
	require.ErrorContains(t, err, "topics apply")
}

// A topic that was there at the start and is deleted is named too.
func TestDeletedTopicsAreNamed(t *testing.T) {
	for name, topic := range map[string]func(schemas.Topics) string{
		"read":    func(t schemas.Topics) string { return t.Applications },
		"written": func(t schemas.Topics) string { return t.Predictions },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.apply(0, 40)
			s := w.scorer("one")
			s.lagInterval = 10 * time.Millisecond
			failed := make(chan error, 1)
			go func() { failed <- s.Run(t.Context()) }()
			w.exact(40)
			_, err := kadm.NewClient(w.client).DeleteTopic(t.Context(), topic(w.topics))
			require.NoError(t, err)
			if topic(w.topics) == w.topics.Predictions {
				w.apply(40, 80)
			}
			err = <-failed
			require.ErrorContains(t, err, topic(w.topics))
			require.ErrorContains(t, err, "topics apply")
			require.ErrorContains(t, s.Ready(), topic(w.topics))
		})
	}
}

// One that owns no partition reads nothing that could tell it: it would wait, ready,
// for the topic to come back.
func TestADeletedTopicIsNamedByAReplicaWithoutPartitions(t *testing.T) {
	for _, protocol := range []string{member.ProtocolClassic, member.ProtocolConsumer} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.scorer("one", func(c *Config) { c.Protocol, c.Sessions = protocol, partitions })
			stop := run(first)
			becomesReady(t, first)
			w.apply(0, 40)
			w.exact(40)
			spare := w.scorer("two", func(c *Config) { c.Protocol, c.Sessions = protocol, 1 })
			spare.lagInterval = 10 * time.Millisecond
			failed := make(chan error, 1)
			go func() { failed <- spare.Run(t.Context()) }()
			becomesReady(t, spare)
			_, err := kadm.NewClient(w.client).DeleteTopic(t.Context(), w.topics.Applications)
			require.NoError(t, err)
			err = ends(t, failed)
			require.ErrorContains(t, err, w.topics.Applications)
			require.ErrorContains(t, err, "topics apply")
			require.ErrorContains(t, spare.Ready(), w.topics.Applications)
			_ = stop() // it ends by itself, for the same reason
		})
	}
}

func TestBothGroupProtocols(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"consumer": func(c *Config) { c.Protocol = member.ProtocolConsumer },
		"static":   func(c *Config) { c.Static = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.apply(0, 400)
			stopOne := run(w.scorer("one", change))
			w.exact(400)
			stopTwo := run(w.scorer("two", change))
			w.apply(400, 800)
			w.exact(800)
			require.NoError(t, stopTwo())
			require.NoError(t, stopOne())
			groups, err := kmsg.NewPtrListGroupsRequest().RequestWith(t.Context(), w.client)
			require.NoError(t, err)
			require.Len(t, groups.Groups, 1)
			expected := member.ProtocolConsumer
			if name == "static" {
				expected = member.ProtocolClassic
			}
			require.Equal(t, expected, strings.ToLower(groups.Groups[0].GroupType))
		})
	}
}

func TestStaticMembershipTakesTheClassicProtocol(t *testing.T) {
	_, err := New(Config{Group: member.Names{Group: "g"}, Instance: "i", Sessions: 1, Protocol: member.ProtocolConsumer, Static: true})
	require.ErrorContains(t, err, "classic")
	_, err = New(Config{Group: member.Names{Group: "g"}, Instance: "i", Sessions: 1, Protocol: "x"})
	require.ErrorContains(t, err, `"x"`)
}

// A member that cannot score must not sit on partitions.
func TestNoModelNoMember(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	var live atomic.Pointer[model.LiveSet]
	s := w.scorer("one", func(c *Config) { c.Live = live.Load })
	stop := run(s)
	require.Eventually(t, func() bool {
		err := s.Ready()
		return err != nil && strings.Contains(err.Error(), "no model serves")
	}, time.Minute, time.Millisecond)
	group, err := kadm.NewClient(w.client).DescribeGroups(t.Context(), "g")
	require.NoError(t, err)
	require.Empty(t, group["g"].Members)
	live.Store(w.live)
	w.exact(40)
	becomesReady(t, s)
	require.NoError(t, stop())
}

func TestKafkaMayComeLater(t *testing.T) {
	at, port, err := loopback.Free(1)
	require.NoError(t, err)
	var live atomic.Pointer[model.LiveSet]
	early := &world{t: t, topics: schemas.NewTopics("t"), config: kafka.Config{Brokers: []string{at}, Prefix: "t"}}
	s := early.scorer("one", func(c *Config) { c.Live = live.Load })
	stop := run(s)
	require.Eventually(t, func() bool {
		err := s.Ready()
		return err != nil && strings.Contains(err.Error(), "no Kafka broker answers at --brokers "+at)
	}, time.Minute, time.Millisecond)
	// The broker's topics are there as soon as it is.
	w := newWorldOn(t, kfake.Ports(port), kfake.SeedTopics(partitions, early.topics.Applications, early.topics.Predictions, early.topics.DLQ))
	live.Store(w.live)
	w.apply(0, 40)
	w.exact(40)
	becomesReady(t, s)
	require.NoError(t, stop())
}

// Leaving hands the partitions over at once, not after the session's timeout.
func TestStoppingLeavesTheGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, stop := w.start("one", kafka.From{})
	becomesReady(t, s)
	require.NoError(t, stop())
	group, err := kadm.NewClient(w.client).DescribeGroups(t.Context(), "g")
	require.NoError(t, err)
	require.Empty(t, group["g"].Members)
}

// Also in the middle of a rebalance that waits for a member that is gone.
func TestStoppingDoesNotWaitForARebalance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log capture.Output
	s := w.scorer("one", func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	stop := run(s)
	becomesReady(t, s)
	joining := make(chan struct{}, 10)
	answer := make(chan struct{})
	w.broker.Cluster().ControlKey(int16(kmsg.Heartbeat), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		return local.Refusal(request, kerr.RebalanceInProgress.Code), nil, true
	})
	w.broker.Cluster().ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		joining <- struct{}{}
		w.broker.Cluster().SleepControl(func() { <-answer })
		return nil, nil, false
	})
	<-joining
	require.NoError(t, stop(), "while no join is answered")
	close(answer)
	require.Contains(t, log.String(), "could not leave the group", "the wait was cut short")
}

func TestOneBatchUsesItsMemoryAgain(t *testing.T) {
	w := newWorld(t)
	var fetches kgo.Fetches
	records := []*kgo.Record{}
	for i := range 100 {
		a := schemas.Application{ApplicationID: fmt.Sprintf("A-%06d", i), AppliedAt: schemas.Timestamp(1e15)}
		for k, rule := range schemas.FeatureRules {
			a.Features[k] = max(rule.Min, 0)
		}
		records = append(records, &kgo.Record{Topic: "t.applications", Partition: 1, Offset: int64(i), Value: schemas.AppendApplication(nil, &a)})
	}
	fetches = append(fetches, kgo.Fetch{Topics: []kgo.FetchTopic{{Topic: "t.applications", Partitions: []kgo.FetchPartition{{Partition: 1, Records: records}}}}})
	b := newBatch(nil, scorer.New(), w.topics)
	for _, n := range []int{100, 100} {
		require.NoError(t, b.decode(t.Context(), fetches, nil, time.Now))
		require.NoError(t, b.decide(w.live, time.Unix(1, 0)))
		require.Len(t, b.sources, n)
	}
	require.Equal(t, 100, b.decisions()[schemas.Approve]+b.decisions()[schemas.Refer]+b.decisions()[schemas.Decline])
	require.Less(t, testing.AllocsPerRun(10, func() {
		_ = b.decode(t.Context(), fetches, nil, time.Now)
		_ = b.decide(w.live, time.Unix(1, 0))
	}), 20.0, "allocations of a batch, not of its records")
}

func TestAScrapeAlwaysFindsTheModel(t *testing.T) {
	w := newWorld(t)
	m := newMetrics(prometheus.NewRegistry())
	m.serving(w.live)
	other := *w.live
	champion := *w.live.Champion
	champion.Version = "other"
	other.Champion, other.Revision = &champion, 7
	m.serving(&other)
	require.Equal(t, 1, testutil.CollectAndCount(m.model))
	require.InDelta(t, 1, testutil.ToFloat64(m.model.WithLabelValues("other")), 0)
	require.InDelta(t, 7, testutil.ToFloat64(m.revision), 0)
}

// The gauges are of the partitions owned, and of those only.
func TestLagIsOfOwnedPartitions(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 400)
	s := w.scorer("one", func(c *Config) { c.Sessions = 1 })
	s.lagInterval = 5 * time.Millisecond
	stop := run(s)
	owned := func(n int) func() bool { return func() bool { return testutil.CollectAndCount(s.metrics.lag) == n } }
	require.Eventually(t, owned(partitions), time.Minute, time.Millisecond)
	require.Eventually(t, func() bool {
		return testutil.ToFloat64(s.metrics.lag.WithLabelValues("3")) == 0 && testutil.ToFloat64(s.metrics.records) == 400
	}, time.Minute, time.Millisecond)
	two := w.scorer("two", func(c *Config) { c.Sessions = 1 })
	stopTwo := run(two)
	require.Eventually(t, owned(partitions/2), time.Minute, time.Millisecond)
	require.NoError(t, stopTwo())
	require.Eventually(t, owned(partitions), time.Minute, time.Millisecond)
	require.NoError(t, stop())
}
