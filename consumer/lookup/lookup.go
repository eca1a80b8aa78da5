// Package lookup finds the decisions on one application in the log.
package lookup

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Config says where predictions are looked for.
type Config struct {
	Kafka    kafka.Config
	Topics   schemas.Topics
	Codec    *wire.Codec // nil: JSON only
	Progress io.Writer   // told how far a long search has come; nil: nobody is

	chunk int64 // offsets of the first stretch; 0: firstChunk
}

// Found is a decision and where it stands.
type Found struct {
	schemas.Source
	Appended   time.Time
	Prediction schemas.Prediction
}

// How many offsets are read at once, from the end back: twice as many each time.
const (
	firstChunk = 10_000
	maxChunk   = 1_000_000
)

// searcher looks through one topic.
type searcher struct {
	Config
	admin  *kadm.Client
	bounds kafka.Spans
	unread error // why something was passed over that may be what is looked for
}

// Decisions are all decisions on an application that its partition of predictions
// holds, newest first; with newest only the last one. Where that partition holds
// none the others are looked through: the number of partitions may have changed.
func Decisions(ctx context.Context, c Config, id string, newest bool) ([]Found, error) {
	s, free, err := open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer free()
	partitions := s.partitions()
	if len(partitions) == 0 {
		return nil, nil
	}
	home := s.home(id, len(partitions))
	found, err := s.search(ctx, home, id, newest)
	if err != nil || len(found) > 0 {
		return found, err
	}
	for _, p := range partitions {
		if p == home {
			continue
		}
		more, err := s.search(ctx, p, id, newest)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	// Of several partitions only the time of the decision says what is newer.
	slices.SortStableFunc(found, func(a, b Found) int { return cmp.Compare(b.Prediction.DecidedAt, a.Prediction.DecidedAt) })
	if newest && len(found) > 1 {
		found = found[:1]
	}
	if len(found) == 0 {
		return nil, s.unread // it may be the one
	}
	return found, nil
}

// At is the prediction at one offset.
func At(ctx context.Context, c Config, partition int32, offset int64) (*Found, error) {
	s, free, err := open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer free()
	at := schemas.Source{Topic: c.Topics.Predictions, Partition: partition, Offset: offset}
	bounds, ok := s.bounds[c.Topics.Predictions][partition]
	if !ok {
		return nil, fmt.Errorf("%s: there is no such partition", at)
	}
	if offset < bounds.From || offset >= bounds.To {
		return nil, fmt.Errorf("%s: the partition holds offsets from %d up to %d, excluded", at, bounds.From, bounds.To)
	}
	var found *Found
	err = s.Kafka.Quiet().ReadCommitted(ctx, s.span(partition, offset, offset+1), kafka.Sink{Each: func(r *kgo.Record) (err error) {
		found, err = s.read(ctx, r)
		return err
	}})
	if err == nil && found == nil {
		err = s.unread
	}
	if err == nil && found == nil {
		err = fmt.Errorf("%s: there is no committed prediction (something else, a marker, or what a transaction took back)", at)
	}
	return found, err
}

// open looks up how far predictions reach. free must be called in the end.
func open(ctx context.Context, c Config) (s *searcher, free func(), err error) {
	client, err := c.Kafka.Connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			client.Close()
		}
	}()
	s = &searcher{Config: c, admin: kadm.NewClient(client)}
	if err := kafka.RequireAccess(ctx, s.admin, kafka.Reads(c.Topics.Predictions)); err != nil {
		return nil, nil, c.Kafka.Explain(err)
	}
	if s.bounds, err = kafka.Bounds(ctx, s.admin, c.Topics.Predictions); err != nil {
		return nil, nil, err
	}
	return s, client.Close, nil
}

func (s *searcher) partitions() (all []int32) {
	for p := range s.bounds[s.Topics.Predictions] {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// home is the partition that an application's predictions go to: that of its key.
func (s *searcher) home(id string, partitions int) int32 {
	byKey := kgo.StickyKeyPartitioner(nil).ForTopic(s.Topics.Predictions)
	return int32(byKey.Partition(&kgo.Record{Key: []byte(id)}, partitions))
}

func (s *searcher) span(partition int32, from, to int64) kafka.Spans {
	return kafka.Spans{s.Topics.Predictions: {partition: {From: from, To: to}}}
}

// search looks through a partition from its end back.
func (s *searcher) search(ctx context.Context, partition int32, id string, newest bool) (found []Found, err error) {
	bounds := s.bounds[s.Topics.Predictions][partition]
	key := []byte(id)
	chunk := cmp.Or(s.chunk, firstChunk)
	for to := bounds.To; to > bounds.From; chunk = min(2*chunk, maxChunk) {
		from := max(bounds.From, to-chunk)
		var here []Found
		err := s.Kafka.Quiet().ReadCommitted(ctx, s.span(partition, from, to), kafka.Sink{Unreadable: s.passOver, Each: func(r *kgo.Record) error {
			if !bytes.Equal(r.Key, key) {
				return nil
			}
			one, err := s.read(ctx, r)
			if one != nil {
				here = append(here, *one)
			}
			return err
		}})
		if err != nil {
			return nil, err
		}
		slices.Reverse(here)
		if found = append(found, here...); newest && len(found) > 0 {
			return found[:1], nil
		}
		if to = from; to > bounds.From && s.Progress != nil {
			fmt.Fprintf(s.Progress, "%s/%d: %d of %d offsets looked through, %d decisions found\n", s.Topics.Predictions, partition, bounds.To-to, bounds.To-bounds.From, len(found))
		}
	}
	return found, nil
}

// passOver remembers that a batch could not be read, and looks on behind it.
func (s *searcher) passOver(u *kafka.UnreadableError) error {
	s.unread = u
	return nil
}

// read reads a prediction; nil where the record is none.
func (s *searcher) read(ctx context.Context, r *kgo.Record) (*Found, error) {
	f := &Found{Source: schemas.Source{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, Appended: r.Timestamp.UTC()}
	err := s.Codec.DecodePrediction(ctx, r.Value, &f.Prediction)
	switch {
	case err == nil:
		return f, nil
	case wire.IsBroken(err):
		if wire.IsUnread(err) {
			s.unread = fmt.Errorf("reading %s: %w", f.Source, err)
		}
		return nil, nil // not a prediction, whatever else it is
	}
	return nil, fmt.Errorf("reading %s: %w", f.Source, err)
}
