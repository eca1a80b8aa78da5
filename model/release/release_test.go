package release

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
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

const otherPolicy = `threshold: 0.4
approve_below: 0.10
decline_from: 0.40
max_missing: 2
points: {base: 600, base_odds: 50, pdo: 20}
`

// world is an embedded broker with the topics.
type world struct {
	t      *testing.T
	broker *local.Kafka
	config kafka.Config
	topics schemas.Topics
	client *kgo.Client
	log    *capture.Output
}

func newWorld(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn is one whose broker keeps its logs in a folder; empty: in memory.
func newWorldIn(t *testing.T, dir string) *world {
	broker, err := local.StartKafka(dir)
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, broker: broker, topics: schemas.NewTopics("t"), config: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"}, log: &capture.Output{}}
	w.client, err = kgo.NewClient(append(w.config.Options(), kgo.ProducerBatchMaxBytes(maxRecord))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	return w
}

func (w *world) createTopics() {
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Catalogue("t") {
		specs = append(specs, kafka.TopicSpec{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Configs: topic.Configs})
	}
	_, err := kafka.CreateTopics(w.t.Context(), kadm.NewClient(w.client), specs)
	require.NoError(w.t, err)
}

func shippedVersion(t testing.TB) string {
	m, _, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	return m.Version
}

// version is the shipped graph under another version.
func version(t testing.TB, v string) []byte {
	opened, err := model.Parse(shipped.Bundle, model.EngineNative)
	require.NoError(t, err)
	counter := model.NewReferenceCounter(opened.Reference)
	counter.Add(&schemas.Features{}, 0)
	b, err := model.WithReference(shipped.Bundle, v, counter.Reference())
	require.NoError(t, err)
	return b
}

func (w *world) release(v string) {
	_, err := Release(w.t.Context(), w.config, w.topics, version(w.t, v), model.EngineAuto, "a test")
	require.NoError(w.t, err)
}

// put writes to the models topic what Release would refuse.
func (w *world) put(v string, value []byte) {
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), &kgo.Record{Topic: w.topics.Models, Key: []byte(v), Value: value}).FirstErr())
}

// putRoute writes a route that Route would refuse.
func (w *world) putRoute(r schemas.Route) {
	if r.Policy == "" {
		r.Policy = policy.DefaultText
	}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), &kgo.Record{Topic: w.topics.Routes, Value: schemas.AppendRoute(nil, &r)}).FirstErr())
}

func (w *world) route(expect int64, change func(*RouteRequest)) int64 {
	r := RouteRequest{Change: Change{Policy: policy.DefaultText}, By: "test", At: 1, Why: "test", Engine: model.EngineAuto}
	if expect >= 0 {
		r.Expect = &expect
	}
	change(&r)
	written, err := Route(w.t.Context(), w.config, w.topics, r)
	require.NoError(w.t, err)
	return written.Number
}

func (w *world) champion(expect int64, v string) int64 {
	return w.route(expect, func(r *RouteRequest) { r.Champion, r.NoCanary, r.NoShadow = v, true, true })
}

// follow runs a follower until the test ends.
func (w *world) follow(fallback []byte) (*Follower, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	f, err := NewFollower(Config{
		Kafka: w.config, Topics: w.topics, Engine: model.EngineAuto, Fallback: fallback,
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Registerer: reg,
	})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); require.NoError(w.t, <-done) })
	return f, reg
}

func (w *world) eventually(condition func() bool, message string) {
	w.t.Helper()
	require.Eventually(w.t, condition, time.Minute, time.Millisecond, message)
}

func (w *world) serves(f *Follower, revision int64, champion string) {
	w.t.Helper()
	w.eventually(func() bool {
		live := f.Live()
		return f.Ready() == nil && live.Revision == revision && live.Champion.Version == champion
	}, champion)
}

func TestAReleasedVersionNeverChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	first := version(t, "v1")
	r, err := Release(t.Context(), w.config, w.topics, first, model.EngineAuto, "a test")
	require.NoError(t, err)
	require.False(t, r.Existed)
	r, err = Release(t.Context(), w.config, w.topics, first, model.EngineAuto, "a test")
	require.NoError(t, err)
	require.True(t, r.Existed)

	m, err := model.Parse(first, model.EngineNative)
	require.NoError(t, err)
	counter := model.NewReferenceCounter(m.Reference)
	counter.Add(&schemas.Features{}, 3)
	other, err := model.WithReference(shipped.Bundle, "v1", counter.Reference())
	require.NoError(t, err)
	_, err = Release(t.Context(), w.config, w.topics, other, model.EngineAuto, "a test")
	require.ErrorContains(t, err, "released already with other bytes")
	require.ErrorContains(t, err, model.Digest(first))
	require.ErrorContains(t, err, model.Digest(other))

	// Written past the command, the first one still counts.
	w.put("v1", other)
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	have, ok := h.Bundle("v1")
	require.True(t, ok)
	require.Equal(t, first, have)
	require.Len(t, h.Problems(), 1)
	require.Contains(t, h.Problems()[0].String(), "t.models offset 1: model v1: other bytes")
	_, ok = h.Bundle("v2")
	require.False(t, ok)
}

func TestReleaseRefusesWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	for name, bundle := range map[string][]byte{
		"not a model bundle": []byte("zip"),
		"at most":            make([]byte, model.MaxBundle+1),
	} {
		_, err := Release(t.Context(), w.config, w.topics, bundle, model.EngineAuto, "a test")
		require.ErrorContains(t, err, name)
	}
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	require.Empty(t, h.Versions())
}

// The largest bundle fits the topic's largest record.
func TestTheLargestBundleFits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	noise := make([]byte, model.MaxBundle) // does not compress
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		noise[i] = byte(x)
	}
	w.put("big", noise)
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	have, _ := h.Bundle("big")
	require.True(t, bytes.Equal(noise, have))
}

func TestTwoReleasesOfOneVersionAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	// The embedded broker compacts every five seconds whatever was written last, Kafka
	// only segments that are closed: here it must not come between the two.
	keep := "delete"
	_, err := kadm.NewClient(w.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &keep}}, w.topics.Models)
	require.NoError(t, err)
	m, err := model.Parse(shipped.Bundle, model.EngineNative)
	require.NoError(t, err)
	errs := make(chan error, 2)
	for i := range 2 {
		counter := model.NewReferenceCounter(m.Reference)
		counter.Add(&schemas.Features{}, float32(i))
		b, err := model.WithReference(shipped.Bundle, "v1", counter.Reference())
		require.NoError(t, err)
		go func() {
			_, err := Release(context.Background(), w.config, w.topics, b, model.EngineAuto, "a test")
			errs <- err
		}()
	}
	a, b := <-errs, <-errs
	if a == nil {
		a, b = b, a
	}
	require.NoError(t, b)
	require.ErrorContains(t, a, "released already with other bytes")
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	require.Len(t, h.Versions(), 1)
	require.Equal(t, "a test", h.Versions()[0].Ungated)
}

func TestARouteNeedsTheCurrentRevision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.release("v2")
	request := RouteRequest{Change: Change{Champion: "v1", Policy: policy.DefaultText}, By: "test", Engine: model.EngineAuto}
	refused := func(says string, change func(*RouteRequest)) {
		t.Helper()
		r := request
		change(&r)
		_, err := Route(t.Context(), w.config, w.topics, r)
		require.ErrorContains(t, err, says)
	}
	seven := int64(7)
	refused("there is no route yet", func(r *RouteRequest) { r.Expect = &seven })
	first := w.champion(-1, "v1")
	refused("--expect is not set: the current revision is 0 (champion v1, by test at ", func(r *RouteRequest) { r.Champion = "v2" })
	refused("--expect 7: the current revision is 0", func(r *RouteRequest) { r.Expect = &seven })

	request.Expect = &first
	refused("model v9 is not among the released ones", func(r *RouteRequest) { r.Champion = "v9" })
	refused("model v9 is not among the released ones", func(r *RouteRequest) { r.Canary, r.CanaryShare = "v9", 1 })
	refused("model v9 is not among the released ones", func(r *RouteRequest) { r.Shadow = "v9" })
	refused("canary share 0", func(r *RouteRequest) { r.Canary = "v2" })
	refused("canary v1 is the champion", func(r *RouteRequest) { r.Canary, r.CanaryShare = "v1", 1 })
	refused("shadow v1 is the champion", func(r *RouteRequest) { r.Shadow = "v1" })
	refused("shadow v2 is the canary itself", func(r *RouteRequest) { r.Canary, r.CanaryShare, r.Shadow = "v2", 1000, "v2" })
	refused("threshold is required", func(r *RouteRequest) { r.Policy = "{}" })
	w.put("bad", []byte("not a bundle"))
	refused("model bad is refused", func(r *RouteRequest) { r.Champion = "bad" })
	w.put("v3", version(t, "v4"))
	refused("its key is v3, its manifest says v4", func(r *RouteRequest) { r.Champion = "v3" })

	w.release("v5")
	second := w.route(first, func(r *RouteRequest) {
		r.Champion, r.Canary, r.CanaryShare, r.Shadow = "v1", "v2", 1234, "v5"
	})
	require.Greater(t, second, first)
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	route, ok := h.Route(second)
	require.True(t, ok)
	require.Equal(t, 0.1234, route.Canary.Share)
	require.Equal(t, "test", route.By)
	require.Equal(t, second, h.Current().Number)
	_, ok = h.Route(second + 1)
	require.False(t, ok)
}

func TestOfTwoRoutersAtOnceOneWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	current := int64(-1)
	for round := range 3 {
		const routers = 3
		errs := make(chan error, routers)
		for router := range routers {
			policy := fmt.Sprintf("%s# round %d, router %d\n", policy.DefaultText, round, router)
			r := RouteRequest{Change: Change{Champion: "v1", Policy: policy}, By: "test", Engine: model.EngineAuto}
			if current >= 0 {
				r.Expect = &current
			}
			go func() {
				_, err := Route(context.Background(), w.config, w.topics, r)
				errs <- err
			}()
		}
		wrote := 0
		for range routers {
			if err := <-errs; err == nil {
				wrote++
			} else {
				t.Log(err)
			}
		}
		require.Equal(t, 1, wrote)
		h, err := ReadAll(t.Context(), w.config, w.topics)
		require.NoError(t, err)
		require.Greater(t, h.Current().Number, current)
		current = h.Current().Number
	}
}

// A router that was overtaken between reading and writing must not write.
func TestAnOvertakenRouterWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.release("v2")
	var overtaking int64
	router := routeWriter{kafka: w.config, topics: w.topics, engine: model.EngineAuto}
	_, err := router.write(t.Context(), func(*History, *opener) (schemas.Route, error) {
		overtaking = w.champion(-1, "v2")
		return schemas.Route{Champion: "v1", Policy: policy.DefaultText}, nil
	})
	require.ErrorContains(t, err, "the route was not written: another model route or rollback came in between")
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	require.Len(t, h.Revisions(), 1)
	require.Equal(t, overtaking, h.Current().Number)
	require.Equal(t, "v2", h.Current().Route.Champion)
}

func TestRollbackGoesToTheLastOtherChampion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	for _, v := range []string{"v1", "v2", "v3"} {
		w.release(v)
	}
	back := func(expect int64) (*RolledBack, error) {
		return Rollback(t.Context(), w.config, w.topics, RollbackRequest{Expect: &expect, By: "me", At: 5, Why: "worse", Engine: model.EngineAuto})
	}
	_, err := back(0)
	require.ErrorContains(t, err, "there is no route yet")
	r1 := w.route(-1, func(r *RouteRequest) { r.Champion, r.Policy = "v1", otherPolicy })
	_, err = back(r1)
	require.ErrorContains(t, err, "no revision has another champion than v1; to serve a version of your choice: creditstream model route --champion VERSION")
	r2 := w.champion(r1, "v2")
	r3 := w.route(r2, func(r *RouteRequest) { r.Champion, r.Canary, r.CanaryShare, r.Shadow = "v2", "v3", 500, "v1" })
	_, err = back(r2)
	require.ErrorContains(t, err, "the current revision is")

	did, err := back(r3)
	require.NoError(t, err)
	require.Equal(t, r1, did.To.Number)
	require.Equal(t, r3, did.From.Number)
	require.Equal(t, "canary v3 and shadow v1", did.From.Candidates())
	require.Empty(t, did.Passed)
	require.Equal(t, schemas.Route{Champion: "v1", Policy: otherPolicy, By: "me", At: 5, Why: "worse"}, did.Written.Route)
	// Going back once more undoes it: the canary and the shadow stay away.
	again, err := back(did.Written.Number)
	require.NoError(t, err)
	require.Equal(t, r3, again.To.Number)
	require.Equal(t, "v2", again.Written.Route.Champion)
	require.Nil(t, again.Written.Route.Canary)
	require.Nil(t, again.Written.Route.Shadow)
}

func TestRollbackPassesOverWhatCannotServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	for _, v := range []string{"v1", "v2", "v3"} {
		w.release(v)
	}
	w.put("evil.1", []byte("no bundle"))
	back := func(expect int64) (*RolledBack, error) {
		return Rollback(t.Context(), w.config, w.topics, RollbackRequest{Expect: &expect, By: "me", At: 5, Why: "worse", Engine: model.EngineAuto})
	}
	current := func() int64 {
		h, err := ReadAll(t.Context(), w.config, w.topics)
		require.NoError(t, err)
		return h.Current().Number
	}
	w.putRoute(schemas.Route{Champion: "evil.1"})
	w.putRoute(schemas.Route{Champion: "v2", Canary: &schemas.Canary{ModelVersion: "v3", Share: 0.1}, Policy: otherPolicy})
	now := current()
	_, err := back(now)
	require.ErrorContains(t, err, "no revision has another champion than v2 that can serve; revision 0: model evil.1 is refused: ")
	require.ErrorContains(t, err, `; to drop canary v3 and keep the champion: creditstream model route --no-canary --expect 1 --why "rolled back" --brokers `)
	require.ErrorContains(t, err, "creditstream model route --champion VERSION --expect 1")
	require.Equal(t, now, current(), "nothing was written")

	r := w.champion(now, "v1")
	for _, champion := range []string{"evil.1", "gone", "v3", "evil.1"} {
		policy := ""
		if champion == "v3" {
			policy = "threshold: 7"
		}
		w.putRoute(schemas.Route{Champion: champion, Policy: policy})
	}
	w.putRoute(schemas.Route{Champion: "v2"})
	did, err := back(current())
	require.NoError(t, err)
	require.Equal(t, r, did.To.Number)
	require.Equal(t, "v1", did.Written.Route.Champion)
	var passed []string
	for _, p := range did.Passed {
		require.NotEmpty(t, p.Reason)
		passed = append(passed, p.Champion)
	}
	require.Equal(t, []string{"evil.1", "v3", "gone"}, passed, "each once, the newest first")
	require.Greater(t, did.Passed[0].Revision, did.Passed[1].Revision)
}

func TestFollowerTakesUpRoutesAsTheyCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	f, reg := w.follow(nil)
	w.eventually(func() bool {
		err := f.Ready()
		return err != nil && err.Error() == "no route yet: run creditstream model route, or start with --model shipped"
	}, "nothing serves")
	require.Nil(t, f.Live())

	w.release("v1")
	w.release("v2")
	first := w.champion(-1, "v1")
	w.serves(f, first, "v1")
	old := f.Live()
	rows, out := make([]float32, 64*model.NumInputs), make([]model.Result, 64)
	require.NoError(t, old.Champion.Evaluate(rows, out))
	before := out[0]

	w.release("v3")
	second := w.route(first, func(r *RouteRequest) {
		r.Champion, r.Canary, r.CanaryShare, r.Shadow, r.Policy = "v2", "v1", 1000, "v3", otherPolicy
	})
	w.serves(f, second, "v2")
	live := f.Live()
	require.Equal(t, uint64(1000), live.CanaryShare)
	require.Same(t, old.Champion, live.Canary, "it is open already")
	require.Equal(t, "v3", live.Shadow.Version)
	require.Equal(t, 0.4, live.Policy.Threshold)
	// The old set is in use still: it is what it was.
	require.Equal(t, "v1", old.Champion.Version)
	require.Equal(t, first, old.Revision)
	require.NoError(t, old.Champion.Evaluate(rows, out))
	require.Equal(t, before, out[0])
	require.NoError(t, f.Pending())
	require.Equal(t, Status{Revision: second, Newest: second, Versions: []string{"v1", "v2", "v3"}}, f.Status())
	w.eventually(func() bool { // a moment after it serves
		roles, err := testutil.GatherAndCount(reg, "creditstream_models_serving")
		return err == nil && roles == 3
	}, "each role is counted")
	require.InDelta(t, float64(second), testutil.ToFloat64(f.metrics.revision), 0)
}

func TestAReplicaThatStartsLaterServesTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.release("v2")
	first := w.champion(-1, "v1")
	f, _ := w.follow(shipped.Bundle)
	w.serves(f, first, "v1")

	// A route whose bundle is not there, past the command.
	w.putRoute(schemas.Route{Champion: "v9"})
	g, _ := w.follow(shipped.Bundle)
	for _, replica := range []*Follower{f, g} {
		w.serves(replica, first, "v1")
		w.eventually(func() bool { return replica.Pending() != nil }, "says what it waits for")
		require.ErrorContains(t, replica.Pending(), "model v9 is not among the released ones yet")
		require.NoError(t, replica.Ready())
		require.Greater(t, testutil.ToFloat64(replica.metrics.newest), testutil.ToFloat64(replica.metrics.revision))
	}
	require.Equal(t, 2, strings.Count(w.log.String(), "the newest route does not serve yet"))

	w.release("v9")
	for _, replica := range []*Follower{f, g} {
		w.eventually(func() bool { return replica.Live().Champion.Version == "v9" && replica.Pending() == nil }, "the bundle has come")
	}
}

func TestARouteBeforeItsBundleServesWhenThatArrives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.putRoute(schemas.Route{Champion: "v1"})
	f, _ := w.follow(shipped.Bundle)
	w.eventually(func() bool { return f.Pending() != nil }, "waits")
	require.ErrorContains(t, f.Ready(), "route revision 0 waits: model v1 is not among the released ones yet")
	require.Nil(t, f.Live(), "the fallback is for where there is no route")
	w.release("v1")
	w.serves(f, 0, "v1")
}

func TestTheFallbackServesUntilThereIsARoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	f, err := NewFollower(Config{Topics: w.topics, Engine: model.EngineAuto, Fallback: shipped.Bundle})
	require.NoError(t, err)
	require.Nil(t, f.Live(), "a route may exist: nothing serves before the topics were read")
	require.ErrorContains(t, f.Ready(), "reading t.models and t.routes")
	_, err = NewFollower(Config{Fallback: []byte("x"), Engine: model.EngineAuto})
	require.ErrorContains(t, err, "not a model bundle")

	f, _ = w.follow(shipped.Bundle)
	w.serves(f, -1, shippedVersion(t))
	w.release("v1")
	w.serves(f, w.champion(-1, "v1"), "v1")
}

func TestARefusedBundleNeverReplacesAWorkingOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	first := w.champion(-1, "v1")
	f, _ := w.follow(nil)
	w.serves(f, first, "v1")

	broken := version(t, "v2")
	broken[len(broken)/2] ^= 1
	w.put("v2", broken)
	shadow := "v2"
	for i, r := range []schemas.Route{
		{Champion: "v2"},
		{Champion: "v1", Canary: &schemas.Canary{ModelVersion: "v2", Share: 0.5}},
		{Champion: "v1", Shadow: &shadow},
		{Champion: "v1", Policy: "threshold: 2"},
		{Champion: "v1", Canary: &schemas.Canary{ModelVersion: "v2", Share: 0.33333}},
	} {
		w.putRoute(r)
		w.eventually(func() bool { return f.Status().Newest > first+int64(i) && f.Pending() != nil }, "seen")
		require.NoError(t, f.Ready())
		require.Equal(t, first, f.Live().Revision)
	}
	w.eventually(func() bool {
		return f.Status().Pending != "" && bytes.Contains([]byte(f.Status().Pending), []byte("canary.share"))
	}, "the newest one's reason")
	s := f.Status()
	require.Len(t, s.Refused, 1)
	require.Equal(t, "v2", s.Refused[0].Version)
	require.Equal(t, 1, strings.Count(w.log.String(), "model refused"), "told once")
	require.InDelta(t, 1, testutil.ToFloat64(f.metrics.refused.WithLabelValues("v2")), 0)

	// What is no route at all is passed over; withdrawn and released again, v2 serves.
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Routes, Value: []byte("{}")}).FirstErr())
	w.eventually(func() bool { return testutil.ToFloat64(f.metrics.problems) == 1 }, "counted")
	w.put("v2", nil)
	w.release("v2")
	w.eventually(func() bool { return f.Live().Champion.Version == "v1" && f.Live().Shadow != nil }, "the newest that can serve does")
	require.ErrorContains(t, f.Pending(), "canary.share 0.33333", "whatever comes after it")
	require.Empty(t, f.Status().Refused)
}

