package reports

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/schemas"
)

// world is an embedded broker and what a process has.
type world struct {
	t      *testing.T
	broker *local.Kafka
	config kafka.Config
	topics schemas.Topics
	log    *capture.Output
	client *kgo.Client
}

func newWorld(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn is one whose broker keeps its logs in a folder; empty: in memory.
func newWorldIn(t *testing.T, dir string) *world {
	broker, err := local.StartKafka(dir)
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{
		t: t, broker: broker, topics: schemas.NewTopics("t"), log: &capture.Output{},
		config: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"},
	}
	w.client, err = kgo.NewClient(w.config.Options()...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	return w
}

func (w *world) createTopic() {
	for _, topic := range schemas.Catalogue("t") {
		if topic.Name == w.topics.Replicas {
			_, err := kafka.CreateTopics(w.t.Context(), kadm.NewClient(w.client), []kafka.TopicSpec{{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Configs: topic.Configs}})
			require.NoError(w.t, err)
		}
	}
}

// running is a reporter at work.
type running struct {
	reporter *Reporter
	reg      *prometheus.Registry
	end      func(failure error)
}

// report runs a reporter.
func (w *world) report(started time.Time, components ...Component) *running {
	reg := prometheus.NewRegistry()
	r, err := NewReporter(Config{
		Kafka: w.config, Topics: w.topics, Host: "node-7", Version: "v1", Started: started,
		Gatherer: reg, Registerer: reg, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}, components...)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var ran sync.WaitGroup
	ran.Go(func() { r.Run(ctx) })
	end := sync.OnceFunc(func() { cancel(); ran.Wait() })
	w.t.Cleanup(end)
	return &running{r, reg, func(failure error) { end(); r.Stop(failure) }}
}

// read is what a reader finds now.
func (w *world) read() []replica.Summary {
	l, err := OpenLog(w.t.Context(), w.config, w.topics)
	require.NoError(w.t, err)
	defer l.Close()
	require.NoError(w.t, l.ReadToEnd(w.t.Context()))
	require.NoError(w.t, l.Problem)
	return l.Board.Summarise(time.Now())
}

func (w *world) eventually(condition func() bool, message string) {
	w.t.Helper()
	require.Eventually(w.t, condition, time.Minute, 10*time.Millisecond, message)
}

func fine() error { return nil }

func TestAReplicaSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	latency := replica.NewLatencies()
	var mu sync.Mutex
	var missing error
	set := func(err error) { mu.Lock(); defer mu.Unlock(); missing = err }
	ready := func() error { mu.Lock(); defer mu.Unlock(); return missing }
	measures := Measures{Records: "done_total", Decisions: "decisions_total", DeadLetters: "letters_total", Errors: "errors_total", Lag: "lag"}
	set(errors.New("models: no route yet\nscorer: starting"))
	r := w.report(time.Now(), Component{
		Name: "score", Instance: "one", Ready: ready, Pending: func() error { return errors.New("a bundle") }, Latency: latency, Measures: measures,
		Models: func() *schemas.ReplicaModels {
			return &schemas.ReplicaModels{Champion: "v1", RouteRevision: 3, NewestRevision: 4}
		},
	}, Component{Name: "view", Instance: "one", Ready: fine})
	w.eventually(func() bool { return len(w.read()) == 2 }, "both are there")
	s := w.read()[0]
	require.False(t, s.Ready)
	require.Equal(t, "models: no route yet; scorer: starting", s.Reason)
	require.Empty(t, s.Pending, "what it cannot do comes first")
	require.Equal(t, "node-7 v1", s.Host+" "+s.Version)
	require.Nil(t, s.P50)
	require.Nil(t, w.read()[1].Models)

	done := prometheus.NewCounter(prometheus.CounterOpts{Name: "done_total"})
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "decisions_total"}, []string{"decision"})
	letters := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "letters_total"}, []string{"class"})
	lag := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "lag"}, []string{"partition"})
	r.reg.MustRegister(done, decisions, letters, lag)
	done.Add(12)
	decisions.WithLabelValues("approve").Add(5)
	decisions.WithLabelValues("refer").Add(4)
	decisions.WithLabelValues("decline").Add(3)
	letters.WithLabelValues("decode").Add(1)
	letters.WithLabelValues("contract").Add(1)
	lag.WithLabelValues("10").Set(7)
	lag.WithLabelValues("2").Set(1)
	latency.Observe(5*time.Millisecond, 12)
	set(nil)
	w.eventually(func() bool { s = w.read()[0]; return s.Ready && s.Records == 12 && s.P50 != nil }, "it says what it has done")
	require.Equal(t, schemas.DecisionCounts{Approve: 5, Refer: 4, Decline: 3}, s.Decisions)
	require.Equal(t, int64(2), s.DeadLetters)
	require.Zero(t, s.Errors)
	require.Equal(t, int64(8), *s.Lag)
	require.Positive(t, s.PerSecond)
	require.InEpsilon(t, 5, *s.P50, 1.01*replica.LatencyAccuracy)
	require.Equal(t, "a bundle", s.Pending)
	require.Equal(t, int64(3), s.Models.RouteRevision)
	require.Positive(t, testutil.ToFloat64(r.reporter.sent))

	r.end(nil)
	require.Empty(t, w.read(), "a stop leaves nobody behind")
	require.Zero(t, testutil.ToFloat64(r.reporter.dropped))
	require.Empty(t, w.log.String())
}

func TestOneThatFailsLeavesItsLastWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	r := w.report(time.Now(), Component{Name: "score", Instance: "one", Ready: fine})
	w.eventually(func() bool { return len(w.read()) == 1 }, "it is there")
	r.end(errors.New("scorer: another process runs as instance \"one\""))
	s := w.read()[0]
	require.False(t, s.Ready)
	require.Equal(t, `scorer: another process runs as instance "one"`, s.Reason)
}

