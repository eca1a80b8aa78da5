package evaluate

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
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
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

// world is an embedded broker with the topics.
type world struct {
	t      *testing.T
	broker *local.Kafka
	config kafka.Config
	topics schemas.Topics
	client *kgo.Client // writes panes in transactions, as the aggregator does
}

func newWorld(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn is one whose broker keeps its logs in a folder; empty: in memory.
func newWorldIn(t *testing.T, dir string) *world {
	broker, err := local.StartKafka(dir, kfake.SleepOutOfOrder())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, broker: broker, topics: schemas.NewTopics("t"), config: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"}}
	w.client, err = kgo.NewClient(append(w.config.Options(), kgo.TransactionalID("aggregator"))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Catalogue("t") {
		specs = append(specs, kafka.TopicSpec{Name: topic.Name, Partitions: min(2, topic.Partitions), Replication: 1, Configs: topic.Configs})
	}
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), specs)
	require.NoError(t, err)
	return w
}

// write puts panes on their topic, all in one transaction.
func (w *world) write(panes ...*drift.Pane) { w.transaction(kgo.TryCommit, panes...) }

func (w *world) transaction(end kgo.TransactionEndTry, panes ...*drift.Pane) {
	require.NoError(w.t, w.client.BeginTransaction())
	for _, p := range panes {
		value, err := drift.AppendPane(nil, p)
		require.NoError(w.t, err)
		require.NoError(w.t, w.client.ProduceSync(w.t.Context(), &kgo.Record{Topic: w.topics.DriftPanes, Value: value}).FirstErr())
	}
	require.NoError(w.t, w.client.EndTransaction(w.t.Context(), end))
}

func (w *world) evaluator(change ...func(*Config)) *Evaluator {
	champion := drifttest.ShippedChampion(w.t)
	windows, err := judging.ParseWindows(judging.DefaultWindows)
	require.NoError(w.t, err)
	c := Config{
		Kafka: w.config, Topics: w.topics, Tick: 10 * time.Millisecond, Between: time.Nanosecond,
		Settings: judging.Settings{Windows: windows, BlockTime: time.Nanosecond, MinFiring: time.Nanosecond},
		Champion: func() *drift.Champion { return champion }, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
	for _, f := range change {
		f(&c)
	}
	e, err := New(c)
	require.NoError(w.t, err)
	return e
}

// run runs an evaluator; stop ends it as SIGTERM would and returns its error.
func run(e *Evaluator) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

// committed are the committed records of a topic so far.
func (w *world) committed(topic string) (records []*kgo.Record) {
	adm := kadm.NewClient(w.client)
	ends, err := kafka.Listed(adm.ListCommittedOffsets(w.t.Context(), topic))
	require.NoError(w.t, err)
	spans := kafka.Spans{topic: {0: {To: ends[topic][0].Offset}}}
	require.NoError(w.t, w.config.ReadCommitted(w.t.Context(), spans, kafka.Sink{Each: func(r *kgo.Record) error {
		records = append(records, r)
		return nil
	}}))
	return records
}

// told are the alerts on the topic, as "state name".
func (w *world) told() (told []string) {
	for _, r := range w.committed(w.topics.DriftAlerts) {
		var a schemas.Alert
		require.NoError(w.t, schemas.DecodeAlert(r.Value, &a))
		require.Equal(w.t, a.Alert, string(r.Key))
		told = append(told, a.State+" "+a.Alert)
	}
	return told
}

// newest is the last status on the topic, nil without one.
func (w *world) newest() *drift.Status {
	records := w.committed(w.topics.DriftStatus)
	if len(records) == 0 {
		return nil
	}
	s := &drift.Status{}
	require.NoError(w.t, json.Unmarshal(records[len(records)-1].Value, s))
	return s
}

// evaluated waits until a status says that so many decisions were folded.
func (w *world) evaluated(decisions int64) *drift.Status {
	var s *drift.Status
	require.Eventually(w.t, func() bool {
		s = w.newest()
		return s != nil && s.Decisions >= decisions
	}, time.Minute, 5*time.Millisecond)
	require.Equal(w.t, decisions, s.Decisions)
	return s
}

// alone is what one evaluator that is never disturbed tells of panes.
func alone(t *testing.T, panes []*drift.Pane) (told []string, decisions int64) {
	settings := judging.Settings{BlockTime: time.Nanosecond, MinFiring: time.Nanosecond}
	alerts, last := judging.Replay(settings, drifttest.ShippedChampion(t), slices.Values(panes))
	for _, a := range alerts {
		told = append(told, a.State+" "+a.Alert)
	}
	return told, last.Decisions
}

func TestStatusAndAlertsComeFromPanes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	panes := drifttest.Story(t, 30)
	whole, decisions := alone(t, panes)
	require.NotEmpty(t, whole)
	heard := &ear{}
	e := w.evaluator(func(c *Config) { c.Notifier = heard })
	stop := run(e)
	for chunk := range slices.Chunk(panes, 20) {
		w.write(chunk...)
	}
	s := w.evaluated(decisions)
	require.NoError(t, stop())
	require.Equal(t, whole, w.told())
	require.Equal(t, whole, heard.told())
	require.Len(t, s.Windows, 4)
	require.Equal(t, drifttest.ShippedChampion(t).Digest, s.Reference.Digest)
	committed, err := kadm.NewClient(w.client).FetchOffsetsForTopics(t.Context(), Group(w.config.Prefix), w.topics.DriftPanes)
	require.NoError(t, err)
	require.Positive(t, committed[w.topics.DriftPanes][0].At)
}

