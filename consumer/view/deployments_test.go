package view

import (
	"io"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/member"
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
	claim := []Claim{{id(300), "outcomes/0/1"}}
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
	require.Len(t, keys, 2*40+2)
}

func TestDeployments_RefuseAGroupOfAnotherTopic(t *testing.T) {
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
	require.True(t, member.IsPermanent(err), "%v", err)
	require.ErrorContains(t, err, "t2.predictions")
	require.ErrorContains(t, err, "choose another --group")
}
