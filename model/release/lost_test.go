package release

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// fallingBack runs a follower with a fallback until the test ends; read is the revision that
// somebody has read.
func (w *world) fallingBack(read int64) *Follower {
	w.t.Helper()
	f, err := NewFollower(Config{
		Kafka: w.config, Topics: w.topics, Engine: model.EngineAuto, Fallback: shipped.Bundle, Log: slog.New(slog.DiscardHandler),
		Known: func(context.Context) (int64, string, error) { return read, "score/one", nil },
	})
	require.NoError(w.t, err)
	ctx, stop := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		require.NoError(w.t, <-done)
	})
	return f
}

// waits holds that nothing serves, and why, until a route is written again.
func (w *world) waits(f *Follower, why string) {
	w.t.Helper()
	w.eventually(func() bool { return f.Pending() != nil }, "it says why")
	require.ErrorContains(w.t, f.Ready(), why)
	require.ErrorContains(w.t, f.Ready(), "creditstream model route")
	require.Nil(w.t, f.Live())
}

func TestFollower_ServesNoFallbackWhereRetentionTookTheRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	first := w.champion(-1, "v1")
	client, err := kgo.NewClient(w.config.Options()...)
	require.NoError(t, err)
	defer client.Close()
	adm := kadm.NewClient(client)
	ends, err := adm.ListEndOffsets(t.Context(), w.topics.Routes)
	require.NoError(t, err)
	_, err = adm.DeleteRecords(t.Context(), ends.Offsets())
	require.NoError(t, err)

	f := w.fallingBack(-1)
	w.waits(f, "are gone")
	again := w.champion(-1, "v1")
	require.Greater(t, again, first)
	w.serves(f, again, "v1")
}

func TestFollower_ServesNoFallbackWhereAReplicaHasReadARoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics() // made again: the log begins at 0
	w.release("v1")
	f := w.fallingBack(3)
	w.waits(f, "score/one has read route revision 3 of t.routes, which holds none")
	w.serves(f, w.champion(-1, "v1"), "v1")
}

func TestFollower_ServesNoFallbackWhereTheRouteCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	client, err := kgo.NewClient(w.config.Options()...)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Routes, Value: []byte("{")}).FirstErr())
	w.waits(w.fallingBack(-1), "offset 0")
}

// A first route that was begun and given up was never in force.
func TestFollower_ServesTheFallbackWhereThereNeverWasARoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	client, err := kgo.NewClient(append(w.config.Options(), kgo.TransactionalID("t-router"))...)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.BeginTransaction())
	route := schemas.Route{Champion: "v1", Policy: policy.DefaultText}
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Routes, Value: schemas.AppendRoute(nil, &route)}).FirstErr())
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryAbort))
	f := w.fallingBack(-1)
	w.eventually(func() bool { return f.Live() != nil }, "the fallback serves")
	require.EqualValues(t, -1, f.Live().Revision)
	require.NoError(t, f.Ready())
}
