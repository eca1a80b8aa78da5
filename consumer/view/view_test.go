package view

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/loopback"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

const (
	partitions = 4
	patience   = time.Minute
	tick       = 2 * time.Millisecond
)

// world is an embedded broker with the predictions topic, an embedded Redis and
// what the log holds.
type world struct {
	t      *testing.T
	broker *local.Kafka
	redis  *local.Redis
	rdb    *redis.Client
	keys   keys
	config Config
	client *kgo.Client
	last   map[string]string // id → the value of its last prediction
	clock  time.Time         // decided_at of the next prediction
}

func newWorld(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn is one whose broker keeps its logs in a folder.
func newWorldIn(t *testing.T, dir string) *world {
	broker, err := local.StartKafka(dir, kfake.SleepOutOfOrder())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	// One that is stopped and started again finds its port free: nobody else here gets it.
	at, _, err := loopback.Free(1)
	require.NoError(t, err)
	server, err := local.StartRedisAt(at)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	w := &world{t: t, broker: broker, redis: server, last: map[string]string{}, keys: keysOf("t"), clock: time.Now().Add(-time.Hour)}
	w.rdb = redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = w.rdb.Close() })
	w.config = Config{
		Kafka: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"}, Topics: schemas.NewTopics("t"),
		Redis: w.rdb, Group: member.Names{Group: "view"}, Lifetimes: DefaultLifetimes(), Log: slog.New(slog.DiscardHandler),
	}
	w.client, err = kgo.NewClient(append(w.config.Kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	w.create()
	return w
}

func (w *world) create() {
	_, err := kafka.CreateTopics(w.t.Context(), kadm.NewClient(w.client), []kafka.TopicSpec{{Name: w.config.Topics.Predictions, Partitions: partitions, Replication: 1}})
	require.NoError(w.t, err)
}

func partitionOf(i int) int32 { return int32(i % partitions) }

func id(i int) string { return fmt.Sprintf("A-%05d", i) }

// predict is the next prediction about application i; pass makes it another one.
func (w *world) predict(i, pass int) []byte {
	w.clock = w.clock.Add(time.Millisecond)
	p := schemas.Prediction{
		ApplicationID: id(i), AppliedAt: schemas.At(w.clock), DecidedAt: schemas.At(w.clock), Channel: schemas.ChannelStream,
		DefaultProbability: float32(pass%100) / 100, Decision: schemas.Approve, Points: int32(i), ModelVersion: "v" + strconv.Itoa(pass),
		Engine: "native", Route: schemas.RouteChampion, RouteRevision: -1, PolicyVersion: "3f9c1a7e",
		Reasons: []schemas.Reason{{Code: "UTILISATION", Contribution: 0.5}},
	}
	for k, rule := range schemas.FeatureRules {
		p.Features[k] = max(rule.Min, 0)
	}
	p.Features[schemas.FeatureAge] = int32(20 + i%50)
	return schemas.AppendPrediction(nil, &p)
}

// emit appends predictions about applications from … to-1.
func (w *world) emit(from, to, pass int) {
	var records []*kgo.Record
	for i := from; i < to; i++ {
		value := w.predict(i, pass)
		records = append(records, w.record(partitionOf(i), i, value))
		w.last[id(i)] = string(value)
	}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
}

func (w *world) record(partition int32, i int, value []byte) *kgo.Record {
	return &kgo.Record{Topic: w.config.Topics.Predictions, Partition: partition, Key: []byte(id(i)), Value: value}
}

// configured is the configuration with a registry of its own.
func (w *world) configured() Config {
	c := w.config
	c.Registerer = prometheus.NewRegistry()
	return c
}

// start runs a view; stop ends it as SIGTERM would.
func (w *world) start() (v *View, stop func()) {
	v, err := New(w.configured())
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(w.t, <-done)
		}
	}
	w.t.Cleanup(stop)
	return v, stop
}

func (w *world) ready(v *View) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return v.Ready() == nil }, patience, tick, "%v", v.Ready())
}

