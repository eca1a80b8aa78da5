// Package feed is what a page shows of decisions as they are made: totals since it began, and
// the last of them.
package feed

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

const (
	// Kept is how many decisions a feed remembers.
	Kept = 50
	// What the rate is taken over.
	rateSeconds = 5
	// How often a subscriber hears of something new, at most.
	updateInterval = 250 * time.Millisecond
)

// Totals count what a feed has seen.
type Totals struct {
	Since      time.Time
	Decisions  int64
	ByDecision map[string]int64 // approve, refer, decline
	ByChannel  map[string]int64 // stream, api
	PerSecond  float64          // over the last whole seconds, at most rateSeconds
}

// Snapshot is a feed at one moment, or what a subscriber has not been sent yet. What it
// refers to is not changed afterwards.
type Snapshot struct {
	Totals    Totals
	Decisions []schemas.Prediction // as they came in, newest first, without features and shadow
}

// Feed remembers what it is given. It is safe for concurrent use.
type Feed struct {
	mu      sync.Mutex // guards what follows
	totals  Totals
	recent  [Kept]schemas.Prediction // number n lies at n % Kept
	seconds [rateSeconds + 1]struct{ second, n int64 }
}

// New returns a Feed that has seen nothing yet.
func New() *Feed {
	return &Feed{totals: Totals{Since: time.Now(), ByDecision: map[string]int64{}, ByChannel: map[string]int64{}}}
}

// Add takes one prediction in, and keeps nothing of it that the caller may change. It does
// not know who subscribes: nobody can hold it up.
func (f *Feed) Add(p *schemas.Prediction) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	shown := *p
	shown.Reasons, shown.Shadow, shown.Features = slices.Clone(p.Reasons), nil, schemas.Features{}
	f.recent[f.totals.Decisions%Kept] = shown
	f.totals.Decisions++
	f.totals.ByDecision[p.Decision]++
	f.totals.ByChannel[p.Channel]++
	second := now.Unix()
	s := &f.seconds[second%int64(len(f.seconds))]
	if s.second != second {
		s.second, s.n = second, 0
	}
	s.n++
}

// Snapshot is the state at this moment.
func (f *Feed) Snapshot() Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Snapshot{f.total(), f.latest()}
}

// total copies the totals. f.mu is held.
func (f *Feed) total() Totals {
	t := f.totals
	t.ByDecision, t.ByChannel = maps.Clone(t.ByDecision), maps.Clone(t.ByChannel)
	now := time.Now()
	var n int64
	for _, s := range f.seconds {
		if age := now.Unix() - s.second; age >= 1 && age <= rateSeconds {
			n += s.n
		}
	}
	if over := min(int64(rateSeconds), now.Unix()-t.Since.Unix()); over > 0 {
		t.PerSecond = float64(n) / float64(over)
	}
	return t
}

// latest are the decisions that are remembered, newest first. f.mu is held.
func (f *Feed) latest() []schemas.Prediction {
	n := min(Kept, f.totals.Decisions)
	latest := make([]schemas.Prediction, 0, n)
	for i := range n {
		latest = append(latest, f.recent[(f.totals.Decisions-1-i)%Kept])
	}
	return latest
}

// Subscribe returns the state at this moment, and tells what a subscriber that
// has it does not know until ctx ends, which closes the channel: up to four
// updates a second with at most perSecond decisions between them, the newest
// first. What was too much to tell follows when less comes, as long as it is
// among those a Snapshot would have: once nothing comes, the subscriber knows
// them all. One that is slow to receive finds only the latest update.
func (f *Feed) Subscribe(ctx context.Context, perSecond int) (Snapshot, <-chan Snapshot) {
	updates := make(chan Snapshot, 1)
	first := f.Snapshot()
	s := subscriber{totals: first.Totals}
	for n := first.Totals.Decisions - int64(len(first.Decisions)); n < first.Totals.Decisions; n++ {
		s.sent[n%Kept] = n + 1
	}
	go func() {
		defer close(updates)
		ticker := time.NewTicker(updateInterval)
		defer ticker.Stop()
		var allowance float64 // decisions that may be sent
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			allowance = min(allowance+float64(perSecond)*updateInterval.Seconds(), float64(max(1, perSecond)))
			select {
			case missed := <-updates:
				allowance += float64(len(missed.Decisions))
				s.missed()
			default:
			}
			u, changed := f.since(&s, int64(allowance))
			if !changed {
				continue
			}
			allowance -= float64(len(u.Decisions))
			updates <- u // there is room: only this goroutine sends
		}
	}()
	return first, updates
}

// subscriber is what one has been sent.
type subscriber struct {
	totals Totals
	sent   [Kept]int64 // number n at n % Kept, as n + 1
	last   []int64     // the numbers in the last update
}

// missed takes the last update back: it was not received.
func (s *subscriber) missed() {
	for _, n := range s.last {
		s.sent[n%Kept] = 0
	}
	s.totals = Totals{}
}

// since is what a subscriber has not been sent, at most so many decisions. They
// count as sent.
func (f *Feed) since(s *subscriber, most int64) (u Snapshot, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u.Totals = f.total()
	s.last = s.last[:0]
	for n := u.Totals.Decisions - 1; n >= max(0, u.Totals.Decisions-Kept) && int64(len(s.last)) < most; n-- {
		if s.sent[n%Kept] == n+1 {
			continue
		}
		s.sent[n%Kept] = n + 1
		s.last = append(s.last, n)
		u.Decisions = append(u.Decisions, f.recent[n%Kept])
	}
	changed = len(s.last) > 0 || u.Totals.Decisions != s.totals.Decisions || u.Totals.PerSecond != s.totals.PerSecond
	s.totals = u.Totals
	return u, changed
}
