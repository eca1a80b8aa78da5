package local

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// Redis is an embedded Redis, in memory.
type Redis struct {
	server *miniredis.Miniredis
}

// StartRedis starts one on a free loopback port.
func StartRedis() (*Redis, error) {
	s := miniredis.NewMiniRedis()
	if err := s.StartAddr("127.0.0.1:0"); err != nil {
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
