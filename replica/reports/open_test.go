package reports

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reports are in nobody's transaction: one that was left open on their topic keeps
// nobody from reading them, not at the start and not later. So it is not watched for.
func TestFollower_ReadsPastOpenTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	hangs, err := kgo.NewClient(append(w.config.Options(), kgo.TransactionalID("hangs"), kgo.TransactionTimeout(5*time.Minute))...)
	require.NoError(t, err)
	t.Cleanup(hangs.Close)
	require.NoError(t, hangs.BeginTransaction())
	held := &kgo.Record{Topic: w.topics.Replicas, Key: []byte("score/one"), Value: []byte("x")}
	require.NoError(t, hangs.ProduceSync(t.Context(), held).FirstErr())

	f := NewFollower(w.config, w.topics, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	w.eventually(func() bool { return f.Pending() == nil }, "it has read all there is")
	w.report(time.Now(), Component{Name: "score", Instance: "one", Ready: fine})
	w.eventually(func() bool { all, err := f.Replicas(); return err == nil && len(all) == 1 }, "the report behind it")
	l, err := OpenLog(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.ReadToEnd(t.Context()))
	require.Len(t, l.Board.Summarise(time.Now()), 1, "a reader that starts now")
	require.Equal(t, 1, l.Ignored, "nobody's report")
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, hangs.EndTransaction(t.Context(), kgo.TryAbort))
}
