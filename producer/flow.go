package producer

import (
	"sync"
	"time"
)

// stallTime is how long the brokers may acknowledge nothing of what they were
// sent before the producer says so.
const stallTime = 10 * time.Second

// flow watches the batches between being sent and being acknowledged. It is safe
// for concurrent use.
type flow struct {
	mu      sync.Mutex // guards what follows
	open    int        // batches sent and not acknowledged
	since   time.Time  // of the last acknowledgement, or of sending when nothing was open
	arrived time.Time  // of the last acknowledgement
}

func (f *flow) sent(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == 0 {
		f.since = now
	}
	f.open++
}

func (f *flow) landed(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
	f.since, f.arrived = now, now
}

// stalled is how long nothing has come back, once that is too long; else 0.
func (f *flow) stalled(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := now.Sub(f.since); f.open > 0 && d >= stallTime {
		return d
	}
	return 0
}

// last is when the last batch was acknowledged; zero: none yet.
func (f *flow) last() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.arrived
}
