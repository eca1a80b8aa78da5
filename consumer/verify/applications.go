package verify

import (
	"context"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// idsAtOnce bounds the ids held while repeated ones are looked for, 8 bytes
// each. A partition of more offsets is read once per so many.
const idsAtOnce = 4 << 20

// readApplications enters every application, a partition at a time: a key maps to
// one partition, so an application_id that repeats does so there.
func (r *run) readApplications(ctx context.Context) error {
	var ids idCounter
	for _, partition := range r.partitions() {
		l := r.source[partition]
		spans := kafka.Spans{r.Topics.Applications: {partition: {From: l.from, To: l.to}}}
		ids.slices = uint64((l.to-l.from)/r.idsAtOnce) + 1
		for ids.slice = 0; ids.slice < ids.slices; ids.slice++ {
			first := ids.slice == 0
			err := r.Kafka.ReadCommitted(ctx, spans, kafka.Sink{Unreadable: func(u *kafka.UnreadableError) error {
				if first {
					r.unreadableApplications(l, u)
				}
				return nil
			}, Each: func(record *kgo.Record) error {
				digest, valid, err := r.content(ctx, partition, record.Offset, record.Key, record.Value)
				if err != nil {
					return err
				}
				if valid {
					ids.add(r.app.ApplicationID)
				}
				if ids.slice > 0 {
					return nil
				}
				l.applied(record.Offset, digest, valid)
				if _, ok := header(record, schemas.HeaderReplayedFrom); ok {
					r.report.Replayed++
				}
				return nil
			}})
			if err != nil {
				return err
			}
			r.report.RepeatedApplicationID += ids.repeated()
		}
	}
	return r.forgetRemoved(ctx)
}

// forgetRemoved takes what retention has removed while it was read out of the
// judgement: an answer to it would seem to have no source.
func (r *run) forgetRemoved(ctx context.Context) error {
	starts, err := kafka.Listed(r.admin.ListStartOffsets(ctx, r.Topics.Applications))
	if err != nil {
		return err
	}
	for partition, l := range r.source {
		r.report.Unjudgeable += l.forget(starts[r.Topics.Applications][partition].Offset)
	}
	return nil
}

func (r *run) partitions() []int32 {
	var all []int32
	for p := range r.source {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// header is a header's value. The last of a name wins: outputs carry the headers
// of what they answer before their own.
func header(r *kgo.Record, key string) (value []byte, ok bool) {
	for _, h := range slices.Backward(r.Headers) {
		if h.Key == key {
			return h.Value, true
		}
	}
	return nil, false
}

// idCounter counts ids that were there before, one slice of their hashes at a
// time. Sixty-four bits stand for an id: among 10 million, two different ones
// count as one with a probability of 3 in a million.
type idCounter struct {
	slice, slices uint64
	hashes        []uint64
}

func (c *idCounter) add(id string) {
	if h := xxhash.Sum64String(id); h%c.slices == c.slice {
		c.hashes = append(c.hashes, h)
	}
}

// repeated ends a slice: how many of its ids had been there before.
func (c *idCounter) repeated() int64 {
	n := len(c.hashes)
	slices.Sort(c.hashes)
	distinct := len(slices.Compact(c.hashes))
	c.hashes = c.hashes[:0]
	return int64(n - distinct)
}
