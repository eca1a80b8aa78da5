package latest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
)

// One that unpacks to too much is told of in words that are not the client's.
func TestOversizedBatch_IsToldOfByWhoFollowsTheStatus(t *testing.T) {
	t.Parallel()
	c := broker(t)
	create(t, c)
	log := &capture.Output{}
	f := NewFollower(c, topics, slog.New(slog.NewTextHandler(log, nil)), nil)
	f.quiet = time.Minute // the client says it, not a look at what is silent
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	require.Eventually(t, func() bool { _, err := f.Newest(); return errors.Is(err, ErrNone) }, patience, time.Millisecond)
	require.NoError(t, kafkatest.Oversized(t.Context(), c.Brokers, topics.DriftStatus, kafka.MaxBatch+1))
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "cannot be read") }, time.Minute, time.Millisecond)
	require.Contains(t, log.String(), fmt.Sprintf("unpacks to more than %d MiB", kafka.MaxBatch>>20))
	require.NotContains(t, log.String(), "SetOffsets")
	cancel()
	require.NoError(t, <-done)
}

// A status that cannot be read comes while it is followed: the next one is found behind it.
func TestUnreadableBatch_DoesNotEndFollowingTheStatus(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]bool{"records": false, "length": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			k, err := local.StartKafka(dir)
			require.NoError(t, err)
			t.Cleanup(k.Close)
			c := kafka.Config{Brokers: []string{k.Addr()}, Prefix: prefix, ClientID: "test"}
			create(t, c)
			f := NewFollower(c, topics, slog.New(slog.DiscardHandler), nil)
			f.quiet = 10 * time.Millisecond
			var held atomic.Bool
			held.Store(true)
			k.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
				k.Cluster().KeepControl()
				if held.Load() {
					return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
				}
				return nil, nil, false
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- f.Run(ctx) }()
			require.Eventually(t, func() bool { _, err := f.Newest(); return errors.Is(err, ErrNone) }, patience, time.Millisecond)
			transact(t, c, kgo.TryCommit, status(t, 1))
			transact(t, c, kgo.TryCommit, status(t, 2))
			require.NoError(t, kafkatest.Flip(dir, topics.DriftStatus, 0, 0, header))
			held.Store(false)
			require.Eventually(t, func() bool {
				r, err := f.Newest()
				return err == nil && r.Status.Decisions == 2
			}, patience, time.Millisecond)
			cancel()
			require.NoError(t, <-done)
		})
	}
}
