package view

import (
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/schemas"
)

// beside is another deployment on the same Kafka and Redis.
func (w *world) beside(prefix string) *world {
	other := *w
	other.last, other.keys, other.rdb = map[string]string{}, keysOf(prefix), redis.NewClient(&redis.Options{Addr: w.redis.Addr()})
	w.t.Cleanup(func() { _ = other.rdb.Close() })
	other.config.Redis, other.config.Group = other.rdb, member.Names{Group: prefix + ".view"}
	other.config.Kafka.Prefix, other.config.Topics = prefix, schemas.NewTopics(prefix)
	other.create()
	return &other
}

func TestDeployments_ShareOneRedis(t *testing.T) {
	t.Parallel()
	prod := newWorld(t)
	prod.emit(0, 400, 1)
	staging := prod.beside("t2") // begins with the other's prefix
	first, _ := prod.start()
	prod.same()

	// Nothing was decided there: its rebuild has nothing to remove.
	done, err := Rebuild(t.Context(), staging.config, io.Discard)
	require.NoError(t, err)
	require.Zero(t, done.Removed)
	prod.same()

	// The same applications, decided by both.
	staging.emit(200, 600, 2)
	second, _ := staging.start()
	staging.same()
	prod.same()
	prod.ready(first)
	staging.ready(second)
	require.InDelta(t, 0, testutil.ToFloat64(first.metrics.refills)+testutil.ToFloat64(second.metrics.refills), 0)
	done, err = Rebuild(t.Context(), prod.config, io.Discard)
	require.NoError(t, err)
	require.Zero(t, done.Removed)
	staging.same()

	// An outcome of one claims nothing of the other.
	claim := []Claim{{id(300), "outcomes/0/1", labels.Outcome{Observed: math.MaxInt64, Appended: math.MaxInt64}}}
	for _, prefix := range []string{"t", "t2"} {
		got, err := NewStore(prod.rdb, prefix).Claim(t.Context(), claim)
		require.NoError(t, err)
		require.True(t, got[0].First, prefix)
	}
	n, err := NewStore(prod.rdb, "t2").Erase(t.Context(), id(300))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	delete(staging.last, id(300))
	staging.same()
	prod.same()
}

func TestDeployments_NameEveryKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 40, 1)
	w.start()
	w.same()
	_, err := Rebuild(t.Context(), w.config, io.Discard)
	require.NoError(t, err)
	keys, err := w.rdb.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	for _, k := range keys {
		require.True(t, strings.HasPrefix(k, "t:"), k)
	}
	require.Len(t, keys, 2*40+3)
}

func TestDeployments_RefuseAGroupOfAnotherTopic(t *testing.T) {
	t.Parallel()
	prod := newWorld(t)
	staging := prod.beside("t2")
	staging.emit(0, 40, 1)
	_, stop := staging.start()
	staging.same()
	stop()
	prod.config.Group = staging.config.Group
	v, err := New(prod.configured())
	require.NoError(t, err)
	err = v.Run(t.Context())
	require.True(t, retry.IsPermanent(err), "%v", err)
	require.ErrorContains(t, err, "t2.predictions")
	require.ErrorContains(t, err, "choose another --group")
}

