package view

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// cutLog makes the log begin at an offset, as retention does, and forgets the
// applications whose last prediction it took.
func (w *world) cutLog(at int64) {
	offsets := kadm.Offsets{}
	for p := range int32(partitions) {
		offsets.AddOffset(w.config.Topics.Predictions, p, at, -1)
	}
	deleted, err := kadm.NewClient(w.client).DeleteRecords(w.t.Context(), offsets)
	require.NoError(w.t, err)
	require.NoError(w.t, deleted.Error())
}

func TestRebuildRemovesWhatTheLogNoLongerHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 100, 1)
	w.emit(40, 80, 2)
	v, _ := w.start()
	w.same()
	w.ready(v)
	w.cutLog(25) // the first pass
	for i := range 100 {
		if i < 40 || i >= 80 {
			delete(w.last, id(i))
		}
	}
	// By hand, and of no log at all.
	require.NoError(t, w.rdb.Set(t.Context(), w.keys.prediction("ghost"), `{"a":1}`, 0).Err())
	require.NoError(t, w.rdb.Set(t.Context(), w.keys.prediction(id(50)), `{"a":1,"view":{"partition":2,"offset":27,"log":1,"decided_us":1,"generation":0}}`, 0).Err())
	require.NoError(t, w.rdb.Set(t.Context(), "unrelated", "stays", 0).Err())

	var progress bytes.Buffer
	done, err := Rebuild(t.Context(), w.config, &progress)
	require.NoError(t, err)
	require.Equal(t, int64(1), done.Generation)
	require.Equal(t, int64(40), done.Read)
	require.Equal(t, int64(40), done.Written)
	require.Equal(t, int64(2*60+1), done.Removed)
	require.Contains(t, progress.String(), "rebuild 1: 40 offsets to read")
	w.same()
	require.NoError(t, v.Ready())
	require.Equal(t, "stays", w.rdb.Get(t.Context(), "unrelated").Val())
	require.Zero(t, w.rdb.Exists(t.Context(), w.keys.rebuild).Val())

	// The view goes on, and the next rebuild writes everything once more.
	w.emit(60, 120, 3)
	w.same()
	done, err = Rebuild(t.Context(), w.config, io.Discard)
	require.NoError(t, err)
	require.Equal(t, Rebuilt{Generation: 2, Read: 100, Written: 80}, done)
	w.same()
}

func TestRebuildOfAnEmptyRedisIsTheViewsProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 200, 1)
	_, err := Rebuild(t.Context(), w.config, io.Discard)
	require.NoError(t, err)
	w.same()
	v, _ := w.start()
	w.ready(v)
	w.emit(100, 300, 2)
	w.same()
	require.InDelta(t, 200, testutil.ToFloat64(v.metrics.written), 0)
	require.InDelta(t, 0, testutil.ToFloat64(v.metrics.stale), 0)
}

func TestRebuildWhilePredictionsComeIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.batch = 100
	w.emit(0, 600, 1)
	w.start()
	w.same()
	// Readers never miss an application that the log holds.
	reading, stopReading := context.WithCancel(t.Context())
	missed := make(chan string, 1)
	go func() {
		defer close(missed)
		store := NewStore(redis.NewClient(&redis.Options{Addr: w.redis.Addr()}), "t")
		for i := 0; reading.Err() == nil; i++ {
			_, found, err := store.Prediction(reading, id(i%600))
			if reading.Err() == nil && (err != nil || !found) {
				missed <- id(i % 2000)
				return
			}
		}
	}()
	rebuilt := make(chan error, 1)
	go func() {
		_, err := Rebuild(t.Context(), w.config, io.Discard)
		rebuilt <- err
	}()
	for pass := 2; len(rebuilt) == 0; pass++ {
		w.emit(500, 510, pass)
	}
	require.NoError(t, <-rebuilt)
	w.same()
	stopReading()
	require.Empty(t, <-missed)
}

// interrupt ends a rebuild the first time its progress says so.
type interrupt struct {
	when string
	stop func()
}

func (i *interrupt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), i.when) {
		i.stop()
	}
	return len(p), nil
}

func TestRebuildGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.batch = 100
	w.emit(0, 600, 1)
	w.start()
	w.same()
	ctx, cancel := context.WithCancel(t.Context())
	first, err := Rebuild(ctx, w.config, &interrupt{"predictions read", cancel})
	require.ErrorIs(t, err, context.Canceled)
	require.Positive(t, first.Read)
	require.Less(t, first.Read, int64(600))
	w.emit(100, 200, 2)

	var progress bytes.Buffer
	second, err := Rebuild(t.Context(), w.config, &progress)
	require.NoError(t, err)
	require.Equal(t, first.Generation, second.Generation)
	require.Contains(t, progress.String(), "going on with rebuild 1")
	require.Equal(t, int64(600), first.Read+second.Read)
	w.same()
	for _, value := range w.rdb.MGet(t.Context(), w.keys.prediction(id(0)), w.keys.prediction(id(599))).Val() {
		require.Contains(t, value, `"generation":1}}`)
	}
}

func TestRebuildStopsWhenRedisIsEmptied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.batch = 100
	w.emit(0, 600, 1)
	v, _ := w.start()
	w.same()
	_, err := Rebuild(t.Context(), w.config, &interrupt{"predictions read", w.redis.Server().FlushAll})
	require.ErrorIs(t, err, errAbandoned)
	w.same()
	w.ready(v)
}
