package latest

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/capture"
)

// What lies behind a transaction that was left open on the status topic cannot be read:
// whoever follows it says so, shows what it knows, and knows the rest in the end.
func TestFollower_SaysThatStatusWaitsBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	c := broker(t)
	create(t, c)
	transact(t, c, kgo.TryCommit, status(t, 1))
	var log capture.Output
	reg := prometheus.NewRegistry()
	f := NewFollower(c, topics, slog.New(slog.NewTextHandler(&log, nil)), reg)
	f.looks = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	knows := func(decisions int64) func() bool {
		return func() bool { r, err := f.Newest(); return err == nil && r.Status.Decisions == decisions }
	}
	require.Eventually(t, knows(1), patience, 5*time.Millisecond)
	require.NoError(t, f.Pending())

	hangs, err := kgo.NewClient(append(c.Options(), kgo.TransactionalID("hangs"), kgo.TransactionTimeout(5*time.Minute))...)
	require.NoError(t, err)
	defer hangs.Close()
	require.NoError(t, hangs.BeginTransaction())
	held := &kgo.Record{Topic: topics.DriftStatus, Value: []byte("x"), Timestamp: time.Now().Add(-time.Minute)}
	require.NoError(t, hangs.ProduceSync(t.Context(), held).FirstErr())
	transact(t, c, kgo.TryCommit, status(t, 2))
	says := "records behind an open transaction on " + topics.DriftStatus + "/0 since "
	require.Eventually(t, func() bool { return f.Pending() != nil && strings.Contains(f.Pending().Error(), says) }, patience, time.Millisecond)
	require.NoError(t, f.Ready())
	require.True(t, knows(1)(), "what was known is shown")
	require.Contains(t, log.String(), "records wait behind an open transaction")
	n, err := testutil.GatherAndCount(reg, "creditstream_open_transaction_records", "creditstream_open_transaction_seconds")
	require.NoError(t, err)
	require.Equal(t, 2, n)

	require.NoError(t, hangs.EndTransaction(t.Context(), kgo.TryAbort))
	require.Eventually(t, knows(2), patience, time.Millisecond)
	require.Eventually(t, func() bool { return f.Pending() == nil }, patience, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

// A follower that starts then finds what was committed before, also behind what was taken
// back.
func TestFollower_StartsBeforeAnOpenTransaction(t *testing.T) {
	t.Parallel()
	c := broker(t)
	create(t, c)
	transact(t, c, kgo.TryCommit, status(t, 1))
	begin := func(id string) *kgo.Client {
		client, err := kgo.NewClient(append(c.Options(), kgo.TransactionalID(id), kgo.TransactionTimeout(5*time.Minute), kgo.DefaultProduceTopic(topics.DriftStatus))...)
		require.NoError(t, err)
		t.Cleanup(client.Close)
		require.NoError(t, client.BeginTransaction())
		require.NoError(t, client.ProduceSync(t.Context(), kgo.StringRecord(status(t, 99))).FirstErr())
		return client
	}
	takenBack, hangs := begin("takes back"), begin("hangs")
	require.NoError(t, takenBack.EndTransaction(t.Context(), kgo.TryAbort)) // its marker comes last
	f := NewFollower(c, topics, slog.New(slog.DiscardHandler), nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	require.Eventually(t, func() bool { r, err := f.Newest(); return err == nil && r.Status.Decisions == 1 }, patience, time.Millisecond)
	require.NoError(t, hangs.EndTransaction(t.Context(), kgo.TryAbort))
	cancel()
	require.NoError(t, <-done)
}
