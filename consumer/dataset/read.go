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

// newest is the newest decision on an application, and the first outcome told.
type newest struct {
	offset    int64
	decided   schemas.Timestamp
	told      int64 // when the log took the outcome, milliseconds
	partition int32
	defaulted int8
}

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
	if r.predictions, err = kafka.Appended(ctx, adm, r.Topics.Predictions, r.From, r.To); err != nil {
		return err
	}
	// An outcome is told after the decision, however long.
	if r.outcomes, err = kafka.Appended(ctx, adm, r.Topics.Outcomes, r.From, time.Time{}); err != nil {
		return err
	}
	r.counts.Parts = offsets(r.predictions)/r.idsAtOnce + 1
	return nil
}

// offsets is how many offsets there are in all.
func offsets(spans map[int32]kafka.Span) (n int64) {
	for _, s := range spans {
		n += s.To - s.From
	}
	return n
}

// read hands on the records of a topic that belong to the part at hand, a
// partition at a time: rows then come in the same order every time.
func (r *run) read(ctx context.Context, topic string, spans map[int32]kafka.Span, each func(*kgo.Record) error) error {
	of := r.counts.Parts * (2*offsets(r.predictions) + offsets(r.outcomes))
	for _, partition := range slices.Sorted(maps.Keys(spans)) {
		s := spans[partition]
		last := s.From
		err := r.Kafka.Quiet().ReadCommitted(ctx, kafka.Spans{topic: {partition: s}}, kafka.Sink{Unreadable: func(u *kafka.UnreadableError) error {
			where := schemas.Source{Topic: topic, Partition: partition, Offset: u.From}
			if !r.unreadable[where] { // predictions are read twice, and once for each part
				r.unreadable[where] = true
				r.counts.Left += u.Offsets()
			}
			return nil
		}, Each: func(record *kgo.Record) error {
			if r.Progress != nil && record.Offset-last >= progressInterval {
				r.Progress(r.done+record.Offset-s.From, of)
				last = record.Offset
			}
			if xxhash.Sum64(record.Key)%uint64(r.counts.Parts) != uint64(r.part) {
				return nil
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

func (r *run) key(id []byte) key { return key{xxhash.Sum64(id), maphash.Bytes(r.seed, id)} }

// prediction reads a record into r.p. whole says whether it is a prediction, counts
// whether it is one that was asked for.
func (r *run) prediction(ctx context.Context, record *kgo.Record) (counts, whole bool, err error) {
	if err := r.Codec.DecodePrediction(ctx, record.Value, &r.p); err != nil {
		return false, false, r.broken(record, err)
	}
	if r.p.ApplicationID != string(record.Key) {
		return false, false, nil
	}
	decided := r.p.DecidedAt.Time()
	inside := !decided.Before(r.From) && (r.To.IsZero() || decided.Before(r.To))
	return inside && (r.Keep == nil || r.Keep(&r.p)), true, nil
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

// findNewest notes where the newest decision on each application stands: within a
// partition the later one, of several (their number was changed) the one decided
// later.
func (r *run) findNewest(ctx context.Context) error {
	return r.read(ctx, r.Topics.Predictions, r.predictions, func(record *kgo.Record) error {
		counts, whole, err := r.prediction(ctx, record)
		if !whole {
			r.counts.Left++
		}
		if !counts {
			return err
		}
		k := r.key(record.Key)
		have, ok := r.known[k]
		if ok {
			r.counts.Repeated++
		}
		if !ok || have.partition == record.Partition || have.decided < r.p.DecidedAt {
			r.known[k] = newest{offset: record.Offset, decided: r.p.DecidedAt, partition: record.Partition, defaulted: Unknown}
		}
		return nil
	})
}

// findOutcomes notes the first outcome told of every application that was decided.
func (r *run) findOutcomes(ctx context.Context) error {
	return r.read(ctx, r.Topics.Outcomes, r.outcomes, func(record *kgo.Record) error {
		k := r.key(record.Key)
		n, ok := r.known[k]
		told := record.Timestamp.UnixMilli()
		if !ok || n.defaulted != Unknown && n.told <= told {
			return nil
		}
		if err := r.Codec.DecodeOutcome(ctx, record.Value, &r.o); err != nil {
			r.counts.Left++
			return r.broken(record, err)
		}
		n.defaulted, n.told = int8(r.o.Defaulted), told
		r.known[k] = n
		return nil
	})
}

// handOn hands the newest decisions on.
func (r *run) handOn(ctx context.Context) error {
	return r.read(ctx, r.Topics.Predictions, r.predictions, func(record *kgo.Record) error {
		n, ok := r.known[r.key(record.Key)]
		if !ok || n.partition != record.Partition || n.offset != record.Offset {
			return nil
		}
		if _, _, err := r.prediction(ctx, record); err != nil {
			return err
		}
		r.counts.add(r.p.Decision, n.defaulted)
		return r.each(&r.p, n.defaulted)
	})
}
