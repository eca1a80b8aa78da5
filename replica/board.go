// Package replica is what is made of the reports that every component writes once a
// second: who is live, what it does and serves, and how fast. It is the same for one
// process and for twenty.
package replica

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// liveFor is how long after its last report a replica counts as live.
const liveFor = 10 * time.Second

// forgotten is how long one that ended without a word is remembered.
const forgotten = 24 * time.Hour

// Record is a record of the replicas topic.
type Record struct {
	Key     string
	Value   []byte    // empty: a stop
	Started string    // header of a stop: of which process
	Seen    time.Time // when it was appended
}

// State is a replica as the topic shows it.
type State struct {
	schemas.Replica
	Seen time.Time // when its last report was appended
}

// Live says whether it counts as running.
func (s *State) Live(now time.Time) bool { return now.Sub(s.Seen) <= liveFor }

// Name is how people call it.
func (s *State) Name() string { return schemas.ReplicaKey(s.Component, s.Instance) }

// Board is what is known of all replicas. Two processes that run under one name by
// mistake are both on it.
type Board struct {
	mu     sync.Mutex                             // guards what follows
	states map[string]map[schemas.Timestamp]State // by key, then by when the process was started
}

// NewBoard is empty.
func NewBoard() *Board { return &Board{states: map[string]map[schemas.Timestamp]State{}} }

// Take takes a record in. An error means that it says nothing.
func (b *Board) Take(r Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(r.Value) == 0 {
		return b.stopped(r)
	}
	var s State
	if err := schemas.DecodeReplica(r.Value, &s.Replica); err != nil {
		return fmt.Errorf("replica %q: %w", r.Key, err)
	}
	if s.Name() != r.Key {
		return fmt.Errorf("replica %q: its record says %s", r.Key, s.Name())
	}
	s.Seen = r.Seen
	of := b.states[r.Key]
	if of == nil {
		of = map[schemas.Timestamp]State{}
		b.states[r.Key] = of
	}
	if before, ok := of[s.Started]; ok && before.At > s.At {
		return nil // overtaken on its way
	}
	of[s.Started] = s
	for started, other := range of {
		if started != s.Started && !other.Live(s.Seen) {
			delete(of, started) // its successor speaks
		}
	}
	return nil
}

// stopped forgets a process; all of a name where the record does not say which. mu
// is held.
func (b *Board) stopped(r Record) error {
	if r.Started == "" {
		delete(b.states, r.Key)
		return nil
	}
	var started schemas.Timestamp
	if err := started.UnmarshalText([]byte(r.Started)); err != nil {
		return fmt.Errorf("replica %q: header %s: %w", r.Key, schemas.HeaderStarted, err)
	}
	if delete(b.states[r.Key], started); len(b.states[r.Key]) == 0 {
		delete(b.states, r.Key)
	}
	return nil
}

// Processes are those on the board under a name, by when they were started.
func (b *Board) Processes(name string) map[schemas.Timestamp]State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.states[name])
}

// order is how components are listed; those it does not know come last.
var order = []string{"score", "api", "view", "drift", "produce"}

// Routed is the highest route revision that any replica on the board has read, and
// that replica's name; -1 where none has read one.
func (b *Board) Routed() (revision int64, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	revision = -1
	for _, of := range b.states {
		for _, s := range of {
			if m := s.Models; m != nil && max(m.RouteRevision, m.NewestRevision) > revision {
				revision, name = max(m.RouteRevision, m.NewestRevision), s.Name()
			}
		}
	}
	return revision, name
}

// States are the live replicas and, of every name that has none, the last one, in
// an order that does not change.
func (b *Board) States(now time.Time) (all []State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, of := range b.states {
		var last State
		live := false
		for _, s := range of {
			if s.Live(now) {
				all, live = append(all, s), true
			} else if s.Seen.After(last.Seen) {
				last = s
			}
		}
		if !live && now.Sub(last.Seen) <= forgotten {
			all = append(all, last)
		}
	}
	rank := func(s State) int {
		if i := slices.Index(order, s.Component); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(all, func(a, b State) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Component, b.Component), cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Started, b.Started))
	})
	return all
}
