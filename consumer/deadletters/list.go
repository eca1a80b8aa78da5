package deadletters

import (
	"cmp"
	"container/heap"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
)

// Which says whether letters that were replayed are meant.
type Which int

// Letters that were not replayed, those that were, or both.
const (
	Waiting Which = iota
	Replayed
	Both
)

func (w Which) means(replayed bool) bool {
	return w == Both || (w == Replayed) == replayed
}

// ListConfig says what is listed.
type ListConfig struct {
	Config
	Selection
	Which  Which
	Limit  int  // the newest; 0: all
	Values bool // keep the letters' values
}

// Counts are how many letters a selection takes.
type Counts struct {
	ByClass map[string]int64 // of those meant, without foreign records
	Letters int64            // the sum of ByClass
	Others  int64            // that the selection takes and Which does not
	Foreign int64            // records that are no letters; they were not replayed
	Unclear int              // markers that name no position: which letter was replayed is not known
	Open    []kafka.Open     // what lies behind open transactions, and was not read
	Unread  kafka.Unread     // batches too large to be a scorer's, and left out
}

// List returns letters, the oldest first, and how many there are beyond the limit.
// It holds as many in memory as it returns.
func List(ctx context.Context, c ListConfig) ([]Letter, *Counts, error) {
	var kept newest
	counts, err := Each(ctx, c, func(l *Letter) error {
		one := *l
		if !c.Values {
			one.Value = nil
		}
		if heap.Push(&kept, one); c.Limit > 0 && kept.Len() > c.Limit {
			heap.Pop(&kept)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(kept, byAge)
	return kept, counts, nil
}

// Each shows letters, values included, partition by partition and whatever their
// number. It holds none of them.
func Each(ctx context.Context, c ListConfig, show func(*Letter) error) (*Counts, error) {
	s, err := look(ctx, c.Config, c.Selection)
	if err != nil {
		return nil, explain(c.Config, err)
	}
	counts := &Counts{ByClass: map[string]int64{}, Unclear: s.unclear, Open: s.open}
	s.count(func(_ Position, m mark) {
		switch {
		case m.isForeign():
			if c.Which.means(false) {
				counts.Foreign++
			}
		case c.Which.means(m&replayed != 0):
			counts.ByClass[m.className()]++
			counts.Letters++
		default:
			counts.Others++
		}
	})
	err = s.read(ctx, func(r *kgo.Record) error {
		m := s.at(Position{r.Partition, r.Offset})
		again := *m&replayed != 0 && !m.isForeign()
		if *m&chosen == 0 || !c.Which.means(again) {
			return nil
		}
		l := parse(r)
		l.Replayed = again
		return show(&l)
	})
	if err != nil {
		return nil, explain(c.Config, err)
	}
	counts.Unread = s.unread
	return counts, nil
}

func byAge(a, b Letter) int {
	return cmp.Or(a.FailedAt.Compare(b.FailedAt), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

// newest is a heap of letters with the oldest on top.
type newest []Letter

func (n newest) Len() int           { return len(n) }
func (n newest) Less(i, j int) bool { return byAge(n[i], n[j]) < 0 }
func (n newest) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }

// Push is part of heap.Interface.
func (n *newest) Push(l any) { *n = append(*n, l.(Letter)) }

// Pop is part of heap.Interface.
func (n *newest) Pop() any {
	last := (*n)[len(*n)-1]
	*n = (*n)[:len(*n)-1]
	return last
}