// Who takes over tells again what the one before may not have come to tell, and
// nothing twice.
func TestWhatIsToldNowIsNotToldAgain(t *testing.T) {
	t.Parallel()
	alert := func(name, state string, ago time.Duration) drift.AlertStatus {
		return drift.AlertStatus{Alert: schemas.Alert{Alert: name, State: state, Since: drifttest.Noon - schemas.Timestamp(ago.Microseconds())}}
	}
	status := &drift.Status{EvaluatedAt: drifttest.Noon, Alerts: []drift.AlertStatus{
		alert("new", schemas.AlertFiring, 0), alert("before", schemas.AlertFiring, time.Hour),
		alert("over", schemas.AlertResolved, 0), alert("lately", schemas.AlertResolved, 30*time.Second), alert("long ago", schemas.AlertResolved, 2*time.Minute),
	}}
	told := []schemas.Alert{status.Alerts[0].Alert, status.Alerts[2].Alert}
	require.Equal(t, []schemas.Alert{status.Alerts[1].Alert, status.Alerts[3].Alert}, earlier(status, told))
}

// ear is a Notifier.
type ear struct {
	mu    sync.Mutex // guards heard
	heard []string
}

func (e *ear) Notify(alerts []schemas.Alert) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range alerts {
		e.heard = append(e.heard, a.State+" "+a.Alert)
	}
}

func (e *ear) told() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.heard)
}

// Whoever takes the transactional id over while an evaluator works cuts it off at
// any point, as kill -9 does: what it has begun is aborted.
func TestNoAlertIsToldTwiceOrForgottenWhenEvaluatorsDie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	panes := drifttest.Story(t, 31)
	whole, decisions := alone(t, panes)
	heard := &ear{}
	stop := run(w.evaluator(func(c *Config) { c.Notifier = heard }))
	rng := rand.New(rand.NewPCG(31, 31))
	written := int64(0)
	for chunk := range slices.Chunk(panes, 6) {
		w.write(chunk...)
		for _, p := range chunk {
			written += p.Decisions
		}
		if rng.IntN(2) == 0 { // or in the middle of what was just written
			w.evaluated(written)
		}
		usurper, err := kgo.NewClient(append(w.config.Options(), kgo.TransactionalID(Group("t")))...)
		require.NoError(t, err)
		_, _, err = usurper.ProducerID(t.Context())
		require.NoError(t, err)
		usurper.Close()
	}
	s := w.evaluated(decisions)
	require.NoError(t, stop())
	require.Equal(t, whole, w.told())
	require.InDelta(t, 10_100, s.Windows[1].Decisions, 100, "windows are whole again")
	for _, a := range whole {
		require.Contains(t, heard.told(), a, "whoever is to be told hears of it, if not once only")
	}
}

