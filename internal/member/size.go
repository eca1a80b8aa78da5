package member

import (
	"sync"
	"time"
)

const (
	// FirstSize is how many records the first transactions of a process take together
	// after a start: what the link and the brokers' quotas allow is not known yet.
	FirstSize = 500
	// A full transaction that ends within this is followed by one of twice as many.
	quickTime = time.Second
	// One that takes longer than this is followed by one of half as many.
	slowTime = 2 * time.Second
)

// Size is how many records the next transaction may take: as many as Kafka has
// shown to take in time.
type Size struct {
	records, most int
	first         int   // after a restart
	link          *Link // nil: nobody else learns
}

// Link is what the members of a process learn together of what Kafka takes in time:
// their quotas and their way to it are the same. Where one has found that a transaction
// is too large, none takes more until one of that size has ended soon.
type Link struct {
	mu  sync.Mutex
	max int // records of a transaction; 0: none was too large
}

// bound is n, or what is known to be less.
func (l *Link) bound(n int) int {
	if l == nil {
		return n
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.max == 0 {
		return n
	}
	return min(n, l.max)
}

// gaveUp learns what may be tried after a transaction that was aborted.
func (l *Link) gaveUp(next int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.max == 0 || next < l.max {
		l.max = next
	}
}

// ended learns from a full transaction that ended soon, and says whether it was full
// because of what had been learnt.
func (l *Link) ended(records int) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.max == 0 || records < l.max {
		return false
	}
	l.max *= 2
	return true
}

// NewSizeOf is that of one of so many members of a process that was just started.
func NewSizeOf(members, most int, link *Link) *Size {
	first := max(1, FirstSize/max(1, members))
	return &Size{records: min(first, most), most: most, first: first, link: link}
}

// NewSizeFrom is one that begins with fewer records, or more.
func NewSizeFrom(first, most int) *Size {
	return &Size{records: min(first, most), most: most, first: FirstSize}
}

// Records is how many records the next transaction may take, at least 1.
func (s *Size) Records() int { return s.link.bound(s.records) }

// Restart is for a new client, whose connections may be others.
func (s *Size) Restart() { s.records = min(s.records, s.first, s.most) }

// Committed learns from a transaction that was committed. took includes what the
// brokers have imposed on the next.
func (s *Size) Committed(records int, took time.Duration) {
	switch {
	case took > slowTime:
		s.records = max(1, min(s.records/2, records))
	case took <= quickTime && records >= s.Records():
		if !s.link.ended(records) {
			s.records = min(2*s.records, s.most)
		}
	}
}

// GaveUp learns from a transaction that was aborted because Kafka took too long: its
// bytes were sent for nothing, and count for a quota all the same.
func (s *Size) GaveUp(records int) {
	s.records = max(1, min(s.records, records/4, FirstSize))
	s.link.gaveUp(s.records)
}

// Refused learns from a transaction of which a record was refused: half as many find
// it.
func (s *Size) Refused(records int) { s.records = max(1, records/2) }
