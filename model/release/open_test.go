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
)

// A route behind a transaction that was left open cannot be read: whoever follows the
// routes says so, and the old one serves.
func TestFollower_SaysThatRoutesWaitBehindAnOpenTransaction(t *testing.T) {
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
	revision := w.champion(-1, "v1") // in a transaction of its own: its record and the end of that
	says := "3 records behind an open transaction on " + w.topics.Routes + "/0 since "
	w.eventually(func() bool { return f.Pending() != nil && strings.Contains(f.Pending().Error(), says) }, says)
	require.NoError(t, f.Ready())

	require.NoError(t, hangs.EndTransaction(context.WithoutCancel(t.Context()), kgo.TryAbort))
	w.serves(f, revision, "v1")
	w.eventually(func() bool { return f.Pending() == nil }, "says it no more")
}
