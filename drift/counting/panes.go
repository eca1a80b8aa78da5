package aggregate

import (
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// maxPanes bounds what is open at once: a backlog of many short buckets is
// committed before it fills the memory.
const maxPanes = 1_000

// panes are those that are open: what was counted since the last commit. Their
// memory is used again by the next.
type panes struct {
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
	outcomes  outcomeCounter
}

func newPanes(topic string, width time.Duration) *panes {
	return &panes{topic: topic, width: width, open: map[paneKey]*pane{}}
}

// at is the pane of a record whose moment lies in the pane's bucket.
func (s *panes) at(r *kgo.Record, moment schemas.Timestamp, b *Bins) *pane {
	width := s.width.Microseconds()
	behind := int64(moment) % width
	if behind < 0 { // before the epoch
		behind += width
	}
	key := paneKey{r.Partition, int64(moment) - behind, b}
	p := s.last
	if p == nil || p.key != key {
		if p = s.open[key]; p == nil {
			p = s.begin(key, r.Offset)
		}
		s.last = p
	}
	p.from, p.to = min(p.from, r.Offset), max(p.to, r.Offset+1)
	return p
}

func (s *panes) begin(key paneKey, from int64) *pane {
	var p *pane
	if n := len(s.free); n > 0 {
		p, s.free = s.free[n-1], s.free[:n-1]
	} else {
		p = &pane{}
	}
	p.key, p.from, p.to, p.malformed = key, from, from, 0
	switch {
	case key.bins == nil:
		p.outcomes.reset()
	case p.decisions == nil:
		p.decisions = NewCounter(key.bins)
	default:
		p.decisions.Reset(key.bins)
	}
	s.open[key] = p
	return p
}

func (s *panes) full() bool { return len(s.open) >= maxPanes }

// reset forgets what is open: it was committed, or will be counted again.
func (s *panes) reset() {
	for key, p := range s.open {
		delete(s.open, key)
		s.free = append(s.free, p)
	}
	s.last = nil
}

// all are the open panes, the oldest bucket first: whoever folds a backlog sees
// time go by in all partitions at once.
func (s *panes) all() []*drift.Pane {
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
			p.outcomes.fill(filled)
		} else {
			p.decisions.Fill(filled)
		}
		all = append(all, filled)
	}
	return all
}
