package local

import (
	"context"
	"fmt"
	"reflect"
	"slices"
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

// How often the embedded Redis's time moves on: keys written between two steps have
// the same time left and go together, so the more come the shorter a step is.
const (
	shortestStep = 100 * time.Millisecond
	agingStep    = 5 * time.Second
	// stepShare is how much of what is held may go at one step.
	stepShare = 8
)

// Age lets keys expire until ctx ends: the embedded server's time stands still
// by itself. While it holds more than most keys its time runs faster, so that
// those with the shortest time to live go first and memory stays bounded.
func (r *Redis) Age(ctx context.Context, most int) {
	step, left := shortestStep, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(step):
		}
		held, kept := r.age(step, most)
		step, left = nextStep(step, held-left, most), kept
	}
}

// nextStep is how long it takes until a share of most has come, at the pace at which
// so many came during the last step.
func nextStep(step time.Duration, came, most int) time.Duration {
	// At most twice as long: what comes next may come faster.
	wanted := 2 * step
	if came > 0 {
		wanted = min(wanted, time.Duration(float64(step)*float64(most)/float64(stepShare*came)))
	}
	return max(shortestStep, min(wanted, agingStep))
}

// age lets a step pass, or as much time as it takes until most keys are left. It
// returns how many there were before, and are now.
func (r *Redis) age(step time.Duration, most int) (held, kept int) {
	r.forgetVersions()
	keys := r.server.Keys()
	left := make([]time.Duration, 0, len(keys)) // until keys expire; those without an end stay
	for _, k := range keys {
		if ttl := r.server.DB(0).TTL(k); ttl > 0 {
			left = append(left, ttl)
		}
	}
	slices.Sort(left)
	passed := step
	if over := min(len(keys)-most, len(left)); over > 0 {
		passed = max(passed, left[over-1])
	}
	r.server.FastForward(passed)
	gone, _ := slices.BinarySearch(left, passed+1)
	return len(keys), len(keys) - gone
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