// shown is everything that prediction:* shows, as it stood on the wire.
func (w *world) shown() map[string]string {
	shown := map[string]string{}
	keys, err := w.rdb.Keys(w.t.Context(), w.keys.predictions+"*").Result()
	if err != nil || len(keys) == 0 {
		return shown
	}
	values, _ := w.rdb.MGet(w.t.Context(), keys...).Result()
	for i, v := range values {
		if text, ok := v.(string); ok {
			value, _, _ := cutStamp([]byte(text))
			shown[keys[i][len(w.keys.predictions):]] = string(value)
		}
	}
	return shown
}

// same waits until the view shows the last prediction of every application, and
// nothing else, and holds what was decided beside it.
func (w *world) same() {
	w.t.Helper()
	if !assert.Eventually(w.t, func() bool { return maps.Equal(w.shown(), w.last) }, patience, 10*tick) {
		shown := w.shown()
		for id, value := range w.last {
			if shown[id] != value {
				w.t.Fatalf("%d shown, %d expected; %s is\n%q\ninstead of\n%q", len(shown), len(w.last), id, shown[id], value)
			}
		}
		w.t.Fatalf("%d shown, %d expected", len(shown), len(w.last))
	}
	store := NewStore(w.rdb, w.config.Kafka.Prefix)
	for id, value := range w.last {
		var p schemas.Prediction
		require.NoError(w.t, schemas.DecodePrediction([]byte(value), &p))
		d, found, err := store.Decided(w.t.Context(), id)
		require.NoError(w.t, err)
		require.True(w.t, found, id)
		require.Equal(w.t, decidedOf(&p, time.UnixMilli(d.Appended), d.Stamp), d)
		require.Equal(w.t, int64(p.DecidedAt), d.Stamp.DecidedUS)
	}
	decided, err := w.rdb.Keys(w.t.Context(), w.keys.decisions+"*").Result()
	require.NoError(w.t, err)
	require.Len(w.t, decided, len(w.last))
}

func TestTheViewShowsTheLastPredictionOfEveryApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 500, 1)
	v, stop := w.start()
	w.same()
	w.emit(200, 700, 2)
	w.same()
	w.ready(v)
	stop()
	require.InDelta(t, 1000, testutil.ToFloat64(v.metrics.written), 0)

	// Another replica goes on where it stopped; nothing is written again.
	w.emit(600, 800, 3)
	v, stop = w.start()
	w.same()
	w.ready(v)
	stop()
	require.InDelta(t, 200, testutil.ToFloat64(v.metrics.written), 0)
	require.InDelta(t, 0, testutil.ToFloat64(v.metrics.stale), 0)
	require.InDelta(t, 0, testutil.ToFloat64(v.metrics.refills), 0)

	// Who looks at the group sees no lag.
	lag, err := kadm.NewClient(w.client).Lag(t.Context(), "view")
	require.NoError(t, err)
	group := lag["view"]
	require.NoError(t, group.Error())
	require.Len(t, group.Lag[w.config.Topics.Predictions], partitions)
	require.Zero(t, group.Lag.Total())
}

// A view that gathers asks Kafka to wait for more, and shows what came when no more does.
func TestAViewThatGathersWaitsForMore(t *testing.T) {
	for _, gather := range []time.Duration{0, 300 * time.Millisecond} {
		w := newWorld(t)
		w.config.Gather = gather
		least := map[int32]bool{}
		var mu sync.Mutex
		w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
			w.broker.Cluster().KeepControl()
			mu.Lock()
			defer mu.Unlock()
			least[request.(*kmsg.FetchRequest).MinBytes] = true
			return nil, nil, false
		})
		v, stop := w.start()
		w.ready(v)
		w.emit(0, 3, 1)
		w.same()
		stop()
		mu.Lock()
		require.Equal(t, gather > 0, least[gathered])
		mu.Unlock()
	}
}

func TestRecordsThatAreNoPredictionStopNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 8, 1)
	for _, value := range [][]byte{nil, []byte("{"), []byte("[]"), []byte(`{"application_id":"A-1"}`)} {
		require.NoError(t, w.client.ProduceSync(t.Context(), w.record(1, 1, value)).FirstErr())
	}
	w.emit(8, 16, 1)
	v, _ := w.start()
	w.same()
	w.ready(v)
	require.InDelta(t, 4, testutil.ToFloat64(v.metrics.undecodable), 0)
}

func TestRedisAwayAtStartAndLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 300, 1)
	w.redis.Server().SetError("LOADING Redis is loading the dataset in memory")
	v, _ := w.start()
	require.Eventually(t, func() bool {
		err := v.Ready()
		return err != nil && testutil.ToFloat64(v.metrics.redisErrors) > 2
	}, patience, tick)
	require.ErrorContains(t, v.Ready(), "LOADING")
	w.redis.Server().SetError("")
	w.same()
	w.ready(v)

	w.redis.Server().Close()
	w.emit(100, 400, 2)
	require.Eventually(t, func() bool { return v.Ready() != nil }, patience, tick)
	require.ErrorContains(t, v.Ready(), "without Redis")
	require.NoError(t, w.redis.Server().Restart())
	w.same()
	w.ready(v)
	require.InDelta(t, 0, testutil.ToFloat64(v.metrics.refills), 0)
}

func TestAnEmptiedRedisIsFilledAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 400, 1)
	v, stop := w.start()
	w.same()

	// While nothing comes in.
	w.redis.Server().FlushAll()
	w.same()
	w.ready(v)

	// While predictions come in.
	for pass := 2; pass < 6; pass++ {
		w.emit(100, 300, pass)
		w.redis.Server().FlushAll()
		w.emit(300, 350, pass)
	}
	w.same()
	w.ready(v)
	stop()

	// While no view runs: the group's commits say everything was read.
	w.redis.Server().FlushAll()
	v, _ = w.start()
	w.same()
	w.ready(v)
	require.InDelta(t, partitions, testutil.ToFloat64(v.metrics.refills), 0)
}

func TestARedisFromAnOlderCopyIsFilledFromThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 100, 1)
	_, _ = w.start()
	w.same()
	old := map[string]string{}
	for k, v := range w.rdb.HGetAll(t.Context(), w.keys.progress).Val() {
		old[k] = v
	}
	dump := map[string]string{}
	for id := range w.last {
		dump[w.keys.prediction(id)] = w.rdb.Get(t.Context(), w.keys.prediction(id)).Val()
	}
	w.emit(50, 200, 2)
	w.same()

	_, err := w.rdb.TxPipelined(t.Context(), func(pipe redis.Pipeliner) error {
		pipe.FlushAll(t.Context())
		pipe.HSet(t.Context(), w.keys.progress, old)
		for k, v := range dump {
			pipe.Set(t.Context(), k, v, 0)
		}
		return nil
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return maps.Equal(w.shown(), w.last) }, patience, 10*tick)
}

func TestATopicMadeAgainIsAnotherLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 400, 9)
	_, stop := w.start()
	w.same()
	stop()
	adm := kadm.NewClient(w.client)
	_, err := adm.DeleteTopics(t.Context(), w.config.Topics.Predictions)
	require.NoError(t, err)
	w.client.PurgeTopicsFromClient(w.config.Topics.Predictions)
	w.create()
	// Longer than the old log: offsets alone would not tell. Decided earlier.
	w.clock = w.clock.Add(-30 * time.Minute)
	w.emit(0, 400, 1)
	w.emit(0, 400, 2)
	_, _ = w.start()
	w.same()
}

func TestTwoViewsShareTheWorkAndOneLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, stopOne := w.start()
	two, _ := w.start()
	both := func(v *View) bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.session == nil {
			return false
		}
		v.session.mu.Lock()
		defer v.session.mu.Unlock()
		return len(v.session.positions) == partitions/2
	}
	require.Eventually(t, func() bool { return both(one) && both(two) }, patience, tick)
	for pass := range 20 {
		w.emit(0, 200, pass)
		if pass == 10 {
			stopOne()
		}
	}
	w.same()
	w.ready(two)
}

