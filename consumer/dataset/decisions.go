package dataset

import (
	"cmp"
	"context"
	"iter"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// decision is what is remembered of a decision, and of the outcome that is of it.
// Those on one application are chained, the last first.
type decision struct {
	decided   schemas.Timestamp
	appended  int64 // when the log took it, Unix milliseconds
	offset    int64
	told      int64 // when the log took the outcome, Unix milliseconds
	partition int32
	earlier   int32 // index of the decision before it on the same application, or none
	defaulted int8  // Unknown: no outcome is of it
	askedFor  bool  // a row can be made of it
	newest    bool  // of those asked for on its application
}

// none ends a chain.
const none int32 = -1

func (d *decision) label() labels.Decision {
	return labels.Decision{Decided: d.decided, Appended: d.appended, Partition: d.partition, Offset: d.offset}
}

// decisions are those on the applications of one part.
type decisions struct {
	all  []decision
	last map[key]int32 // index of an application's last decision
}

func newDecisions(atOnce int64) *decisions {
	return &decisions{all: make([]decision, 0, atOnce), last: make(map[key]int32, atOnce)}
}

// add remembers a decision in its place.
func (s *decisions) add(k key, d decision) {
	at := int32(len(s.all))
	last, ok := s.last[k]
	if !ok || d.label().Compare(s.all[last].label()) > 0 {
		d.earlier = none
		if ok {
			d.earlier = last
		}
		s.last[k], s.all = at, append(s.all, d)
		return
	}
	later := last
	for next := s.all[later].earlier; next != none && d.label().Compare(s.all[next].label()) < 0; next = s.all[later].earlier {
		later = next
	}
	d.earlier = s.all[later].earlier
	s.all[later].earlier = at
	s.all = append(s.all, d)
}

// on are the decisions on an application, the last first; at is the one handed out.
func (s *decisions) on(k key, at *int32) iter.Seq[labels.Decision] {
	return func(yield func(labels.Decision) bool) {
		last, ok := s.last[k]
		if !ok {
			return
		}
		for i := last; i != none; i = s.all[i].earlier {
			if *at = i; !yield(s.all[i].label()) {
				return
			}
		}
	}
}

// at is the decision at a place, given that places are asked for in the order in
// which decisions were added; next is where to look, and is moved on.
func (s *decisions) at(partition int32, offset int64, next *int) *decision {
	for ; *next < len(s.all); *next++ {
		d := &s.all[*next]
		switch c := cmp.Or(cmp.Compare(d.partition, partition), cmp.Compare(d.offset, offset)); {
		case c == 0:
			return d
		case c > 0:
			return nil
		}
	}
	return nil
}

// findDecisions remembers every decision of the stretch.
func (r *run) findDecisions(ctx context.Context) error {
	return r.read(ctx, r.Topics.Predictions, r.predictions, func(record *kgo.Record) error {
		ours, err := r.prediction(ctx, record)
		if ours {
			if string(record.Key) != r.p.ApplicationID {
				r.counts.KeyDiffers++
			}
			r.remember(record, r.isAskedFor())
		}
		return err
	})
}

// findLater remembers the decisions behind the stretch on its applications: an
// outcome may be of one of them.
func (r *run) findLater(ctx context.Context) error {
	return r.read(ctx, r.Topics.Predictions, r.later, func(record *kgo.Record) error {
		err := r.Codec.DecodePrediction(ctx, record.Value, &r.p)
		if err != nil {
			return r.broken(record, err)
		}
		if _, ok := r.known.last[r.key(r.p.ApplicationID)]; ok {
			r.remember(record, false)
		}
		return nil
	})
}

func (r *run) remember(record *kgo.Record, askedFor bool) {
	r.known.add(r.key(r.p.ApplicationID), decision{
		decided: r.p.DecidedAt, appended: record.Timestamp.UnixMilli(), partition: record.Partition, offset: record.Offset,
		defaulted: Unknown, askedFor: askedFor,
	})
}

// findOutcomes notes with every decision the first outcome that is of it.
func (r *run) findOutcomes(ctx context.Context) error {
	c := &r.counts.Outcomes
	return r.read(ctx, r.Topics.Outcomes, r.outcomes, func(record *kgo.Record) error {
		if err := r.Codec.DecodeOutcome(ctx, record.Value, &r.o); err != nil {
			if r.part == 0 && wire.IsBroken(err) {
				c.Malformed++
			}
			return r.leftOut(record, err)
		}
		if !r.inPart(r.o.ApplicationID) {
			return nil
		}
		if string(record.Key) != r.o.ApplicationID {
			c.KeyDiffers++
		}
		told := record.Timestamp.UnixMilli()
		at := none
		_, found := labels.Find(labels.Outcome{Observed: r.o.ObservedAt, Appended: told}, r.known.on(r.key(r.o.ApplicationID), &at))
		first := found == labels.Matched && r.known.all[at].defaulted == Unknown
		c.Count(found, first)
		if found != labels.Matched {
			return nil
		}
		if d := &r.known.all[at]; first || told < d.told {
			d.defaulted, d.told = int8(r.o.Defaulted), told
		}
		return nil
	})
}

// choose marks each application's newest decision that was asked for, and counts
// those that no row is made of.
func (r *run) choose() {
	for _, last := range r.known.last {
		found := false
		for i := last; i != none; i = r.known.all[i].earlier {
			d := &r.known.all[i]
			if !d.askedFor {
				continue
			}
			if d.newest = !found; found && d.defaulted == Unknown {
				r.counts.Repeated++
			}
			found = true
		}
	}
}

// handOn hands on every application's newest decision, and the earlier ones that an
// outcome is of.
func (r *run) handOn(ctx context.Context) error {
	r.choose()
	next := 0
	return r.read(ctx, r.Topics.Predictions, r.predictions, func(record *kgo.Record) error {
		d := r.known.at(record.Partition, record.Offset, &next)
		if d == nil || !d.askedFor || !d.newest && d.defaulted == Unknown {
			return nil
		}
		if _, err := r.prediction(ctx, record); err != nil {
			return err
		}
		r.counts.add(r.p.Decision, d.defaulted)
		return r.each(&r.p, d.defaulted)
	})
}
