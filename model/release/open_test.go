package release

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
)

// A route behind a transaction that was left open cannot be read: whoever follows the
// routes says so, and the old one serves.
func TestFollower_SaysThatRoutesWaitBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	f, err := NewFollower(Config{
		Kafka: w.config, Topics: w.topics, Engine: model.EngineAuto, Fallback: shipped.Bundle, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	require.NoError(t, err)
	f.interval = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	w.serves(f, -1, shippedVersion(t))

	hangs, err := kgo.NewClient(append(w.config.Options(), kgo.TransactionalID("hangs"))...)
	require.NoError(t, err)
	t.Cleanup(hangs.Close)
	require.NoError(t, hangs.BeginTransaction())
	held := &kgo.Record{Topic: w.topics.Routes, Value: []byte("x"), Timestamp: time.Now().Add(-time.Minute)}
	require.NoError(t, hangs.ProduceSync(t.Context(), held).FirstErr())
	w.putRoute(schemas.Route{Champion: "v1", By: "test", At: 1, Why: "test"})
	says := "2 records behind an open transaction on " + w.topics.Routes + "/0 since "
	w.eventually(func() bool { return f.Pending() != nil && strings.Contains(f.Pending().Error(), says) }, says)
	require.NoError(t, f.Ready())

	require.NoError(t, hangs.EndTransaction(context.WithoutCancel(t.Context()), kgo.TryAbort))
	w.serves(f, 1, "v1")
	w.eventually(func() bool { return f.Pending() == nil }, "says it no more")
}

// Records that were taken back before a transaction that hangs are nothing to wait for:
// a follower that starts then knows all that can be read, and serves.
func TestFollower_StartsBehindWhatWasTakenBackBeforeAnOpenTransaction(t *testing.T) {
	t.Parallel()
	for _, topic := range []func(schemas.Topics) string{func(t schemas.Topics) string { return t.Routes }, func(t schemas.Topics) string { return t.Models }} {
		w := newWorld(t)
		w.createTopics()
		w.release("v1")
		revision := w.champion(-1, "v1")
		takenBack, err := kgo.NewClient(append(w.config.Options(), kgo.TransactionalID("aborts"))...)
		require.NoError(t, err)
		t.Cleanup(takenBack.Close)
		require.NoError(t, takenBack.BeginTransaction())
		r := &kgo.Record{Topic: topic(w.topics), Key: []byte("x"), Value: []byte("x")}
		require.NoError(t, takenBack.ProduceSync(t.Context(), r).FirstErr())
		end := w.hang(topic(w.topics))
		require.NoError(t, takenBack.EndTransaction(t.Context(), kgo.TryAbort)) // its marker comes last
		f, _ := w.follow(nil)
		w.serves(f, revision, "v1")
		require.NoError(t, f.Ready())
		end(kgo.TryCommit)
	}
}

// hang leaves a transaction open on a topic that, by its producer's clock, began a minute
// ago.
func (w *world) hang(topic string) (end func(kgo.TransactionEndTry)) {
	client, err := kgo.NewClient(append(w.config.Options(), kgo.TransactionalID(topic+"-hangs"), kgo.TransactionTimeout(5*time.Minute))...)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	require.NoError(w.t, client.BeginTransaction())
	held := &kgo.Record{Topic: topic, Key: []byte("x"), Value: []byte("x"), Timestamp: time.Now().Add(-time.Minute)}
	require.NoError(w.t, client.ProduceSync(w.t.Context(), held).FirstErr())
	return func(commit kgo.TransactionEndTry) {
		require.NoError(w.t, client.EndTransaction(context.WithoutCancel(w.t.Context()), commit))
	}
}

// The revision in force may lie behind a transaction that hangs: whoever routes then
// would overwrite what nobody can see.
func TestRoute_WritesNothingBehindAnOpenTransaction(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.release("v2")
	seen := w.champion(-1, "v1")
	end := w.hang(w.topics.Routes)
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	require.Equal(t, seen, h.Current().Number)
	require.Len(t, h.Open(), 1)
	require.Equal(t, w.topics.Routes, h.Open()[0].Topic)
	require.EqualValues(t, 1, h.Open()[0].Records)
	require.False(t, h.Open()[0].Since.IsZero())

	request := RouteRequest{Change: Change{Champion: "v2"}, Expect: &seen, By: "test", At: 1, Why: "test", Engine: model.EngineAuto}
	_, err = Route(t.Context(), w.config, w.topics, request)
	require.ErrorContains(t, err, "1 record behind an open transaction on "+w.topics.Routes+"/0 since ")
	_, err = Rollback(t.Context(), w.config, w.topics, RollbackRequest{Expect: &seen, By: "test", At: 1, Why: "test", Engine: model.EngineAuto})
	require.ErrorContains(t, err, "behind an open transaction")
	end(kgo.TryAbort)
	_, err = Route(t.Context(), w.config, w.topics, request)
	require.NoError(t, err)
}

// Nor is a version released under which others may lie there already; and a version that
// nobody can see is not called unknown without a word of why.
func TestRelease_WritesNothingBehindAnOpenTransaction(t *testing.T) {
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	end := w.hang(w.topics.Models)
	w.put("v2", version(t, "v2"))
	_, err := Release(t.Context(), w.config, w.topics, version(t, "v2"), model.EngineAuto, "a test")
	require.ErrorContains(t, err, "2 records behind an open transaction on "+w.topics.Models+"/0 since ")
	request := RouteRequest{Change: Change{Champion: "v2"}, By: "test", At: 1, Why: "test", Engine: model.EngineAuto}
	_, err = Route(t.Context(), w.config, w.topics, request)
	require.ErrorContains(t, err, "v2")
	require.ErrorContains(t, err, "behind an open transaction on "+w.topics.Models)
	w.champion(-1, "v1") // which all of them can read
	end(kgo.TryAbort)
	out, err := Release(t.Context(), w.config, w.topics, version(t, "v2"), model.EngineAuto, "a test")
	require.NoError(t, err)
	require.True(t, out.Existed)
}