// elsewhere is the same deployment on another Kafka cluster, with the same Redis.
func (w *world) elsewhere() *world {
	broker, err := local.StartKafka("", kfake.ClusterID("another"))
	require.NoError(w.t, err)
	w.t.Cleanup(broker.Close)
	other := *w
	other.broker, other.last = broker, map[string]string{}
	other.config.Kafka.Brokers = []string{broker.Addr()}
	other.client, err = kgo.NewClient(append(other.config.Kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(w.t, err)
	w.t.Cleanup(other.client.Close)
	other.create()
	return &other
}

func TestDeployments_RefuseTheViewOfAnotherCluster(t *testing.T) {
	t.Parallel()
	here := newWorld(t)
	here.emit(0, 100, 1)
	v, stop := here.start()
	here.same()
	there := here.elsewhere()
	there.emit(0, 40, 2)

	refused, err := New(there.configured())
	require.NoError(t, err)
	for _, err := range []error{refused.Run(t.Context()), func() error {
		_, err := Rebuild(t.Context(), there.config, io.Discard)
		return err
	}()} {
		require.True(t, retry.IsPermanent(err), "%v", err)
		require.ErrorContains(t, err, `under prefix "t": t.predictions of Kafka cluster`)
		require.ErrorContains(t, err, "this is cluster another")
	}
	here.same()
	here.ready(v)
	stop()

	// The other cluster is no more.
	there.config.TakeOver = true
	_, err = Rebuild(t.Context(), there.config, io.Discard)
	require.NoError(t, err)
	there.same()
	there.config.TakeOver = false
	v, _ = there.start()
	there.ready(v)
	refused, err = New(here.configured())
	require.NoError(t, err)
	require.True(t, retry.IsPermanent(refused.Run(t.Context())))
	there.same()
}

// Whoever reads the view, or claims decisions in it, takes no other cluster's for its own.
func TestDeployments_ReadNothingOfAnotherClustersView(t *testing.T) {
	t.Parallel()
	here := newWorld(t)
	here.emit(0, 40, 1)
	v, _ := here.start()
	here.same()
	here.ready(v)
	var cluster string
	known := false
	s := NewStore(here.rdb, "t").Of(func() (string, bool) { return cluster, known })
	claim := []Claim{{id(3), "outcomes/0/1", labels.Outcome{Observed: math.MaxInt64, Appended: math.MaxInt64}}}
	all := func() (errs []error) {
		_, found, err := s.Prediction(t.Context(), id(3))
		require.Equal(t, err == nil, found)
		_, two := s.Claim(t.Context(), claim)
		_, _, three := s.Decided(t.Context(), id(3))
		return []error{err, two, three, s.Own(t.Context())}
	}
	for _, err := range all() {
		require.ErrorIs(t, err, errUnknownCluster)
	}
	cluster, known = "another", true
	for _, err := range all() {
		var other *OtherLogError
		require.ErrorAs(t, err, &other)
		require.Equal(t, "another", other.Ours)
	}
	got, err := NewStore(here.rdb, "t").Claim(t.Context(), []Claim{{claim[0].ID, "outcomes/0/2", claim[0].Of}})
	require.NoError(t, err)
	require.True(t, got[0].First, "nothing had claimed it")
	l, err := logOf(t.Context(), kadm.NewClient(here.client), here.config.Topics.Predictions)
	require.NoError(t, err)
	for _, ours := range []string{l.cluster, ""} { // one that does not say who it is
		cluster = ours
		require.Equal(t, make([]error, 4), all())
	}
	require.NoError(t, here.rdb.FlushAll(t.Context()).Err())
	require.NoError(t, s.Own(t.Context()), "it is nobody's yet")
}

// What earlier releases wrote, in their layout.
func TestUnprefixed_OnlyKeysOfThisLogAreRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 40, 1)
	_, stop := w.start()
	w.same()
	stop()
	l, err := logOf(t.Context(), kadm.NewClient(w.client), w.config.Topics.Predictions)
	require.NoError(t, err)
	ctx, other := t.Context(), l.number+1
	old := func(id string, log uint32) {
		require.NoError(t, w.rdb.Set(ctx, "prediction:"+id, fmt.Sprintf(`{"a":1,"view":{"partition":2,"offset":27,"log":%d,"decided_us":1,"generation":0}}`, log), 0).Err())
		require.NoError(t, w.rdb.HSet(ctx, "decided:"+id, "default_probability", "0.5", "view", fmt.Sprintf("2/27/%d/1/0", log)).Err())
	}
	for i := range 300 {
		old(fmt.Sprint("ours-", i), l.number)
	}
	old("theirs", other)
	require.NoError(t, w.rdb.Set(ctx, "prediction:by-hand", `{"a":1}`, 0).Err())
	require.NoError(t, w.rdb.Set(ctx, "decided:text", "x", 0).Err())
	require.NoError(t, w.rdb.Set(ctx, "unrelated", "x", 0).Err())
	require.NoError(t, w.rdb.HSet(ctx, "{view}:progress", "0", formatProgress(l.number, 7), "1", formatProgress(other, 9)).Err())
	require.NoError(t, w.rdb.Set(ctx, "{view}:generation", 3, 0).Err())
	before := w.rdb.DBSize(ctx).Val()

	removed, err := RemoveUnprefixed(ctx, w.config)
	require.NoError(t, err)
	require.EqualValues(t, 600, removed)
	require.Equal(t, before-600, w.rdb.DBSize(ctx).Val())
	require.EqualValues(t, 6, w.rdb.Exists(ctx, "prediction:theirs", "decided:theirs", "prediction:by-hand", "decided:text", "unrelated", "{view}:generation").Val())
	require.Equal(t, map[string]string{"1": formatProgress(other, 9)}, w.rdb.HGetAll(ctx, "{view}:progress").Val())
	w.same()
	removed, err = RemoveUnprefixed(ctx, w.config)
	require.NoError(t, err)
	require.Zero(t, removed)

	// Nobody else has ever been in it.
	require.NoError(t, w.rdb.HDel(ctx, "{view}:progress", "1").Err())
	require.NoError(t, w.rdb.HSet(ctx, "{view}:progress", "0", formatProgress(l.number, 7)).Err())
	_, err = RemoveUnprefixed(ctx, w.config)
	require.NoError(t, err)
	require.Zero(t, w.rdb.Exists(ctx, "{view}:progress", "{view}:generation").Val())
	w.same()
}

// Keys of a deployment that is called like an old key are new ones.
func TestUnprefixed_KeysOfADeploymentNamedPredictionStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t).beside("prediction")
	w.emit(0, 40, 1)
	w.start()
	w.same()
	removed, err := RemoveUnprefixed(t.Context(), w.config)
	require.NoError(t, err)
	require.Zero(t, removed)
	w.same()
}
