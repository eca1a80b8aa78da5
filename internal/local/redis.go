package local

import (
	"context"
	"fmt"
	"reflect"
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
	r.forgetVersions()
	r.server.FastForward(agingStep)
	for passed := agingStep; passed < longestTTL && len(r.server.Keys()) > most; passed *= 2 {
		r.server.FastForward(passed)
	}
}

// forgetVersions drops the number that the server keeps for WATCH of every key
// there ever was, expired ones included: memory would grow for as long as it
// runs. Nothing here watches keys. The server offers no way to do it, hence the
// way in through its private field; the version is pinned, and a test holds it.
func (r *Redis) forgetVersions() {
	db := r.server.DB(0)
	r.server.Lock()
	defer r.server.Unlock()
	if f := versionsOf(db); f.IsValid() {
		reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem().Set(reflect.MakeMap(f.Type()))
	}
}

func versionsOf(db *miniredis.RedisDB) reflect.Value {
	return reflect.ValueOf(db).Elem().FieldByName("keyVersion")
}
