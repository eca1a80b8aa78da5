// Package recent finds the decisions that were made last, and what is known of
// their loans.
package recent

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Most is how many can be asked for: each takes about 300 bytes of memory.
const Most = 1_000_000

// Config says what is read.
type Config struct {
	Kafka  kafka.Config
	Topics schemas.Topics
	Codec  *wire.Codec // nil: JSON only
	N      int         // 1 … Most
}

// Decision is one that was made lately.
type Decision struct {
	schemas.Prediction // without reasons and shadow
	Known              bool
	Defaulted          uint8 // where it is known: the first outcome told

	partition int32
	offset    int64
}

// before orders decisions by when they were made.
func (d *Decision) before(o *Decision) bool {
	if d.DecidedAt != o.DecidedAt {
		return d.DecidedAt < o.DecidedAt
	}
	if d.partition != o.partition {
		return d.partition < o.partition
	}
	return d.offset < o.offset
}

// Read is the last N decisions, oldest first, fewer where there are no more.
// leftOut counts records that are no predictions. Partitions are read backwards:
// what lies before a decision in its partition is taken to be older.
func Read(ctx context.Context, c Config) (decisions []Decision, leftOut int64, err error) {
	if c.N < 1 || c.N > Most {
		return nil, 0, fmt.Errorf("the last %d: expected 1 … %d", c.N, Most)
	}
	client, err := c.Kafka.Connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	r := &reading{Config: c, adm: kadm.NewClient(client)}
	if err := kafka.RequireAccess(ctx, r.adm, kafka.Reads(c.Topics.Predictions, c.Topics.Outcomes)); err != nil {
		return nil, 0, c.Kafka.Explain(err)
	}
	if err := r.locate(ctx); err != nil {
		return nil, 0, err
	}
	for look := int64(2*(c.N/max(1, len(r.parts))) + firstLook); ; look *= 4 {
		spans := r.goBack(look)
		if len(spans) == 0 {
			break
		}
		if err := r.read(ctx, spans); err != nil {
			return nil, 0, err
		}
	}
	if err := r.join(ctx); err != nil {
		return nil, 0, err
	}
	decisions = r.newest
	slices.SortFunc(decisions, func(a, b Decision) int {
		if a.before(&b) {
			return -1
		}
		return 1
	})
	return decisions, r.leftOut, nil
}

// firstLook is how many offsets beyond those wanted are looked at first: markers
// of transactions stand between records.
const firstLook = 64

// part is how far back a partition has been read.
type part struct {
	start, from int64
	oldest      schemas.Timestamp // decision read
	any         bool              // one was
}

// reading is one search under way.
type reading struct {
	Config
	adm     *kadm.Client
	parts   map[int32]*part
	newest  oldestFirst
	leftOut int64
}

func (r *reading) locate(ctx context.Context) error {
	topic := r.Topics.Predictions
	starts, err := kafka.Listed(r.adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return err
	}
	ends, err := kafka.Listed(r.adm.ListCommittedOffsets(ctx, topic))
	if err != nil {
		return err
	}
	r.parts = map[int32]*part{}
	for partition, end := range ends[topic] {
		r.parts[partition] = &part{start: starts[topic][partition].Offset, from: end.Offset}
	}
	return nil
}

// goBack is what to read next: of every partition that may hold newer decisions
// than the oldest that would be handed out. Nothing: all are found.
func (r *reading) goBack(look int64) map[int32]kafka.Span {
	spans := map[int32]kafka.Span{}
	for partition, p := range r.parts {
		enough := len(r.newest) == r.N && p.any && p.oldest <= r.newest[0].DecidedAt
		if enough || p.from <= p.start {
			continue
		}
		from := max(p.start, p.from-look)
		spans[partition] = kafka.Span{From: from, To: p.from}
		p.from = from
	}
	return spans
}

func (r *reading) read(ctx context.Context, spans map[int32]kafka.Span) error {
	var p schemas.Prediction
	return r.Kafka.Quiet().ReadCommitted(ctx, kafka.Spans{r.Topics.Predictions: spans}, kafka.Sink{Each: func(record *kgo.Record) error {
		if err := r.Codec.DecodePrediction(ctx, record.Value, &p); err != nil {
			r.leftOut++
			return r.broken(record, err)
		}
		at := r.parts[record.Partition]
		if !at.any || p.DecidedAt < at.oldest {
			at.oldest, at.any = p.DecidedAt, true
		}
		d := Decision{Prediction: p, partition: record.Partition, offset: record.Offset}
		d.Reasons, d.Shadow = nil, nil // they belong to the decoder
		if len(r.newest) < r.N {
			heap.Push(&r.newest, d)
		} else if r.newest[0].before(&d) {
			r.newest[0] = d
			heap.Fix(&r.newest, 0)
		}
		return nil
	}})
}

// broken passes over a record that is not what its topic holds; any other error
// ends the reading.
func (r *reading) broken(record *kgo.Record, err error) error {
	if !wire.MayLeaveOut(err) {
		return fmt.Errorf("reading %s/%d offset %d: %w", record.Topic, record.Partition, record.Offset, err)
	}
	return nil
}

// join looks for outcomes, which are told after the decision.
func (r *reading) join(ctx context.Context) error {
	if len(r.newest) == 0 {
		return nil
	}
	topic := r.Topics.Outcomes
	spans, err := kafka.Appended(ctx, r.adm, topic, r.newest[0].DecidedAt.Time(), time.Time{})
	if err != nil {
		return err
	}
	byID := make(map[string][]*Decision, len(r.newest))
	for i := range r.newest {
		d := &r.newest[i]
		byID[d.ApplicationID] = append(byID[d.ApplicationID], d)
	}
	var o schemas.Outcome
	return r.Kafka.Quiet().ReadCommitted(ctx, kafka.Spans{topic: spans}, kafka.Sink{Each: func(record *kgo.Record) error {
		of, wanted := byID[string(record.Key)]
		if !wanted {
			return nil
		}
		if err := r.Codec.DecodeOutcome(ctx, record.Value, &o); err != nil {
			r.leftOut++
			return r.broken(record, err)
		}
		for _, d := range of {
			if !d.Known {
				d.Known, d.Defaulted = true, o.Defaulted
			}
		}
		return nil
	}})
}

// oldestFirst is a heap with the oldest decision on top.
type oldestFirst []Decision

// Len is part of heap.Interface.
func (h oldestFirst) Len() int { return len(h) }

// Less is part of heap.Interface.
func (h oldestFirst) Less(i, j int) bool { return h[i].before(&h[j]) }

// Swap is part of heap.Interface.
func (h oldestFirst) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface.
func (h *oldestFirst) Push(x any) { *h = append(*h, x.(Decision)) }

// Pop is part of heap.Interface.
func (h *oldestFirst) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	*h = (*h)[:last]
	return d
}
