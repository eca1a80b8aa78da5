package member

import "time"

const (
	// FirstSize is how many records the first transaction takes after a start: what
	// the link and the brokers' quotas allow is not known yet.
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
}

// NewSize is that of a process that was just started.
func NewSize(most int) *Size { return NewSizeFrom(FirstSize, most) }

// NewSizeFrom is one that begins with fewer records, or more.
func NewSizeFrom(first, most int) *Size { return &Size{records: min(first, most), most: most} }

// Records is how many records the next transaction may take, at least 1.
func (s *Size) Records() int { return s.records }

// Restart is for a new client, whose connections may be others.
func (s *Size) Restart() { s.records = min(s.records, FirstSize, s.most) }

// Committed learns from a transaction that was committed. took includes what the
// brokers have imposed on the next.
func (s *Size) Committed(records int, took time.Duration) {
	switch {
	case took > slowTime:
		s.records = max(1, min(s.records/2, records))
	case took <= quickTime && records >= s.records:
		s.records = min(2*s.records, s.most)
	}
}

// GaveUp learns from a transaction that was aborted because Kafka took too long: its
// bytes were sent for nothing, and count for a quota all the same.
func (s *Size) GaveUp(records int) { s.records = max(1, min(s.records, records/4, FirstSize)) }

// Refused learns from a transaction of which a record was refused: half as many find
// it.
func (s *Size) Refused(records int) { s.records = max(1, records/2) }