// The two of one name do not remove each other.
func TestAStopIsThatOfOneProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	began := time.Now()
	first := w.report(began, Component{Name: "api", Instance: "host", Ready: fine})
	second := w.report(began.Add(time.Microsecond), Component{Name: "api", Instance: "host", Ready: fine})
	w.eventually(func() bool { return len(w.read()) == 2 }, "both are there")
	first.end(nil)
	require.Len(t, w.read(), 1)
	second.end(nil)
	require.Empty(t, w.read())
}

func TestWithoutTheTopicReportsAreDroppedAndItSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.report(time.Now(), Component{Name: "score", Instance: "one", Ready: fine})
	w.eventually(func() bool { return testutil.ToFloat64(r.reporter.dropped) > 1 }, "dropped and counted")
	require.Equal(t, 1, strings.Count(w.log.String(), "being dropped"), w.log.String())
	_, err := OpenLog(t.Context(), w.config, w.topics)
	var missing *kafka.MissingTopicsError
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, "the cluster has no topic t.replicas; run: creditstream topics apply")
	w.createTopic()
	w.eventually(func() bool { return len(w.read()) == 1 }, "it goes on by itself")
	w.eventually(func() bool { return strings.Contains(w.log.String(), "sent again") }, "and says so")
	r.end(nil)
	require.Empty(t, w.read())
}

func TestKafkaAwayHoldsNothingUp(t *testing.T) {
	w := newWorld(t)
	w.createTopic()
	w.broker.Close()
	r := w.report(time.Now(), Component{Name: "score", Instance: "one", Ready: fine}, Component{Name: "view", Instance: "one", Ready: fine})
	w.eventually(func() bool { return testutil.ToFloat64(r.reporter.dropped) > 2 }, "dropped and counted")
	require.Zero(t, testutil.ToFloat64(r.reporter.sent))
	r.end(nil) // nobody hears the last words: they are not waited for
	require.Contains(t, w.log.String(), "being dropped")
}

func TestAFollowerKnowsThemAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := NewFollower(w.config, w.topics, slog.New(slog.NewTextHandler(w.log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	var ran sync.WaitGroup
	ran.Go(func() { _ = f.Run(ctx) })
	defer func() { cancel(); ran.Wait() }()
	require.NoError(t, f.Ready())
	w.eventually(func() bool { return strings.Contains(w.log.String(), "topics apply") }, "it says what is missing")
	_, err := f.Replicas()
	require.ErrorContains(t, err, "topics apply")
	require.ErrorContains(t, f.Pending(), "topics apply")
	w.createTopic()
	w.eventually(func() bool { return f.Pending() == nil }, "it goes on by itself")
	all, err := f.Replicas()
	require.NoError(t, err)
	require.Empty(t, all)
	r := w.report(time.Now(), Component{Name: "score", Instance: "one", Ready: fine})
	w.eventually(func() bool { all, err = f.Replicas(); return err == nil && len(all) == 1 }, "it came")
	require.True(t, all[0].Live && all[0].Ready)
	r.end(nil)
	w.eventually(func() bool { all, err = f.Replicas(); return err == nil && len(all) == 0 }, "it went")
}

// report is a report of a scorer that was started a minute before.
func report(instance string, at time.Time) replica.Record {
	r := schemas.Replica{Component: "score", Instance: instance, Started: schemas.At(at.Add(-time.Minute)), At: schemas.At(at), Ready: true}
	return replica.Record{Key: schemas.ReplicaKey(r.Component, instance), Value: schemas.AppendReplica(nil, &r), Seen: at}
}

// What is no replica's record is counted and told, and nothing else is lost by it.
func TestWhatSaysNothingIsIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	good := report("one", time.Now())
	for _, r := range []*kgo.Record{{Key: []byte("x"), Value: []byte("y")}, {Key: []byte(good.Key), Value: good.Value}, {Key: nil, Value: nil}} {
		r.Topic = w.topics.Replicas
		require.NoError(t, w.client.ProduceSync(t.Context(), r).FirstErr())
	}
	l, err := OpenLog(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.ReadToEnd(t.Context()))
	require.Equal(t, 1, l.Ignored)
	require.ErrorContains(t, l.Problem, `t.replicas/0 offset 0: replica "x": byte 0: expected one JSON object`)
	require.Len(t, l.Board.States(time.Now()), 1)
}

// A topic whose last records compaction has removed is read to its end all the same.
func TestAnEndThatIsGoneIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	r := report("one", time.Now())
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Replicas, Key: []byte(r.Key), Value: r.Value}).FirstErr())
	l, err := OpenLog(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	defer l.Close()
	l.left[0] += 5
	require.NoError(t, l.ReadToEnd(t.Context()))
	require.Len(t, l.Board.States(time.Now()), 1)
}

// Over a quota nothing comes for a while that is there: the topic is not read by then.
func TestLog_IsReadToItsEndUnderAQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	r := report("one", time.Now())
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Replicas, Key: []byte(r.Key), Value: r.Value}).FirstErr())
	var fetches atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if fetches.Add(1) > 3 {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.FetchResponse)
		response.ThrottleMillis = int32((quiet * 4 / 5).Milliseconds())
		return response, nil, true
	})
	l, err := OpenLog(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	defer l.Close()
	w.eventually(func() bool { return new(kafka.Silence).Throttled(l.client) }, "it is throttled before it waits")
	require.NoError(t, l.ReadToEnd(t.Context()))
	require.Len(t, l.Board.Summarise(time.Now()), 1)
}
