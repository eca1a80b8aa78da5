// Package tail reads predictions as they come: Read for a terminal, Follower for as long
// as a process runs. It reads what is committed, joins no group and leaves nothing
// behind.
package tail

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/recent"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Config says what is read.
type Config struct {
	Kafka  kafka.Config
	Topics schemas.Topics
	Codec  *wire.Codec // nil: JSON only
	From   kafka.From  // the zero value is the end
	Last   int         // from the end on: but first the last so many before it; they are held in memory
	Follow bool        // go on at the end that the log had at the beginning
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
	r, err := open(ctx, c.Kafka, c.Topics.Predictions, c.From, c.Follow)
	if err != nil {
		return leftOut, err
	}
	defer r.close()
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
	show := func(record *kgo.Record) (more bool, err error) {
		if err := c.Codec.DecodePrediction(ctx, record.Value, &p); err != nil {
			if !wire.IsBroken(err) {
				return false, fmt.Errorf("reading %s/%d/%d: %w", record.Topic, record.Partition, record.Offset, err)
			}
			leftOut.Records++
			return true, nil
		}
		if !c.Filter.Match(&p) {
			return true, nil
		}
		value := wire.PredictionJSON(buffer[:0], record.Value, &p)
		if schemas.IsAvro(record.Value) {
			buffer = value
		}
		return each(&p, value)
	}
	if c.Follow {
		err = r.follow(ctx, &leftOut, show)
	} else {
		err = r.readToEnd(ctx, c.Kafka, &leftOut, show)
	}
	if ctx.Err() != nil {
		return leftOut, nil // told to stop is not a failure
	}
	return leftOut, err
}

// follow hands on what comes until show says no more.
func (r *reader) follow(ctx context.Context, leftOut *recent.LeftOut, show func(*kgo.Record) (more bool, err error)) error {
	for {
		fetches, broken, err := r.poll(ctx, quiet)
		if err != nil {
			return err
		}
		for i := fetches.RecordIter(); !i.Done(); {
			record := i.Next()
			r.next[record.Partition] = record.Offset + 1
			if record.Attrs.IsControl() {
				continue
			}
			if more, err := show(record); err != nil || !more {
				return err
			}
		}
		if err := r.passOver(ctx, broken, leftOut.Unreadable.PassOver); err != nil {
			return err
		}
	}
}

// errEnough ends the reading before the end of the log.
var errEnough = errors.New("no more is wanted")

// readToEnd hands on what the log held at the beginning until show says no more. It
// does not wait for markers behind a transaction that hangs, see kafka.ReadCommitted.
func (r *reader) readToEnd(ctx context.Context, config kafka.Config, leftOut *recent.LeftOut, show func(*kgo.Record) (more bool, err error)) error {
	spans := map[int32]kafka.Span{}
	for partition, end := range r.ends {
		spans[partition] = kafka.Span{From: r.next[partition], To: end}
	}
	err := config.ReadCommitted(ctx, kafka.Spans{r.topic: spans}, kafka.Sink{Unreadable: leftOut.Unreadable.PassOver, Each: func(record *kgo.Record) error {
		more, err := show(record)
		if err == nil && !more {
			err = errEnough
		}
		return err
	}})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// open finds where to begin. Its client reads from there on where it is to follow.
func open(ctx context.Context, config kafka.Config, topic string, from kafka.From, follow bool) (*reader, error) {
	r := &reader{topic: topic, next: map[int32]int64{}, ends: map[int32]int64{}, places: kafka.NewPlaces(config)}
	if err := r.locate(ctx, config, topic, from); err != nil {
		return nil, err
	}
	if !follow {
		client, err := kgo.NewClient(config.Options()...)
		r.client = client
		return r, err
	}
	at := map[int32]kgo.Offset{}
	for p, next := range r.next {
		at[p] = kgo.NewOffset().At(next)
	}
	client, err := kgo.NewClient(append(config.Options(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // they are part of how far was read
		kgo.FetchMaxWait(fetchWait),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	r.client = client
	return r, err
}

// locate finds where every partition begins and ends.
func (r *reader) locate(ctx context.Context, config kafka.Config, topic string, from kafka.From) error {
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
