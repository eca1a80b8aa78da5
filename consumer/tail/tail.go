// Package tail shows predictions as they come: on a terminal, or to whoever
// subscribes to a Feed. It reads what is committed, joins no group and leaves
// nothing behind.
package tail

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/recent"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// From is where reading begins. Its zero value is the end of the log.
type From struct {
	Start bool
	Time  time.Time
}

// ParseFrom reads start, end or an RFC 3339 time.
func ParseFrom(text string) (From, error) {
	switch text {
	case "start":
		return From{Start: true}, nil
	case "end":
		return From{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return From{}, fmt.Errorf("--from %q: expected start, end or an RFC 3339 time", text)
	}
	return From{Time: t}, nil
}

// Config says what is read.
type Config struct {
	Kafka  kafka.Config
	Topics schemas.Topics
	Codec  *wire.Codec // nil: JSON only
	From   From
	Last   int  // from the end on: but first the last so many before it; they are held in memory
	Follow bool // go on at the end that the log had at the beginning
	Filter Filter
	Open   func([]kafka.Open) // told at the beginning what hangs at the log's end; may be nil
}

// Read calls each for every prediction that the filter lets through, in a
// partition's order, until each says no more, ctx ends or, without Follow, the
// log does. The last ones come first, the oldest of them at their head, whatever
// their partitions. The value is the prediction's JSON, as it stood on the wire where it
// did; both are good until each returns. What is no prediction, or in a batch that
// cannot be read, is left out and counted.
func Read(ctx context.Context, c Config, each func(p *schemas.Prediction, value []byte) (more bool, err error)) (leftOut recent.LeftOut, err error) {
	r, err := open(ctx, c.Kafka, c.Topics.Predictions, c.From)
	if err != nil {
		return leftOut, err
	}
	defer r.client.Close()
	if c.Open != nil && len(r.open) > 0 {
		c.Open(r.open)
	}
	var (
		p      schemas.Prediction
		buffer []byte
	)
	if c.Last > 0 {
		found, left, err := recent.Search[[]byte]{
			Kafka: c.Kafka, Topic: r.topic, Codec: c.Codec, N: c.Last, Ends: r.ends,
			Take: func(record *kgo.Record, p *schemas.Prediction) ([]byte, bool) {
				if !c.Filter.Match(p) {
					return nil, false
				}
				return slices.Clone(record.Value), true // of a batch that need not be kept
			},
		}.Run(ctx, kadm.NewClient(r.client))
		leftOut = left
		if ctx.Err() != nil {
			return leftOut, nil
		}
		if err != nil {
			return leftOut, err
		}
		for _, d := range found {
			if err := c.Codec.DecodePrediction(ctx, d.Kept, &p); err != nil {
				return leftOut, err
			}
			if more, err := each(&p, wire.PredictionJSON(nil, d.Kept, &p)); err != nil || !more {
				return leftOut, err
			}
		}
	}
	for c.Follow || r.unread() {
		fetches, broken, err := r.poll(ctx, quiet)
		if ctx.Err() != nil {
			return leftOut, nil
		}
		if err != nil {
			return leftOut, err
		}
		for i := fetches.RecordIter(); !i.Done(); {
			record := i.Next()
			r.next[record.Partition] = record.Offset + 1
			if record.Attrs.IsControl() || !c.Follow && record.Offset >= r.ends[record.Partition] {
				continue
			}
			if err := c.Codec.DecodePrediction(ctx, record.Value, &p); err != nil {
				switch {
				case ctx.Err() != nil:
					return leftOut, nil
				case !wire.IsBroken(err):
					return leftOut, fmt.Errorf("reading %s/%d/%d: %w", record.Topic, record.Partition, record.Offset, err)
				}
				leftOut.Records++
				continue
			}
			if !c.Filter.Match(&p) {
				continue
			}
			value := wire.PredictionJSON(buffer[:0], record.Value, &p)
			if schemas.IsAvro(record.Value) {
				buffer = value
			}
			if more, err := each(&p, value); err != nil || !more {
				return leftOut, err
			}
		}
		err = r.passOver(ctx, broken, func(u *kafka.UnreadableError) error {
			if end := r.ends[u.Partition]; !c.Follow && u.From >= end {
				return nil
			} else if !c.Follow {
				u.To = min(u.To, end)
			}
			return leftOut.Unreadable.PassOver(u)
		})
		if ctx.Err() != nil {
			return leftOut, nil
		}
		if err != nil {
			return leftOut, err
		}
	}
	return leftOut, nil
}

func open(ctx context.Context, config kafka.Config, topic string, from From) (*reader, error) {
	r := &reader{topic: topic, next: map[int32]int64{}, ends: map[int32]int64{}}
	if err := r.locate(ctx, config, topic, from); err != nil {
		return nil, err
	}
	at := map[int32]kgo.Offset{}
	for p, next := range r.next {
		at[p] = kgo.NewOffset().At(next)
	}
	client, err := kgo.NewClient(append(config.Options(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // a log that ends with a commit marker is read to its end
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	r.client = client
	return r, err
}

// locate finds where every partition begins and ends.
func (r *reader) locate(ctx context.Context, config kafka.Config, topic string, from From) error {
	client, err := config.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(topic)); err != nil {
		return err
	}
	ends, err := kafka.ListEnds(ctx, adm, topic)
	if err != nil {
		return fmt.Errorf("looking for the end of %s: %w", topic, err)
	}
	if r.open, err = config.Hanging(ctx, ends); err != nil {
		return err
	}
	for partition, end := range ends[topic] {
		r.next[partition], r.ends[partition] = end.Stable, end.Stable
	}
	var begins kadm.ListedOffsets
	switch {
	case from.Start:
		begins, err = adm.ListStartOffsets(ctx, topic)
	case !from.Time.IsZero():
		begins, err = adm.ListOffsetsAfterMilli(ctx, from.Time.UnixMilli(), topic)
	}
	if err == nil {
		err = begins.Error()
	}
	if err != nil {
		return fmt.Errorf("looking where to begin in %s: %w", topic, err)
	}
	begins.Each(func(o kadm.ListedOffset) { r.next[o.Partition] = o.Offset })
	return nil
}
