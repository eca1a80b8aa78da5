package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

func FuzzCutStamp(f *testing.F) {
	f.Add([]byte(`{"a":1}`), int32(3), int64(918), uint32(7), int64(1e15), int64(2))
	f.Add([]byte(`{"view":{"partition":1}}`), int32(0), int64(0), uint32(0), int64(0), int64(0))
	f.Add([]byte(`{"a":",\"view\":{"} `), int32(1), int64(1), uint32(1), int64(1), int64(1))
	f.Fuzz(func(t *testing.T, object []byte, p int32, o int64, l uint32, d, g int64) {
		want := Stamp{p, o, l, d, g}
		got, ok := parseStamp(want.String())
		require.True(t, ok)
		require.Equal(t, want, got)

		_, _, _ = cutStamp(object) // whatever another program has put there
		var members map[string]any
		if json.Unmarshal(object, &members) != nil || len(members) == 0 {
			return
		}
		stored := appendStamped(nil, object, want)
		require.True(t, json.Valid(stored))
		cut, got, ok := cutStamp(stored)
		require.True(t, ok)
		require.Equal(t, want, got)
		require.Equal(t, string(bytes.TrimRight(object, " \t\r\n")), string(cut))
	})
}

func TestWhatIsStored(t *testing.T) {
	t.Parallel()
	server, err := local.StartRedis()
	require.NoError(t, err)
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()
	store, ctx := NewStore(rdb, "t"), t.Context()
	w := &world{t: t, clock: time.UnixMicro(1764093600123456).UTC()}
	now := time.Now()
	value := w.predict(1, 50)
	value = append(value[:len(value)-1], ` , "view": {"x": 1} }`+"\n"...)
	b := batch{log: 12, generation: 4, lifetimes: DefaultLifetimes(), logger: slog.New(slog.DiscardHandler), metrics: newMetrics(prometheus.NewRegistry())}
	require.NoError(t, b.add(ctx, &kgo.Record{Partition: 3, Offset: 918, Timestamp: now.Add(-24 * time.Hour), Value: value}, now))

	// Keys of another type or written by hand do not stand in the way.
	require.NoError(t, rdb.HSet(ctx, store.keys.prediction(id(1)), "a", 1).Err())
	require.NoError(t, rdb.Set(ctx, store.keys.decided(id(1)), "{}", 0).Err())
	written, err := store.Write(ctx, b.entries)
	require.NoError(t, err)
	require.Equal(t, Written{Written: 1}, written)

	got, found, err := store.Prediction(ctx, id(1))
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, string(bytes.TrimSpace(value)), string(got))
	stored, err := rdb.Get(ctx, store.keys.prediction(id(1))).Bytes()
	require.NoError(t, err)
	var p schemas.Prediction
	require.ErrorContains(t, schemas.DecodePrediction(stored, &p), "view") // twice: as its sender's key and as the stamp
	require.True(t, bytes.HasSuffix(stored, []byte(`,"view":{"partition":3,"offset":918,"log":12,"decided_us":1764093600124456,"generation":4}}`)), string(stored))

	kept, err := rdb.Get(ctx, "t:decided:"+id(1)).Result()
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("1\n3/918/12/1764093600124456/4/%d\t0.5\tv50\tapprove\t1\t0\t0\t18-24\t", now.Add(-24*time.Hour).UnixMilli()), kept)
	// The time to live counts from when the log took the record.
	require.InDelta(t, 29*24*time.Hour, rdb.PTTL(ctx, store.keys.prediction(id(1))).Val(), float64(time.Hour))
	require.InDelta(t, 799*24*time.Hour, rdb.PTTL(ctx, store.keys.decided(id(1))).Val(), float64(time.Hour))

	n, err := store.Erase(ctx, id(1))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, found, err = store.Prediction(ctx, id(1))
	require.NoError(t, err)
	require.False(t, found)
	_, found, err = store.Decided(ctx, id(1))
	require.NoError(t, err)
	require.False(t, found)
}

func TestWhatHasExpiredIsNotWritten(t *testing.T) {
	t.Parallel()
	server, err := local.StartRedis()
	require.NoError(t, err)
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()
	store, ctx := NewStore(rdb, "t"), t.Context()
	w := &world{t: t, clock: time.Now()}
	now := time.Now()
	b := batch{lifetimes: DefaultLifetimes(), logger: slog.New(slog.DiscardHandler), metrics: newMetrics(prometheus.NewRegistry())}
	const day = 24 * time.Hour
	for i, age := range []time.Duration{29 * day, 31 * day, 801 * day} {
		require.NoError(t, b.add(t.Context(), &kgo.Record{Offset: int64(i), Timestamp: now.Add(-age), Value: w.predict(i, 1)}, now))
	}
	written, err := store.Write(ctx, b.entries)
	require.NoError(t, err)
	require.Equal(t, Written{Written: 1}, written)
	keys, err := rdb.Keys(ctx, "*").Result()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"t:prediction:" + id(0), "t:decided:" + id(0), "t:decided:" + id(1)}, keys)
}
