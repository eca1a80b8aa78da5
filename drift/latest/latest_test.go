package latest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

const (
	patience = 30 * time.Second
	prefix   = "credit"
)

var topics = schemas.NewTopics(prefix)

// broker is an embedded one; the status topic is made by create.
func broker(t *testing.T) kafka.Config {
	k, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return kafka.Config{Brokers: []string{k.Addr()}, Prefix: prefix, ClientID: "test"}
}

func create(t *testing.T, c kafka.Config) {
	client, err := kgo.NewClient(c.Options()...)
	require.NoError(t, err)
	defer client.Close()
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(client), []kafka.TopicSpec{{Name: topics.DriftStatus, Partitions: 1, Replication: 1}})
	require.NoError(t, err)
}

// transact writes values in one transaction.
func transact(t *testing.T, c kafka.Config, how kgo.TransactionEndTry, values ...string) {
	client, err := kgo.NewClient(append(c.Options(), kgo.TransactionalID("evaluator"), kgo.DefaultProduceTopic(topics.DriftStatus))...)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.BeginTransaction())
	for _, v := range values {
		require.NoError(t, client.ProduceSync(t.Context(), kgo.StringRecord(v)).FirstErr())
	}
	require.NoError(t, client.EndTransaction(t.Context(), how))
}

func status(t *testing.T, decisions int64) string {
	b, err := json.Marshal(drift.Status{State: drift.Watch, Decisions: decisions})
	require.NoError(t, err)
	return string(b)
}

func TestTheNewestCommittedStatusIsFound(t *testing.T) {
	t.Parallel()
	c := broker(t)
	create(t, c)
	newest, next, err := Read(t.Context(), c, topics)
	require.NoError(t, err)
	require.Nil(t, newest)
	require.Zero(t, next)

	transact(t, c, kgo.TryCommit, status(t, 1), status(t, 2))
	newest, _, err = Read(t.Context(), c, topics)
	require.NoError(t, err)
	require.EqualValues(t, 2, newest.Status.Decisions)
	require.JSONEq(t, status(t, 2), string(newest.JSON))

	// Behind many that were taken back, and behind what is no status.
	for range 20 {
		transact(t, c, kgo.TryAbort, status(t, 99))
	}
	transact(t, c, kgo.TryCommit, "nonsense")
	newest, next, err = Read(t.Context(), c, topics)
	require.NoError(t, err)
	require.EqualValues(t, 2, newest.Status.Decisions)
	require.EqualValues(t, 3+20*2+2, next)
}

func TestATopicThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	_, _, err := Read(t.Context(), broker(t), topics)
	require.ErrorContains(t, err, topics.DriftStatus)
	require.ErrorContains(t, err, "topics apply")
}

func TestAFollowerKnowsTheNewest(t *testing.T) {
	t.Parallel()
	c := broker(t)
	f := NewFollower(c, topics, slog.New(slog.DiscardHandler), nil)
	_, err := f.Newest()
	require.ErrorIs(t, err, errReading)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()

	until := func(what string, ok func(*Record, error) bool) {
		t.Helper()
		require.Eventually(t, func() bool { return ok(f.Newest()) }, patience, 5*time.Millisecond, what)
	}
	until("the topic is missing", func(_ *Record, err error) bool {
		var missing *kafka.MissingTopicsError
		return errors.As(err, &missing)
	})
	require.NoError(t, f.Ready(), "decisions are served all the same")
	create(t, c)
	until("the topic is there and empty", func(_ *Record, err error) bool { return errors.Is(err, ErrNone) })
	for n := range int64(5) {
		transact(t, c, kgo.TryCommit, status(t, n+1))
		until("the newest", func(r *Record, err error) bool { return err == nil && r.Status.Decisions == n+1 })
	}
	transact(t, c, kgo.TryAbort, status(t, 99))
	transact(t, c, kgo.TryCommit, "nonsense")
	transact(t, c, kgo.TryCommit, status(t, 7))
	until("the newest", func(r *Record, _ error) bool { return r.Status.Decisions == 7 })
	cancel()
	require.NoError(t, <-done)

	// Another one finds it at once.
	again := NewFollower(c, topics, slog.New(slog.DiscardHandler), nil)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	go func() { done <- again.Run(ctx) }()
	require.Eventually(t, func() bool {
		r, err := again.Newest()
		return err == nil && r.Status.Decisions == 7
	}, patience, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}