func TestOnlyWhatRoutesNameIsKeptOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bundles := map[string][]byte{"v1": version(t, "v1"), "v2": version(t, "v2"), "v3": version(t, "v3")}
	f, err := NewFollower(Config{Topics: w.topics, Engine: model.EngineAuto, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	opened := []string{}
	o := newOpener(model.EngineAuto, func(v string) ([]byte, bool) {
		opened = append(opened, v)
		b, ok := bundles[v]
		return b, ok
	})
	add := func(r schemas.Route) {
		r.Policy = policy.DefaultText
		f.history.routes = append(f.history.routes, Revision{Number: int64(len(f.history.routes)), Route: r})
		f.settle(o)
	}
	add(schemas.Route{Champion: "v1"})
	v1 := f.Live().Champion
	add(schemas.Route{Champion: "v2"})
	require.Len(t, o.models, 1)
	add(schemas.Route{Champion: "v3", Canary: &schemas.Canary{ModelVersion: "v9"}})
	require.Len(t, o.models, 2, "what serves and what is awaited")
	require.Equal(t, "v2", f.Live().Champion.Version)
	require.Equal(t, []string{"v1", "v2", "v3", "v9"}, opened)
	require.NoError(t, v1.Evaluate(make([]float32, model.NumInputs), make([]model.Result, 1)), "a batch may hold it")
}

func TestMissingTopicsAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f, err := NewFollower(Config{Kafka: w.config, Topics: w.topics, Engine: model.EngineAuto, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	err = f.Run(t.Context())
	require.ErrorContains(t, err, "t.models, t.routes")
	require.ErrorContains(t, err, "creditstream topics apply")
	_, err = ReadAll(t.Context(), w.config, w.topics)
	require.ErrorContains(t, err, "creditstream topics apply")
	_, err = Route(t.Context(), w.config, w.topics, RouteRequest{})
	require.ErrorContains(t, err, "creditstream topics apply")
}

func TestUnreachableBrokersAreWaitedFor(t *testing.T) {
	t.Parallel()
	log := &capture.Output{}
	f, err := NewFollower(Config{Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}, ClientID: "test"}, Topics: schemas.NewTopics("t"), Engine: model.EngineAuto, Fallback: shipped.Bundle, Log: slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "; retrying") }, time.Minute, time.Millisecond)
	require.ErrorContains(t, f.Ready(), "127.0.0.1:1")
	require.Nil(t, f.Live())
	cancel()
	require.NoError(t, <-done)
}

func TestADecisionOfThePastCanBeMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.release("v2")
	first := w.route(-1, func(r *RouteRequest) {
		r.Champion, r.Canary, r.CanaryShare, r.Policy = "v1", "v2", 100, otherPolicy
	})
	w.champion(first, "v2")
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	a, err := NewArchive(h, shipped.Bundle)
	require.NoError(t, err)
	other, err := policy.Parse(otherPolicy)
	require.NoError(t, err)
	standard, err := policy.Parse(policy.DefaultText)
	require.NoError(t, err)

	s, err := a.Set("v2", first, other.Version, model.EngineNative)
	require.NoError(t, err)
	require.Equal(t, "v2", s.Champion.Version)
	require.Equal(t, first, s.Revision)
	require.Equal(t, 0.4, s.Policy.Threshold)
	again, err := a.Set("v2", first, other.Version, model.EngineNative)
	require.NoError(t, err)
	require.Same(t, s, again)
	s, err = a.Set(shippedVersion(t), -1, standard.Version, model.EngineNative)
	require.NoError(t, err)
	require.Equal(t, int64(-1), s.Revision)

	_, err = a.Set("v2", 99, other.Version, model.EngineNative)
	require.ErrorContains(t, err, "no route revision 99")
	_, err = a.Set("v3", first, other.Version, model.EngineNative)
	require.ErrorContains(t, err, "does not name model v3")
	_, err = a.Set("v1", first, standard.Version, model.EngineNative)
	require.ErrorContains(t, err, "has policy "+other.Version)
	_, err = a.Set("v9", -1, standard.Version, model.EngineNative)
	require.ErrorContains(t, err, "v9 is not among the released ones")
}
