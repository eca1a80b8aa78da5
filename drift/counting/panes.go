package counting

import (
	"cmp"
	"slices"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// maxPanes bounds what is open at once: a backlog of many short buckets is
// committed before it fills the memory.
const maxPanes = 1_000

// Panes are those that are open: what was counted since Reset. Their memory is used
// again by the next. They serve one goroutine at a time.
type Panes struct {
	topic string
	width time.Duration // of a bucket
	open  map[paneKey]*pane
	last  *pane // that was counted into last: mostly the next, too
	free  []*pane
}

type paneKey struct {
	partition int32
	bucket    int64 // start, microseconds
	bins      *Bins // nil for outcomes
}

// pane is one that is open. Either counter serves, by the topic.
type pane struct {
	key       paneKey
	from, to  int64
	malformed int64
	decisions *Counter
	outcomes  OutcomeCounter
}

// NewPanes returns none of a topic: predictions or outcomes. width is of a bucket, in
// whole seconds.
func NewPanes(topic string, width time.Duration) *Panes {
	return &Panes{topic: topic, width: width, open: map[paneKey]*pane{}}
}

// Decision counts a decision over bins. It was read there.
func (s *Panes) Decision(partition int32, offset int64, b *Bins, p *schemas.Prediction) {
	s.at(partition, offset, p.DecidedAt, b).decisions.Add(p)
}

// Outcome counts an outcome. It was read there and appended then.
func (s *Panes) Outcome(partition int32, offset int64, appended schemas.Timestamp, o Outcome) {
	s.at(partition, offset, appended, nil).outcomes.Add(o)
}

// Malformed counts a record that is no decision, beside those over bins, or no outcome;
// then bins are nil.
func (s *Panes) Malformed(partition int32, offset int64, appended schemas.Timestamp, b *Bins) {
	s.at(partition, offset, appended, b).malformed++
}

// at is the pane of a record whose moment lies in the pane's bucket.
func (s *Panes) at(partition int32, offset int64, moment schemas.Timestamp, b *Bins) *pane {
	width := s.width.Microseconds()
	behind := int64(moment) % width
	if behind < 0 { // before the epoch
		behind += width
	}
	key := paneKey{partition, int64(moment) - behind, b}
	p := s.last
	if p == nil || p.key != key {
		if p = s.open[key]; p == nil {
			p = s.begin(key, offset)
		}
		s.last = p
	}
	p.from, p.to = min(p.from, offset), max(p.to, offset+1)
	return p
}

func (s *Panes) begin(key paneKey, from int64) *pane {
	var p *pane
	if n := len(s.free); n > 0 {
		p, s.free = s.free[n-1], s.free[:n-1]
	} else {
		p = &pane{}
	}
	p.key, p.from, p.to, p.malformed = key, from, from, 0
	switch {
	case key.bins == nil:
		p.outcomes = OutcomeCounter{}
	case p.decisions == nil:
		p.decisions = NewCounter(key.bins)
	default:
		p.decisions.Reset(key.bins)
	}
	s.open[key] = p
	return p
}

// Full says that as many are open as may be.
func (s *Panes) Full() bool { return len(s.open) >= maxPanes }

// Reset forgets what is open: it was committed, or will be counted again.
func (s *Panes) Reset() {
	for key, p := range s.open {
		delete(s.open, key)
		s.free = append(s.free, p)
	}
	s.last = nil
}

// All are the open panes, the oldest bucket first: whoever folds a backlog sees
// time go by in all partitions at once.
func (s *Panes) All() []*drift.Pane {
	open := make([]*pane, 0, len(s.open))
	for _, p := range s.open {
		open = append(open, p)
	}
	slices.SortFunc(open, func(a, b *pane) int {
		return cmp.Or(cmp.Compare(a.key.bucket, b.key.bucket), cmp.Compare(a.key.partition, b.key.partition), cmp.Compare(a.from, b.from))
	})
	all := make([]*drift.Pane, 0, len(open))
	for _, p := range open {
		filled := &drift.Pane{
			Topic: s.topic, Partition: p.key.partition, From: p.from, To: p.to,
			Bucket: schemas.Timestamp(p.key.bucket), Width: int64(s.width / time.Second), Malformed: p.malformed,
		}
		if p.key.bins == nil {
			p.outcomes.Fill(filled)
		} else {
			p.decisions.Fill(filled)
		}
		all = append(all, filled)
	}
	return all
}
