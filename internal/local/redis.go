package local

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Redis is an embedded Redis, in memory.
type Redis struct {
	server *miniredis.Miniredis
}

// StartRedis starts one on a free loopback port.
func StartRedis() (*Redis, error) { return StartRedisAt("127.0.0.1:0") }

// StartRedisAt starts one on host:port.
func StartRedisAt(address string) (*Redis, error) {
	s := miniredis.NewMiniRedis()
	if err := s.StartAddr(address); err != nil {
		return nil, fmt.Errorf("embedded Redis: %w", err)
	}
	return &Redis{s}, nil
}

// Addr is its host:port.
func (r *Redis) Addr() string { return r.server.Addr() }

// Server is the embedded server, for tests that break it.
func (r *Redis) Server() *miniredis.Miniredis { return r.server }

// Close stops it.
func (r *Redis) Close() { r.server.Close() }

// agingStep is how often the embedded Redis's time moves on.
const agingStep = 5 * time.Second

// Age lets keys expire until ctx ends: the embedded server's time stands still
// by itself. While it holds more than most keys its time runs faster, so that
// those with the shortest time to live go first and memory stays bounded.
func (r *Redis) Age(ctx context.Context, most int) {
	tick := time.NewTicker(agingStep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.age(most)
		}
	}
}

// longestTTL ends the search for keys to let go: what is left has no end.
const longestTTL = 24 * time.Hour

func (r *Redis) age(most int) {
	r.server.FastForward(agingStep)
	for passed := agingStep; passed < longestTTL && len(r.server.Keys()) > most; passed *= 2 {
		r.server.FastForward(passed)
	}
}
