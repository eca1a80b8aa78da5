package producer

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/loopback"
	"github.com/creditstream/creditstream/schemas"
)

// world is an embedded broker with the topics that a producer knows.
type world struct {
	t      *testing.T
	broker *local.Kafka
	config kafka.Config
	topics schemas.Topics
	client *kgo.Client
}

func newWorld(t *testing.T) *world {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, broker: broker, topics: schemas.NewTopics("t"), config: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"}}
	w.client, err = kgo.NewClient(w.config.Options()...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Catalogue("t") {
		if slices.Contains([]string{w.topics.Applications, w.topics.Predictions, w.topics.Outcomes}, topic.Name) {
			specs = append(specs, kafka.TopicSpec{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Configs: topic.Configs})
		}
	}
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), specs)
	require.NoError(t, err)
	return w
}

// producer makes one that emits to this world.
func (w *world) producer(c Config) *Producer {
	c.Kafka, c.Topics = w.config, w.topics
	p, err := New(c)
	require.NoError(w.t, err)
	return p
}

// start runs it; stop ends it as SIGTERM would and returns its error.
func (w *world) start(p *Producer) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

// records are all records of a topic in the order they came in; there must be n.
func (w *world) records(topic string, n int) []*kgo.Record {
	w.t.Helper()
	adm := kadm.NewClient(w.client)
	ends, err := adm.ListEndOffsets(w.t.Context(), topic)
	require.NoError(w.t, err)
	total := int64(0)
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	require.Equal(w.t, int64(n), total, "records in %s", topic)
	reader, err := kgo.NewClient(append(w.config.Options(), kgo.ConsumeTopics(topic))...)
	require.NoError(w.t, err)
	defer reader.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		fetches := reader.PollFetches(ctx)
		require.NoError(w.t, fetches.Err())
		out = append(out, fetches.Records()...)
	}
	return out
}

// applications decodes what is valid, by id, and returns the rest by key.
func (w *world) applications(records []*kgo.Record) (valid map[string]schemas.Features, malformed map[string]string) {
	w.t.Helper()
	valid, malformed = map[string]schemas.Features{}, map[string]string{}
	for _, r := range records {
		var a schemas.Application
		if err := schemas.DecodeApplication(r.Value, &a); err != nil {
			_, twice := malformed[string(r.Key)]
			require.False(w.t, twice, "%s was emitted twice", r.Key)
			malformed[string(r.Key)] = err.Error()
			continue
		}
		require.Equal(w.t, a.ApplicationID, string(r.Key))
		_, twice := valid[a.ApplicationID]
		require.False(w.t, twice, "%s was emitted twice", a.ApplicationID)
		valid[a.ApplicationID] = a.Features
	}
	return valid, malformed
}

// drawn are the applications that a seed gives.
func drawn(t *testing.T, seed, first, last uint64) map[string]schemas.Features {
	g := newGenerator(shipped(t), seed, DefaultIDPrefix)
	out := map[string]schemas.Features{}
	for n := first; n < last; n++ {
		var f schemas.Features
		g.draw(n, weather{}, &f)
		out[string(g.appendID(nil, n))] = f
	}
	return out
}

func TestAFileIsEmittedRowByRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reg := prometheus.NewRegistry()
	p := w.producer(Config{File: writeFile(t, uciFile(3_000)), Registerer: reg})
	require.EqualError(t, p.Ready(), "starting")
	require.NoError(t, p.Run(t.Context()))
	require.EqualError(t, p.Ready(), "stopped")
	require.Equal(t, "producer", p.Name())

	valid, malformed := w.applications(w.records(w.topics.Applications, 3_000))
	require.Empty(t, malformed)
	for i := 1; i <= 3_000; i++ {
		f, ok := valid[fmt.Sprintf("A-%d", i)]
		require.True(t, ok, i)
		require.Equal(t, int32(10_000+i), f[limitBal])
	}
	s := p.Summary()
	require.Equal(t, int64(3_000), s.Produced)
	require.Equal(t, uint64(3_000), s.Next)
	require.Zero(t, s.Unacknowledged)
	require.Nil(t, s.Seed)
	require.Positive(t, s.Seconds)
	n, err := testutil.GatherAndCount(reg, "creditstream_producer_applications_total", "creditstream_producer_malformed_total", "creditstream_producer_outcomes_total")
	require.NoError(t, err)
	require.Equal(t, 1+int(NumKinds)+1, n)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP creditstream_producer_applications_total Applications the broker has acknowledged.
		# TYPE creditstream_producer_applications_total counter
		creditstream_producer_applications_total 3000
	`), "creditstream_producer_applications_total"))
}

func TestAWrongRowStopsTheRunAndWhatCameBeforeIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.producer(Config{File: writeFile(t, strings.Replace(uciFile(700), "10600,2", "10600,3", 1))})
	err := p.Run(t.Context())
	require.ErrorContains(t, err, `line 601, column SEX: "3": must be 1 … 2`)
	w.records(w.topics.Applications, 599)
	require.Equal(t, uint64(599), p.Summary().Next)
}

// Every Kafka client must find an application's records in one partition, so
// keys are hashed as the Java client does; the hashes are those of its own tests.
func TestKeysGoToThePartitionTheJavaClientChooses(t *testing.T) {
	t.Parallel()
	hashes := map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	}
	w := newWorld(t)
	text := "application_id," + strings.Join(contractNames(), ",") + "\n"
	for id := range hashes {
		text += id + "," + values(1) + "\n"
	}
	require.NoError(t, w.producer(Config{File: writeFile(t, text)}).Run(t.Context()))
	partitions := map[int32]bool{}
	for _, r := range w.records(w.topics.Applications, len(hashes)) {
		require.Equal(t, (hashes[string(r.Key)]&0x7fffffff)%12, r.Partition, "%s", r.Key)
		partitions[r.Partition] = true
	}
	require.Greater(t, len(partitions), 1)
}

func TestRecordsAreIdempotentAndAcknowledgedByAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var safe, unsafe atomic.Int32
	w.broker.Cluster().ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		produce := request.(*kmsg.ProduceRequest)
		for _, topic := range produce.Topics {
			for _, partition := range topic.Partitions {
				var b kmsg.RecordBatch
				err := b.ReadFrom(partition.Records)
				if err == nil && produce.Acks == -1 && b.ProducerID >= 0 && b.ProducerEpoch >= 0 && b.FirstSequence >= 0 {
					safe.Add(1)
				} else {
					unsafe.Add(1)
				}
			}
		}
		return nil, nil, false
	})
	require.NoError(t, w.producer(Config{Count: 500, OutcomesAfter: 1, OutcomesFor: OutcomesForAll}).Run(t.Context()))
	w.records(w.topics.Applications, 500)
	w.records(w.topics.Outcomes, 500)
	require.Positive(t, safe.Load())
	require.Zero(t, unsafe.Load())
}

// refuse answers every write with an error.
func (w *world) refuse(code *kerr.Error) {
	w.broker.Cluster().ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
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
}

func TestAFailedWriteStopsTheRunAndNamesTheTopic(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.MessageTooLarge, kerr.InvalidRecord} {
		w := newWorld(t)
		w.refuse(code)
		p := w.producer(Config{Rate: 5_000}) // without end
		err := p.Run(t.Context())
		require.ErrorIs(t, err, code)
		require.ErrorContains(t, err, "writing to t.applications: ")
		require.Zero(t, p.Summary().Produced)
		require.Positive(t, p.Summary().Unacknowledged)
	}
}

func TestAFailedOutcomeStopsTheRunAndWhatWasMadeIsHandedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := kadm.NewClient(w.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("10")}}, w.topics.Outcomes)
	require.NoError(t, err)
	p := w.producer(Config{Rate: 5_000, OutcomesAfter: time.Millisecond, OutcomesFor: OutcomesForAll})
	err = p.Run(t.Context())
	require.ErrorIs(t, err, kerr.MessageTooLarge)
	require.ErrorContains(t, err, "writing to t.outcomes: ")
	c := p.Counters()
	require.Zero(t, c.Outcomes)
	require.Equal(t, c.Generated, c.Produced)
	w.records(w.topics.Applications, int(c.Produced))
}

func TestMissingTopicsAreNamedWithTheCommandThatMakesThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topics = schemas.NewTopics("other")
	f := func(c Config, want ...string) {
		t.Helper()
		err := w.producer(c).Run(t.Context())
		var missing *kafka.MissingTopicsError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, want, missing.Topics)
		require.ErrorContains(t, err, "creditstream topics apply")
	}
	f(Config{}, "other.applications")
	f(Config{OutcomesAfter: time.Second, OutcomesFor: OutcomesForAll}, "other.applications", "other.outcomes")
	f(Config{OutcomesAfter: time.Second}, "other.applications", "other.outcomes", "other.predictions")
}

func TestBrokersThatAreAwayAreNamed(t *testing.T) {
	t.Parallel()
	addr, _, err := loopback.Free(1)
	require.NoError(t, err)
	p, err := New(Config{Kafka: kafka.Config{Brokers: []string{addr}}, Topics: schemas.NewTopics("t")})
	require.NoError(t, err)
	require.ErrorContains(t, p.Run(t.Context()), "brokers "+addr+": ")

	// Told to stop before they answered is not a failure.
	p, err = New(Config{Kafka: kafka.Config{Brokers: []string{addr}}, Topics: schemas.NewTopics("t")})
	require.NoError(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, p.Run(ended))

	p, err = New(Config{Kafka: kafka.Config{Brokers: []string{"host:port"}}, Topics: schemas.NewTopics("t")})
	require.NoError(t, err)
	require.ErrorContains(t, p.Run(t.Context()), "brokers host:port: ")
}

func TestAStopLosesNothingAndTheNextRunGoesOnThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := uint64(0)
	for range 3 {
		p := w.producer(Config{Seed: 77, Start: next, Rate: 20_000})
		stop := w.start(p)
		require.Eventually(t, func() bool { return p.Counters().Produced > 500 }, time.Minute, time.Millisecond)
		require.NoError(t, stop())
		c := p.Counters()
		require.Equal(t, c.Generated, c.Produced)
		require.Greater(t, c.Next, next)
		next = c.Next
	}
	valid, _ := w.applications(w.records(w.topics.Applications, int(next)))
	require.Equal(t, drawn(t, 77, 0, next), valid)
}

func TestMalformedRecordsAreMixedInOnTop(t *testing.T) {
	t.Parallel()
	run := func() (map[string]schemas.Features, map[string]string) {
		w := newWorld(t)
		p := w.producer(Config{Count: 3_000, Seed: 5, Malformed: 0.05})
		require.NoError(t, p.Run(t.Context()))
		s := p.Summary()
		require.Equal(t, int64(3_000), s.Produced)
		require.Equal(t, map[string]int64{"not-json": 25, "missing-field": 25, "out-of-range": 25, "wrong-type": 25, "duplicate-key": 25, "too-large": 25}, s.Malformed)
		require.Equal(t, int64(150), s.MalformedTotal)
		return w.applications(w.records(w.topics.Applications, 3_150))
	}
	valid, malformed := run()
	require.Equal(t, drawn(t, 5, 0, 3_000), valid)
	require.Len(t, malformed, 150)
	again, malformedAgain := run()
	require.Equal(t, valid, again)
	// When it was applied has six, five or fewer decimals, so what is wrong with a
	// record that was cut is not always at the same byte.
	require.Equal(t, slices.Sorted(maps.Keys(malformed)), slices.Sorted(maps.Keys(malformedAgain)))
}

func TestABrokenFeedIsCountedAndReachesItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.producer(Config{Count: 4_000, Seed: 5, Scenario: BrokenFeed, ScenarioRamp: 500})
	require.NoError(t, p.Run(t.Context()))
	c := p.Counters()
	require.Positive(t, c.Broken)
	require.Equal(t, int64(4_000), c.Produced+c.Broken)
	total := int(c.Produced + c.MalformedTotal())
	valid, malformed := w.applications(w.records(w.topics.Applications, total))
	require.Len(t, valid, int(c.Produced))
	require.Len(t, malformed, int(c.MalformedTotal()))
	nulls := 0
	for _, f := range valid {
		if f[payStatus] == schemas.Missing {
			nulls++
		}
	}
	require.Equal(t, 500, nulls, "the first fault, as long as it lasts")
}

func TestAScenarioSetByOthersIsInForceFromTheNextApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.producer(Config{Count: 600, Seed: 3, Rate: 0.0001, ScenarioRamp: 1})
	stop := w.start(p)
	require.Eventually(t, func() bool { return p.Counters().Produced == 1 }, time.Minute, time.Millisecond, "the next one is due in hours")
	require.NoError(t, p.Ready())
	require.ErrorContains(t, p.SetScenario("flood"), `scenario "flood": must be one of steady, recession, new-segment, broken-feed`)
	require.NoError(t, p.SetScenario(Recession))
	require.Equal(t, Recession, p.Scenario())
	require.ErrorContains(t, p.SetRate(-1), "rate -1")
	p.Pause(true)
	require.NoError(t, p.SetRate(0))
	rate, paused := p.Rate()
	require.Zero(t, rate)
	require.True(t, paused)
	require.Equal(t, int64(1), p.Counters().Generated)
	p.Pause(false)
	require.Eventually(t, func() bool { return p.Counters().Ended }, time.Minute, time.Millisecond)
	require.NoError(t, stop())

	valid, _ := w.applications(w.records(w.topics.Applications, 600))
	g := newGenerator(shipped(t), 3, DefaultIDPrefix)
	hard := script{name: Recession, ramp: 1}
	for n := range uint64(600) {
		var f schemas.Features
		state := weather{}
		if n > 0 {
			state = hard.at(n)
		}
		g.draw(n, state, &f)
		require.Equal(t, f, valid[string(g.appendID(nil, n))], "application %d", n)
	}
}

func TestAFileTakesNoScenarioThatChangesWhoApplies(t *testing.T) {
	t.Parallel()
	p, err := New(Config{File: writeFile(t, uciFile(2))})
	require.NoError(t, err)
	require.ErrorContains(t, p.SetScenario(Recession), "needs the synthetic population")
	require.NoError(t, p.SetScenario(BrokenFeed))
}

func TestOutcomesOfAllApplicationsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.producer(Config{File: writeFile(t, uciFile(400)), OutcomesAfter: 20 * time.Millisecond, OutcomesFor: OutcomesForAll})
	require.NoError(t, p.Run(t.Context()))
	require.Equal(t, int64(400), p.Summary().Outcomes)
	require.Zero(t, p.Summary().OutcomesUntold)
	w.requireOutcomes(func(int) bool { return true }, 400)
}

// requireOutcomes holds that the outcomes of the UCI-like file's rows that are
// told are those that should be, once each, as the file's label says.
func (w *world) requireOutcomes(should func(row int) bool, rows int) {
	w.t.Helper()
	want, got := map[string]uint8{}, map[string]uint8{}
	for i := 1; i <= rows; i++ {
		if should(i) {
			want[fmt.Sprintf("A-%d", i)] = uint8(i % 2)
		}
	}
	for _, r := range w.records(w.topics.Outcomes, len(want)) {
		var o schemas.Outcome
		require.NoError(w.t, schemas.DecodeOutcome(r.Value, &o))
		require.Equal(w.t, o.ApplicationID, string(r.Key))
		require.NotContains(w.t, got, o.ApplicationID, "told twice")
		got[o.ApplicationID] = o.Defaulted
	}
	require.Equal(w.t, want, got)
}

// decide answers every application the way a scorer would, until stopped. Before
// that, somebody asks the API about the same application, which approves.
func (w *world) decide(decision func(row int32) string) (stop func()) {
	cl, err := kgo.NewClient(append(w.config.Options(), kgo.ConsumeTopics(w.topics.Applications))...)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		defer cl.Close()
		for ctx.Err() == nil {
			cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				var a schemas.Application
				if schemas.DecodeApplication(r.Value, &a) != nil {
					return
				}
				p := schemas.Prediction{
					ApplicationID: a.ApplicationID, AppliedAt: a.AppliedAt, DecidedAt: a.AppliedAt, Channel: schemas.ChannelAPI,
					DefaultProbability: 0.25, Decision: schemas.Approve, ModelVersion: "v", Engine: "native",
					Route: schemas.RouteChampion, PolicyVersion: "00000000", Features: a.Features,
				}
				cl.Produce(ctx, &kgo.Record{Topic: w.topics.Predictions, Key: r.Key, Value: schemas.AppendPrediction(nil, &p)}, nil)
				p.Channel, p.Decision = schemas.ChannelStream, decision(a.Features[limitBal]-10_000)
				key := r.Key
				if a.Features[limitBal] == 10_009 {
					key = []byte("another's")
				}
				cl.Produce(ctx, &kgo.Record{Topic: w.topics.Predictions, Key: key, Value: schemas.AppendPrediction(nil, &p)}, nil)
			})
		}
	})
	return func() { cancel(); done.Wait() }
}

func TestOutcomesOfApprovedApplicationsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// What was decided before, and what is no prediction, decides nothing.
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Predictions, Value: []byte("{}")}).FirstErr())
	verdicts := []string{schemas.Approve, schemas.Decline, schemas.Refer}
	defer w.decide(func(row int32) string { return verdicts[row%3] })()
	p := w.producer(Config{File: writeFile(t, uciFile(900)), OutcomesAfter: 10 * time.Millisecond})
	require.NoError(t, p.Run(t.Context()), "ends when every application is decided")
	require.Equal(t, int64(300), p.Summary().Outcomes)
	require.Zero(t, p.Summary().OutcomesUntold)
	w.requireOutcomes(func(row int) bool { return row%3 == 0 }, 900)
	require.Equal(t, int64(1), p.Summary().KeyDiffers, "joined by the id in it")
	require.Contains(t, p.Summary().String(), "1 prediction_key_differs")
}

func TestAStopDoesNotWaitForOutcomes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.producer(Config{Count: 50, OutcomesAfter: 24 * time.Hour, OutcomesFor: OutcomesForAll})
	stop := w.start(p)
	require.Eventually(t, func() bool { return p.Counters().Produced == 50 && p.Counters().Pending == 50 }, time.Minute, time.Millisecond)
	require.NoError(t, p.Ready(), "outcomes are still to be told")
	require.NoError(t, stop())
	require.Equal(t, int64(50), p.Summary().OutcomesUntold)
	w.records(w.topics.Outcomes, 0)
}

func TestOutcomesBeyondTheBoundAreCountedAsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.producer(Config{Count: 500, OutcomesAfter: 300 * time.Millisecond, OutcomesFor: OutcomesForAll, MaxPending: 20})
	require.NoError(t, p.Run(t.Context()))
	s := p.Summary()
	require.Equal(t, int64(500), s.Outcomes+s.OutcomesUntold)
	require.GreaterOrEqual(t, s.Outcomes, int64(20))
	require.Positive(t, s.OutcomesUntold)
	w.records(w.topics.Outcomes, int(s.Outcomes))
}

func TestBrokersThatStopAnsweringMakeItUnready(t *testing.T) {
	t.Parallel()
	p, err := New(Config{Kafka: kafka.Config{Brokers: []string{"kafka:9092"}}})
	require.NoError(t, err)
	p.setReady(nil)
	require.NoError(t, p.Ready())
	p.flow.sent(time.Now().Add(-time.Hour))
	require.EqualError(t, p.Ready(), "brokers kafka:9092 have acknowledged nothing for 1h0m0s")
}

func TestWrongSettingsAreNamedWithTheirValue(t *testing.T) {
	t.Parallel()
	f := func(want string, c Config) {
		t.Helper()
		_, err := New(c)
		require.ErrorContains(t, err, want)
	}
	file := writeFile(t, uciFile(1))
	f("loop needs a file", Config{Loop: true})
	f("rate -1: must be", Config{Rate: -1})
	f("malformed 1.5: must be a share 0 … 1", Config{Malformed: 1.5})
	f("outcomes after -1s: must not be negative", Config{OutcomesAfter: -time.Second})
	f(`outcomes for "some": must be approved or all`, Config{OutcomesFor: "some"})
	f("max pending -1: must be positive", Config{MaxPending: -1})
	f(`id prefix "a\nb": must be at most 64 bytes of UTF-8`, Config{IDPrefix: "a\nb"})
	f(`id prefix "\xff": must be`, Config{IDPrefix: "\xff"})
	f("id prefix", Config{IDPrefix: strings.Repeat("x", 65)})
	f(`scenario "flood": must be one of`, Config{Scenario: "flood"})
	f("scenario new-segment changes who applies", Config{File: file, Scenario: NewSegment})
	f("no such file", Config{File: file + ".gone"})
	f("holds no outcomes", Config{File: writeFile(t, strings.Join(contractNames(), ",")+"\n"+values(1)), OutcomesAfter: time.Second})
}

func TestUndecidedOutcomesAreReported(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	e := &emission{Producer: &Producer{config: Config{Log: slog.New(slog.NewTextHandler(&logged, nil)), Topics: schemas.NewTopics("t")}}}
	e.reportUndecided(0)
	require.Empty(t, logged.String())
	e.reportUndecided(12)
	require.Contains(t, logged.String(), "no decision came")
	require.Contains(t, logged.String(), "outcomes=12")
	require.Contains(t, logged.String(), "topic=t.predictions")
}
