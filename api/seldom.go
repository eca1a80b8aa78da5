package api

import (
	"sync"
	"time"
)

// seldomInterval is how often the log is told of what anybody may do again and again.
const seldomInterval = 10 * time.Second

// seldom counts what happens until it may be told.
type seldom struct {
	mu    sync.Mutex // guards what follows
	told  time.Time
	since int
}

// take counts one more. It returns how many there were since it last did, 0 while it
// is too early to tell.
func (s *seldom) take(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since++
	if now.Sub(s.told) < seldomInterval {
		return 0
	}
	n := s.since
	s.told, s.since = now, 0
	return n
}