func TestStoppedAndStartedAgainNothingIsToldTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	panes := drifttest.Story(t, 32)
	whole, decisions := alone(t, panes)
	for chunk := range slices.Chunk(panes, len(panes)/5+1) {
		stop := run(w.evaluator())
		w.write(chunk[:len(chunk)/2]...)
		w.write(chunk[len(chunk)/2:]...)
		last := chunk[len(chunk)-1]
		require.Eventually(t, func() bool {
			s := w.newest()
			return s != nil && (s.LastDecision >= last.Bucket || s.Decisions == decisions || s.Outcomes.Read > 0 && last.Decisions == 0)
		}, time.Minute, 5*time.Millisecond)
		require.NoError(t, stop())
	}
	stop := run(w.evaluator())
	w.evaluated(decisions)
	require.NoError(t, stop())
	require.Equal(t, whole, w.told())
}

// A commit that fails now and then aborts its transaction; what was not written is
// written again.
func TestAFailedTransactionIsWrittenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	panes := drifttest.Story(t, 33)
	whole, decisions := alone(t, panes)
	var n, refused atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.TxnOffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if n.Add(1)%3 != 0 {
			return nil, nil, false
		}
		refused.Add(1)
		return local.Refusal(request, kerr.RebalanceInProgress.Code), nil, true
	})
	stop := run(w.evaluator())
	written := int64(0)
	for chunk := range slices.Chunk(panes, 20) {
		w.write(chunk...)
		for _, p := range chunk {
			written += p.Decisions
		}
		w.evaluated(written)
	}
	require.Equal(t, decisions, written)
	require.NoError(t, stop())
	require.Equal(t, whole, w.told())
	require.Positive(t, refused.Load())
}

// An aggregator that aborts counts the same decisions again: what it took back must
// not be counted beside them.
func TestPanesThatWereAbortedAreNotFolded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	panes := drifttest.Story(t, 34)[:20]
	_, decisions := alone(t, panes)
	w.transaction(kgo.TryAbort, panes[:10]...)
	stop := run(w.evaluator())
	w.write(panes[:10]...)
	w.transaction(kgo.TryAbort, panes[10:]...)
	w.write(panes[10:]...)
	w.evaluated(decisions)
	require.NoError(t, stop())
}

// What an evaluator asks of the brokers: that it is given up after 10 s of silence,
// and that a transaction of its is aborted before.
func TestATransactionEndsBeforeTheEvaluatorsSession(t *testing.T) {
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
	e := w.evaluator()
	w.broker.Cluster().ControlKey(int16(kmsg.InitProducerID), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if init := request.(*kmsg.InitProducerIDRequest); init.TransactionalID != nil && *init.TransactionalID == e.transactionalID() {
			transaction.Store(int64(init.TransactionTimeoutMillis))
		}
		return nil, nil, false
	})
	stop := run(e)
	panes := drifttest.Story(t, 34)[:20]
	_, decisions := alone(t, panes)
	w.write(panes...)
	w.evaluated(decisions)
	require.NoError(t, stop())
	require.EqualValues(t, 10_000, session.Load())
	require.EqualValues(t, 10_000, rebalance.Load())
	require.EqualValues(t, 8_000, transaction.Load())
	require.Less(t, transaction.Load(), session.Load())
}

func TestOneWorksAndTheOtherTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	panes := drifttest.Story(t, 34)
	whole, decisions := alone(t, panes)
	one, two := w.evaluator(), w.evaluator()
	stopOne := run(one)
	w.write(panes[:100]...)
	require.Eventually(t, func() bool { s := w.newest(); return s != nil && s.Decisions > 0 }, time.Minute, 5*time.Millisecond)
	stopTwo := run(two)
	require.Eventually(t, func() bool { return one.Ready() == nil && two.Ready() == nil }, time.Minute, 5*time.Millisecond)
	w.write(panes[100:150]...)
	require.NoError(t, stopOne())
	w.write(panes[150:]...)
	w.evaluated(decisions)
	require.NoError(t, stopTwo())
	require.Equal(t, whole, w.told())
}

func TestABurstBeforeSilenceFires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	city := drifttest.NewCity(drifttest.ShippedChampion(t), 44)
	var ahead atomic.Int64
	stop := run(w.evaluator(func(c *Config) {
		c.Settings.BlockTime, c.Settings.Quiet = time.Hour, 100*time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}))
	city.Move("pay_0", 3)
	w.write(city.Pane(600), city.Pane(600))
	w.evaluated(1200)
	require.Empty(t, w.told(), "its time is not over")
	ahead.Store(int64(2 * time.Hour))
	require.Eventually(t, func() bool { return slices.Equal(w.told(), []string{"firing drift/pay_0"}) }, time.Minute, 5*time.Millisecond)
	require.Equal(t, drift.Act, w.newest().State)
	require.NoError(t, stop())
}

func TestSilenceIsToldAndTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	city := drifttest.NewCity(drifttest.ShippedChampion(t), 40)
	var ahead atomic.Int64
	e := w.evaluator(func(c *Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	stop := run(e)
	w.write(city.Pane(10))
	w.evaluated(10)
	require.Empty(t, w.told())
	ahead.Store(int64(6 * time.Minute))
	require.Eventually(t, func() bool { return slices.Equal(w.told(), []string{"firing no-decisions"}) }, time.Minute, 5*time.Millisecond)
	require.Equal(t, drift.Act, w.newest().State)
	w.write(city.Pane(10))
	require.Eventually(t, func() bool { return len(w.told()) > 1 }, time.Minute, 5*time.Millisecond)
	require.Equal(t, []string{"firing no-decisions", "resolved no-decisions"}, w.told()[:2])
	require.NoError(t, stop())
}

func TestAnotherChampionIsAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	city := drifttest.NewCity(drifttest.ShippedChampion(t), 41)
	next := drifttest.ShippedChampion(t)
	next.ModelVersion, next.Digest = "next", "sha256:next"
	var champion atomic.Pointer[drift.Champion]
	champion.Store(drifttest.ShippedChampion(t))
	stop := run(w.evaluator(func(c *Config) { c.Champion = champion.Load }))
	city.Move("pay_0", 3)
	w.write(city.Pane(500), city.Pane(500))
	w.evaluated(1000)
	require.Equal(t, []string{"firing drift/pay_0"}, w.told())
	champion.Store(next)
	require.Eventually(t, func() bool { return w.newest().Reference.ModelVersion == "next" }, time.Minute, 5*time.Millisecond)
	require.Equal(t, []string{"firing drift/pay_0", "resolved drift/pay_0"}, w.told())
	require.Zero(t, w.newest().Windows[0].Decisions)
	city.Champion = next
	w.write(city.Pane(300))
	require.Equal(t, int64(300), w.evaluated(1300).Windows[0].Decisions)
	require.NoError(t, stop())
}

// A status takes tens of kilobytes: while nothing is told, not every tick has one.
func TestStatusRecordsAreApartUnlessSomethingIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	city := drifttest.NewCity(drifttest.ShippedChampion(t), 43)
	var ahead atomic.Int64
	stop := run(w.evaluator(func(c *Config) {
		c.Between, c.Every = time.Minute, time.Hour
		c.Now = func() time.Time { return time.Unix(2_000_000_000, ahead.Load()) }
	}))
	require.Eventually(t, func() bool { return w.newest() != nil }, time.Minute, 5*time.Millisecond)
	w.write(city.Pane(100), city.Pane(100))
	ahead.Store(int64(time.Minute))
	w.evaluated(200)
	require.Len(t, w.committed(w.topics.DriftStatus), 2)
	city.Move("pay_0", 3)
	w.write(city.Pane(1000)) // fires: that does not wait
	w.evaluated(1200)
	require.Equal(t, []string{"firing drift/pay_0"}, w.told())
	require.NoError(t, stop())
}

func TestWithoutAModelItWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var champion atomic.Pointer[drift.Champion]
	e := w.evaluator(func(c *Config) { c.Champion = champion.Load })
	stop := run(e)
	require.Eventually(t, func() bool {
		err := e.Ready()
		return err != nil && err.Error() == "no model serves: release one and route to it"
	}, time.Minute, 5*time.Millisecond)
	champion.Store(drifttest.ShippedChampion(t))
	require.Eventually(t, func() bool { return e.Ready() == nil && w.newest() != nil }, time.Minute, 5*time.Millisecond)
	require.NoError(t, stop())
}

func TestAPaneThatIsNoneIsCountedAndSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	city := drifttest.NewCity(drifttest.ShippedChampion(t), 42)
	e := w.evaluator()
	stop := run(e)
	require.NoError(t, w.client.BeginTransaction())
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.DriftPanes, Value: []byte("{")}).FirstErr())
	require.NoError(t, w.client.EndTransaction(t.Context(), kgo.TryCommit))
	contradicting, negative := city.Loans(20, func(p float64) float64 { return p }), city.Pane(10)
	contradicting.Outcomes[0].Loans, contradicting.Outcomes[0].Defaulted = -5, 9
	negative.Features[0].Bins[0] -= 1e9
	negative.Features[0].Bins[1] += 1e9
	w.write(contradicting, negative, city.Pane(10))
	s := w.evaluated(10)
	require.NoError(t, stop())
	require.Zero(t, s.Outcomes.Read)
	require.InDelta(t, 3, testutil.ToFloat64(e.metrics.malformed), 0)
}

func TestAMissingTopicEndsIt(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, topics: schemas.NewTopics("t"), config: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t"}}
	require.ErrorContains(t, w.evaluator().Run(t.Context()), "creditstream topics apply")
}

// Panes behind a transaction that was left open are not judged: whoever evaluates says so.
func TestEvaluator_SaysThatPanesWaitBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.evaluator()
	e.looks = 5 * time.Millisecond
	stop := run(e)
	require.Eventually(t, func() bool { return w.newest() != nil }, time.Minute, 5*time.Millisecond)
	hangs, err := kgo.NewClient(append(w.config.Options(), kgo.TransactionalID("hangs"), kgo.TransactionTimeout(5*time.Minute))...)
	require.NoError(t, err)
	t.Cleanup(hangs.Close)
	require.NoError(t, hangs.BeginTransaction())
	held := &kgo.Record{Topic: w.topics.DriftPanes, Value: []byte("x"), Timestamp: time.Now().Add(-time.Minute)}
	require.NoError(t, hangs.ProduceSync(t.Context(), held).FirstErr())
	pane := drifttest.NewCity(drifttest.ShippedChampion(t), 1).Pane(7)
	w.write(pane) // and the end of its transaction
	says := "3 records behind an open transaction on " + w.topics.DriftPanes + "/0 since "
	require.Eventually(t, func() bool {
		pending := e.Pending()
		return pending != nil && strings.Contains(pending.Error(), says)
	}, time.Minute, time.Millisecond)
	require.Zero(t, w.newest().Decisions)
	require.Eventually(t, func() bool { return e.Ready() == nil }, time.Minute, time.Millisecond)

	require.NoError(t, hangs.EndTransaction(context.WithoutCancel(t.Context()), kgo.TryAbort))
	w.evaluated(7)
	require.Eventually(t, func() bool { return e.Pending() == nil }, time.Minute, time.Millisecond)
	require.NoError(t, stop())
}
