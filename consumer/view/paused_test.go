package view

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/member"
)

// gate holds up pipelines while it is shut.
type gate struct {
	shut    atomic.Pointer[chan struct{}]
	waiting atomic.Int32
}

func (g *gate) close() (open func()) {
	c := make(chan struct{})
	g.shut.Store(&c)
	return func() { g.shut.Store(nil); close(c) }
}

func (*gate) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (*gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if c := g.shut.Load(); c != nil {
			g.waiting.Add(1)
			<-*c
			g.waiting.Add(-1)
		}
		return next(ctx, cmds)
	}
}

func TestAPausedViewResumesBehindAnotherThatWentOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 200, 1)
	g := &gate{}
	paused := redis.NewClient(&redis.Options{Addr: w.redis.Addr()})
	defer func() { _ = paused.Close() }()
	paused.AddHook(g)
	other := w.config.Redis
	w.config.Redis = paused
	old, _ := w.start()
	w.same()

	open := g.close()
	w.emit(50, 150, 2)
	require.Eventually(t, func() bool { return g.waiting.Load() > 0 }, patience, tick)

	// The broker takes it for dead: the other has every partition.
	w.config.Redis, w.config.Group = other, member.Names{Group: "other"}
	ahead, _ := w.start()
	w.emit(100, 250, 3)
	w.same()
	w.ready(ahead)
	progress := w.rdb.HGetAll(t.Context(), w.keys.progress).Val()

	open()
	require.Eventually(t, func() bool {
		old.mu.Lock()
		s := old.session
		old.mu.Unlock()
		if s == nil {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		read := int64(0)
		for _, p := range s.positions {
			read += p.next
		}
		return read == 450
	}, patience, tick)
	w.same()
	require.Equal(t, progress, w.rdb.HGetAll(t.Context(), w.keys.progress).Val())
	require.NoError(t, old.Ready())
}
