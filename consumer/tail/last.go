package tail

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// window is how many offsets of a partition are looked at first for each
// prediction wanted of it; ever more where a filter or aborted transactions leave
// too few.
const window = 2

// most is above what a log holds, and can be doubled.
const most = 1 << 50

// last are the newest predictions before the ends that the filter lets through,
// the oldest first. It reads every partition backwards, a stretch at a time, until
// it has given as many as are wanted or was read to its beginning.
func (r *reader) last(ctx context.Context, c Config) (found newest, leftOut int, err error) {
	starts, err := kafka.Listed(kadm.NewClient(r.client).ListStartOffsets(ctx, r.topic))
	if err != nil {
		return nil, 0, err
	}
	var p schemas.Prediction
	matched, reached := map[int32]int{}, map[int32]int64{}
	for partition, end := range r.ends {
		reached[partition] = end
	}
	for width := min(int64(c.Last), most) * window; len(reached) > 0; width *= 2 {
		spans := map[int32]kafka.Span{}
		for partition, to := range reached {
			spans[partition] = kafka.Span{From: max(starts[r.topic][partition].Offset, to-width), To: to}
		}
		err := c.Kafka.ReadCommitted(ctx, kafka.Spans{r.topic: spans}, kafka.Sink{Each: func(record *kgo.Record) error {
			if err := c.Codec.DecodePrediction(ctx, record.Value, &p); err != nil {
				if !wire.MayLeaveOut(err) {
					return fmt.Errorf("reading %s/%d/%d: %w", record.Topic, record.Partition, record.Offset, err)
				}
				leftOut++
				return nil
			}
			if c.Filter.Match(&p) {
				matched[record.Partition]++
				if heap.Push(&found, decided{p.DecidedAt, record}); found.Len() > c.Last {
					heap.Pop(&found)
				}
			}
			return nil
		}})
		if err != nil {
			return nil, leftOut, err
		}
		for partition, span := range spans {
			if reached[partition] = span.From; matched[partition] >= c.Last || span.From <= starts[r.topic][partition].Offset {
				delete(reached, partition)
			}
		}
	}
	slices.SortFunc(found, byAge)
	return found, leftOut, nil
}

// decided is a prediction's record and when it was decided.
type decided struct {
	at     schemas.Timestamp
	record *kgo.Record
}

func byAge(a, b decided) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.record.Partition, b.record.Partition), cmp.Compare(a.record.Offset, b.record.Offset))
}

// newest is a heap with the oldest on top.
type newest []decided

func (n newest) Len() int           { return len(n) }
func (n newest) Less(i, j int) bool { return byAge(n[i], n[j]) < 0 }
func (n newest) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }

// Push is part of heap.Interface.
func (n *newest) Push(d any) { *n = append(*n, d.(decided)) }

// Pop is part of heap.Interface.
func (n *newest) Pop() any {
	oldest := (*n)[len(*n)-1]
	*n = (*n)[:len(*n)-1]
	return oldest
}
