package dataset

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// key stands for an application_id by 128 bits, half of which nobody can foresee:
// two ids of ten million share one with a probability below 1e-24.
type key [2]uint64

// locate fixes what is read: offsets, so that every pass sees the same.
func (r *run) locate(ctx context.Context) error {
	client, err := r.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(r.Topics.Predictions, r.Topics.Outcomes)); err != nil {
		return r.Kafka.Explain(err)
	}
	if _, r.counts.Open, err = r.Kafka.Settled(ctx, adm, kafka.OpenPatience, r.Topics.Predictions, r.Topics.Outcomes); err != nil {
		return err
	}
	// An outcome is told after the decision, however long. Found first, it meets all
	// decisions that were there before it.
	if r.outcomes, err = kafka.Appended(ctx, adm, r.Topics.Outcomes, r.From, time.Time{}); err != nil {
		return err
	}
	if r.predictions, err = kafka.Appended(ctx, adm, r.Topics.Predictions, r.From, r.To); err != nil {
		return err
	}
	if !r.To.IsZero() {
		all, err := kafka.Appended(ctx, adm, r.Topics.Predictions, r.From, time.Time{})
		if err != nil {
			return err
		}
		r.later = behind(all, r.predictions)
	}
	r.counts.Parts = offsets(r.predictions)/r.atOnce + 1
	return nil
}

// offsets is how many offsets there are in all.
func offsets(spans map[int32]kafka.Span) (n int64) {
	for _, s := range spans {
		n += s.To - s.From
	}
	return n
}

// behind is what spans hold behind others of the same topic.
func behind(all, of map[int32]kafka.Span) map[int32]kafka.Span {
	left := map[int32]kafka.Span{}
	for partition, s := range all {
		if o, ok := of[partition]; ok {
			s.From = max(s.From, o.To)
		}
		if s.From < s.To {
			left[partition] = s
		}
	}
	return left
}

// read hands on the records of a topic, a partition at a time: they come in the same
// order every time.
func (r *run) read(ctx context.Context, topic string, spans map[int32]kafka.Span, each func(*kgo.Record) error) error {
	of := r.counts.Parts * (2*offsets(r.predictions) + offsets(r.later) + offsets(r.outcomes))
	for _, partition := range slices.Sorted(maps.Keys(spans)) {
		s := spans[partition]
		last := s.From
		err := r.Kafka.Quiet().ReadCommitted(ctx, kafka.Spans{topic: {partition: s}}, kafka.Sink{Unreadable: r.counts.Unread.PassOver, Each: func(record *kgo.Record) error {
			if r.Progress != nil && record.Offset-last >= progressInterval {
				r.Progress(r.done+record.Offset-s.From, of)
				last = record.Offset
			}
			return each(record)
		}})
		if err != nil {
			return err
		}
		r.done += s.To - s.From
	}
	return nil
}

// progressInterval is how many offsets lie between two words on progress.
const progressInterval = 1 << 18

func (r *run) key(id string) key { return key{xxhash.Sum64String(id), maphash.String(r.seed, id)} }

// inPart says whether an application belongs to the part at hand.
func (r *run) inPart(id string) bool {
	return r.counts.Parts == 1 || xxhash.Sum64String(id)%uint64(r.counts.Parts) == uint64(r.part)
}

// prediction reads a record into r.p. ours says whether it is a prediction on an
// application of the part at hand.
func (r *run) prediction(ctx context.Context, record *kgo.Record) (ours bool, err error) {
	if err := r.Codec.DecodePrediction(ctx, record.Value, &r.p); err != nil {
		return false, r.leftOut(record, err)
	}
	return r.inPart(r.p.ApplicationID), nil
}

// isAskedFor says whether the prediction in r.p is one that was asked for.
func (r *run) isAskedFor() bool {
	decided := r.p.DecidedAt.Time()
	inside := !decided.Before(r.From) && (r.To.IsZero() || decided.Before(r.To))
	return inside && (r.Keep == nil || r.Keep(&r.p))
}

// leftOut counts a record that is not what its topic holds, once, and passes over
// it; any other error ends the reading.
func (r *run) leftOut(record *kgo.Record, err error) error {
	if r.part == 0 {
		r.counts.Left++
	}
	return r.broken(record, err)
}

// broken passes over a record that is not what its topic holds; any other error
// ends the reading.
func (r *run) broken(record *kgo.Record, err error) error {
	if !wire.IsBroken(err) {
		return fmt.Errorf("reading %s: %w", at(record), err)
	}
	return nil
}

func at(record *kgo.Record) schemas.Source {
	return schemas.Source{Topic: record.Topic, Partition: record.Partition, Offset: record.Offset}
}
