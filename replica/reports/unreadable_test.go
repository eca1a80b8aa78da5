package reports

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
)

// A damaged batch of reports is passed over and told of, whether the client complains of it
// or waits for it in silence: the others are known, and what comes.
func TestUnreadableBatch_HidesNoOtherReplica(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]kafkatest.Damage{"records": kafkatest.Records, "length": kafkatest.Length, "format 0": kafkatest.Format(0)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			w.createTopic()
			started := time.Now().Add(-time.Minute)
			for _, instance := range []string{"one", "two", "three"} {
				w.said(instance, started)
			}
			require.NoError(t, damage(dir, w.topics.Replicas, 0, 1))
			w.config.Log = slog.New(slog.NewTextHandler(w.log, nil))
			l, err := OpenLog(t.Context(), w.config, w.topics)
			require.NoError(t, err)
			defer l.Close()
			require.NoError(t, l.ReadToEnd(t.Context()))
			require.Len(t, l.Board.States(time.Now()), 2)
			require.Equal(t, 1, l.Ignored)
			var u *kafka.UnreadableError
			require.ErrorAs(t, l.Problem, &u)
			require.EqualValues(t, 1, u.From)
			require.Contains(t, w.log.String(), "left out")
		})
	}
}

// So it is while they are followed.
func TestUnreadableBatch_DoesNotEndFollowingReplicas(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]kafkatest.Damage{"records": kafkatest.Records, "length": kafkatest.Length} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			w.createTopic()
			w.config.Log = slog.New(slog.NewTextHandler(w.log, nil))
			f := NewFollower(w.config, w.topics, w.config.Log)
			f.quiet = 100 * time.Millisecond
			ctx, cancel := context.WithCancel(context.Background())
			var ran sync.WaitGroup
			ran.Go(func() { _ = f.Run(ctx) })
			defer func() { cancel(); ran.Wait() }()
			w.eventually(func() bool { return f.Pending() == nil }, "it follows")
			held, letGo := kafkatest.Hold(w.broker.Cluster())
			<-held
			w.said("one", time.Now().Add(-time.Minute))
			w.said("two", time.Now().Add(-time.Minute))
			require.NoError(t, damage(dir, w.topics.Replicas, 0, 0))
			letGo()
			w.eventually(func() bool { all, err := f.Replicas(); return err == nil && len(all) == 1 }, "the other is known")
			require.Contains(t, w.log.String(), "left out")
		})
	}
}

// A batch that was aborted and is too large for a client to see that hides no replica.
func TestAbortedBatch_ThatIsTooLargeHidesNoReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	w.said("one", time.Now())
	require.NoError(t, kafkatest.AbortedOversized(t.Context(), w.config.Brokers, w.topics.Replicas, kafka.MaxBatch+1))
	w.said("two", time.Now())
	l, err := OpenLog(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, l.ReadToEnd(ctx))
	require.Len(t, l.Board.States(time.Now()), 2)
	require.Zero(t, l.Ignored)
}
