package recent

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

// Search is for the N newest predictions that Take wants. Partitions are read
// backwards, a stretch at a time: what lies before a decision in its partition is
// taken to be older.
type Search[T any] struct {
	Kafka kafka.Config
	Topic string
	Codec *wire.Codec // nil: JSON only
	N     int         // 1 or more
	Ends  map[int32]int64
	// Take says whether a prediction is wanted, and what is kept of it: record and
	// prediction are valid until it returns.
	Take func(*kgo.Record, *schemas.Prediction) (kept T, wanted bool)
}

// Found is what was kept of a prediction.
type Found[T any] struct {
	Kept T

	at        schemas.Timestamp
	partition int32
	offset    int64
}

// byAge orders by when was decided.
func byAge[T any](a, b Found[T]) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
}

// Run is what was found, the oldest first, fewer than N where there are no more.
func (s Search[T]) Run(ctx context.Context, adm *kadm.Client) (found []Found[T], leftOut LeftOut, err error) {
	starts, err := kafka.Listed(adm.ListStartOffsets(ctx, s.Topic))
	if err != nil {
		return nil, leftOut, err
	}
	r := &reading[T]{Search: s, parts: map[int32]*part{}}
	for partition, end := range s.Ends {
		r.parts[partition] = &part{start: starts[s.Topic][partition].Offset, from: end}
	}
	for look := 2*min(int64(s.N/max(1, len(r.parts))), most) + firstLook; ; look *= 4 {
		spans := r.goBack(look)
		if len(spans) == 0 {
			break
		}
		if err := r.read(ctx, spans); err != nil {
			return nil, r.leftOut, err
		}
	}
	slices.SortFunc(r.newest, byAge[T])
	return r.newest, r.leftOut, nil
}

// firstLook is how many offsets beyond those wanted are looked at first: markers
// of transactions stand between records.
const firstLook = 64

// most is above what a partition holds, and can be multiplied.
const most = 1 << 50

// part is how far back a partition has been read.
type part struct {
	start, from int64
	oldest      schemas.Timestamp // decision read
	any         bool              // one was
}

// reading is one search under way.
type reading[T any] struct {
	Search[T]
	parts   map[int32]*part
	newest  oldestFirst[T]
	leftOut LeftOut
}

// goBack is what to read next: of every partition that may hold newer decisions
// than the oldest that would be handed out. Nothing: all are found.
func (r *reading[T]) goBack(look int64) map[int32]kafka.Span {
	spans := map[int32]kafka.Span{}
	for partition, p := range r.parts {
		enough := len(r.newest) == r.N && p.any && p.oldest <= r.newest[0].at
		if enough || p.from <= p.start {
			continue
		}
		from := max(p.start, p.from-look)
		spans[partition] = kafka.Span{From: from, To: p.from}
		p.from = from
	}
	return spans
}

func (r *reading[T]) read(ctx context.Context, spans map[int32]kafka.Span) error {
	var p schemas.Prediction
	return r.Kafka.Quiet().ReadCommitted(ctx, kafka.Spans{r.Topic: spans}, kafka.Sink{Unreadable: r.leftOut.Unreadable.PassOver, Each: func(record *kgo.Record) error {
		if err := r.Codec.DecodePrediction(ctx, record.Value, &p); err != nil {
			r.leftOut.Records++
			return broken(record, err)
		}
		at := r.parts[record.Partition]
		if !at.any || p.DecidedAt < at.oldest {
			at.oldest, at.any = p.DecidedAt, true
		}
		d := Found[T]{at: p.DecidedAt, partition: record.Partition, offset: record.Offset}
		full := len(r.newest) == r.N
		if full && byAge(d, r.newest[0]) < 0 {
			return nil
		}
		kept, wanted := r.Take(record, &p)
		if !wanted {
			return nil
		}
		d.Kept = kept
		if full {
			r.newest[0] = d
			heap.Fix(&r.newest, 0)
		} else {
			heap.Push(&r.newest, d)
		}
		return nil
	}})
}

// broken passes over a record that is not what its topic holds; any other error
// ends the reading.
func broken(record *kgo.Record, err error) error {
	if !wire.IsBroken(err) {
		return fmt.Errorf("reading %s/%d offset %d: %w", record.Topic, record.Partition, record.Offset, err)
	}
	return nil
}

// oldestFirst is a heap with the oldest decision on top.
type oldestFirst[T any] []Found[T]

// Len is part of heap.Interface.
func (h oldestFirst[T]) Len() int { return len(h) }

// Less is part of heap.Interface.
func (h oldestFirst[T]) Less(i, j int) bool { return byAge(h[i], h[j]) < 0 }

// Swap is part of heap.Interface.
func (h oldestFirst[T]) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface.
func (h *oldestFirst[T]) Push(x any) { *h = append(*h, x.(Found[T])) }

// Pop is part of heap.Interface.
func (h *oldestFirst[T]) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	*h = (*h)[:last]
	return d
}