// An old view holds a batch while another has gone on; what it writes then must
// change nothing, neither values nor progress.
func TestAPausedViewComesBackTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 40, 1)
	store := NewStore(w.rdb, w.config.Kafka.Prefix)
	entries := func(offset int64, pass int) []Entry {
		b := batch{log: 7, lifetimes: DefaultLifetimes(), logger: w.config.Log, metrics: newMetrics(prometheus.NewRegistry())}
		for i := range 40 {
			r := w.record(0, i, w.predict(i, pass))
			r.Offset, r.Timestamp = offset+int64(i), time.Now()
			require.NoError(t, b.add(t.Context(), r, time.Now()))
		}
		return b.entries
	}
	require.NoError(t, store.begin(t.Context(), 7, map[int32]int64{0: 0}))
	old := entries(0, 1)
	// The paused one's clock was ahead: within a partition only offsets count.
	late := entries(40, 3)
	later := entries(80, 2)
	write := func(e []Entry, from, to int64) (Written, []int64) {
		written, err := store.Write(t.Context(), e)
		require.NoError(t, err)
		at, err := store.advance(t.Context(), 7, []Step{{0, from, to}})
		require.NoError(t, err)
		return written, at
	}
	written, at := write(old, 0, 40)
	require.Equal(t, Written{Written: 40}, written)
	require.Equal(t, []int64{40}, at)
	written, at = write(append(late, later...), 40, 120)
	require.Equal(t, Written{Written: 80}, written)
	require.Equal(t, []int64{120}, at)
	for _, e := range [][]Entry{late, old, later} {
		written, at = write(e, 0, 40)
		require.Equal(t, Written{Stale: 40}, written)
		require.Equal(t, []int64{120}, at)
	}
	d, _, err := store.Decided(t.Context(), id(3))
	require.NoError(t, err)
	require.Equal(t, "v2", d.ModelVersion)
	require.Equal(t, int64(83), d.Stamp.Offset)
}

// Any order of writing the same records, with repetitions, ends the same.
func TestForwardOnlyInAnyOrder(t *testing.T) {
	t.Parallel()
	server, err := local.StartRedis()
	require.NoError(t, err)
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()
	store := NewStore(rdb, "t")
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	w := &world{t: t, clock: time.Now()}
	var records []*kgo.Record
	// Offsets 0 … 9 were decided on two partitions, then there were four: the
	// same id lies on another, with a lower offset and decided later.
	for step := range 40 {
		i := step % 4
		partition, offset := int32(i%2), int64(step)
		if step >= 20 {
			partition, offset = int32(2+i%2), int64(step-20)
		}
		r := &kgo.Record{Partition: partition, Offset: offset, Timestamp: time.Now(), Value: w.predict(i, step)}
		records = append(records, r)
	}
	want := map[string]string{}
	for _, r := range records {
		var p schemas.Prediction
		require.NoError(t, schemas.DecodePrediction(r.Value, &p))
		want[p.ApplicationID] = string(r.Value)
	}
	b := batch{log: 1, lifetimes: DefaultLifetimes(), logger: slog.New(slog.DiscardHandler), metrics: newMetrics(prometheus.NewRegistry())}
	for range 20 {
		server.Server().FlushAll()
		order := append(random.Perm(len(records)), random.Perm(len(records))...)
		for len(order) > 0 {
			b.reset()
			n := 1 + random.IntN(len(order))
			for _, k := range order[:n] {
				require.NoError(t, b.add(t.Context(), records[k], time.Now()))
			}
			order = order[n:]
			_, err := store.Write(t.Context(), b.entries)
			require.NoError(t, err)
		}
		for id, value := range want {
			got, found, err := store.Prediction(t.Context(), id)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, value, string(got))
		}
	}
}
