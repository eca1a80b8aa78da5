package producer

import (
	"context"
	"math"
	"sync"
	"time"
)

const (
	// paceTick is the shortest sleep: waking more often costs more than it
	// smooths; at 100,000/s a tick is worth 100 applications.
	paceTick = time.Millisecond
	// paceDebt bounds what is caught up after a stall, so that a broker's pause
	// is not followed by a flood.
	paceDebt = time.Second
)

// pace lets applications through at a rate: application i of a stretch is due
// i/rate after its start, whatever the sleeps in between really took, so errors
// do not add up. It is safe for concurrent use.
type pace struct {
	mu      sync.Mutex
	rate    float64 // per second; 0 as fast as possible
	paused  bool
	origin  time.Time     // start of the stretch
	passed  float64       // let through since origin
	changed chan struct{} // closed when rate or paused change
}

func newPace(rate float64) *pace {
	return &pace{rate: rate, changed: make(chan struct{})}
}

// set changes the rate; what is due starts anew.
func (p *pace) set(rate float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = rate
	p.restart()
}

func (p *pace) pause(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused != paused {
		p.paused = paused
		p.restart()
	}
}

func (p *pace) get() (rate float64, paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate, p.paused
}

func (p *pace) restart() {
	p.origin, p.passed = time.Time{}, 0
	close(p.changed)
	p.changed = make(chan struct{})
}

// take waits until at least one application is due and returns how many are,
// at most limit (≥ 1). Its only error is the context's.
func (p *pace) take(ctx context.Context, limit int) (int, error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, wait, changed := p.due(time.Now(), limit)
		if n > 0 {
			return n, nil
		}
		if err := sleep(ctx, wait, changed); err != nil {
			return 0, err
		}
	}
}

// due is how many applications may go at now, or how long until one may
// (negative: until something changes).
func (p *pace) due(now time.Time, limit int) (n int, wait time.Duration, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.paused:
		return 0, -1, p.changed
	case p.rate <= 0:
		return limit, 0, nil
	}
	if p.origin.IsZero() {
		p.origin = now
	}
	elapsed := now.Sub(p.origin).Seconds()
	if late := elapsed - p.passed/p.rate; late > paceDebt.Seconds() {
		p.origin = p.origin.Add(time.Duration((late - paceDebt.Seconds()) * float64(time.Second)))
		elapsed = now.Sub(p.origin).Seconds()
	}
	// The first is due at the origin itself, hence + 1. The small term keeps
	// a product that is whole but for rounding from costing another sleep.
	if ready := math.Floor(elapsed*p.rate+1e-6) + 1 - p.passed; ready >= 1 {
		n = int(min(ready, float64(limit)))
		p.passed += float64(n)
		return n, 0, nil
	}
	next := math.Ceil((p.passed/p.rate - elapsed) * float64(time.Second))
	return 0, max(time.Duration(min(next, float64(math.MaxInt64/2))), paceTick), p.changed
}

// sleep waits for d (for ever when negative), or until changed or the context ends.
func sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	var after <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-after:
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
