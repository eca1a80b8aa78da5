package verify

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/deadletters"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// readAnswers enters every prediction and dead letter.
func (r *run) readAnswers(ctx context.Context) error {
	each := func(record *kgo.Record) error { return r.answer(ctx, record) }
	return r.Kafka.ReadCommitted(ctx, r.outputs, kafka.Sink{Each: each, Unreadable: r.unreadableAnswers, Gap: func(topic string, partition int32) {
		delete(r.first, output{topic, partition})
	}})
}

func (r *run) answer(ctx context.Context, record *kgo.Record) error {
	if isMarker(r.Topics, record) {
		return nil
	}
	source, sourced, broken := sourceOf(record)
	switch {
	case broken != nil:
		r.altered(record, broken.Error())
		return nil
	case !sourced:
		return r.unsourced(ctx, record)
	case source.Topic != r.Topics.Applications:
		r.altered(record, "answers "+source.String()+", not an application")
		return nil
	}
	r.note(record, source)
	l := r.source[source.Partition]
	if l == nil || !l.holds(source.Offset) {
		return nil // before the log's start, or after what the group had committed
	}
	if l.isUnreadable(source.Offset) {
		return nil // answered before the batch was damaged, by what cannot be compared any more
	}
	if record.Topic == r.Topics.DLQ {
		r.report.DeadLetters++
	} else {
		r.report.Predictions++
	}
	v, err := r.inspect(ctx, record, source)
	if err != nil {
		return err
	}
	if v.unread != "" {
		r.takesRegistry(record, v.unread)
	}
	r.report.unreproducible(v.unreproducible)
	if !l.has(source.Offset) {
		r.altered(record, "answers "+source.String()+", where no committed application is")
		return nil
	}
	if l.isOversized(source.Offset) && r.refuses(record) {
		v = verdict{known: true}
	}
	if !l.answer(source.Offset, v.digest, v.known && v.wrong == "") {
		r.report.Duplicated++
		r.report.example(Duplicated, source, fmt.Sprintf("answered again by %s/%d/%d", record.Topic, record.Partition, record.Offset))
	}
	return nil
}

// isMarker says whether a record only says that a dead letter was replayed.
func isMarker(t schemas.Topics, record *kgo.Record) bool {
	return record.Topic == t.DLQ && deadletters.IsMarker(record)
}

// sourceOf is what a record answers; sourced is false where it names no source.
func sourceOf(record *kgo.Record) (source schemas.Source, sourced bool, err error) {
	topic, one := header(record, schemas.HeaderSourceTopic)
	partition, two := header(record, schemas.HeaderSourcePartition)
	offset, three := header(record, schemas.HeaderSourceOffset)
	if !one && !two && !three {
		return source, false, nil
	}
	source, err = schemas.ParseSource(topic, partition, offset)
	return source, true, err
}

// note remembers the first application that an output partition answers, and the
// last where more lie behind an open transaction.
func (r *run) note(record *kgo.Record, source schemas.Source) {
	at := output{record.Topic, record.Partition}
	if r.first[at] == nil {
		r.first[at] = map[int32]int64{}
	}
	if _, ok := r.first[at][source.Partition]; !ok {
		r.first[at][source.Partition] = source.Offset
	}
	if last := r.hidden[at]; last != nil {
		last[source.Partition] = source.Offset
	}
	if r.last[at] == nil {
		r.last[at] = map[int32]int64{}
	}
	r.last[at][source.Partition] = source.Offset
	for _, h := range r.holes {
		h.note(at, record.Offset, source)
	}
}

// mayBeHidden says whether the answer to an application may lie behind an open
// transaction. Answers to one source partition stand in its order, so only those to
// what comes after the last that was seen can.
func (r *run) mayBeHidden(topic string, source schemas.Source) bool {
	for at, last := range r.hidden {
		if seen, ok := last[source.Partition]; at.topic == topic && (!ok || source.Offset > seen) {
			return true
		}
	}
	return false
}

// unsourced judges a record that answers no application of the topic: only the
// API writes those.
func (r *run) unsourced(ctx context.Context, record *kgo.Record) error {
	if record.Topic == r.Topics.DLQ {
		r.altered(record, "a dead letter without a source")
		return nil
	}
	v, err := r.inspect(ctx, record, schemas.Source{})
	if err != nil {
		return err
	}
	if v.unread != "" {
		r.takesRegistry(record, v.unread)
		return nil
	}
	if v.wrong == "" && r.prediction.Channel != schemas.ChannelAPI {
		v.wrong = "without a source, though its channel is " + r.prediction.Channel
	}
	r.report.APIOnly++
	r.report.unreproducible(v.unreproducible)
	if v.wrong != "" {
		r.altered(record, v.wrong)
	}
	return nil
}

// verdict is what an answer says of its application.
type verdict struct {
	digest         uint64 // of what it says the application is
	known          bool   // false: a dead letter that was cut
	wrong          string // why it cannot be right, whatever the application is
	unreproducible string // why it cannot be computed again; "" where it was
	unread         string // why it was not read: its schema is missing: no registry was named, or the registry refuses it
}

// inspect reads an answer; a prediction is left in r.prediction and computed again.
func (r *run) inspect(ctx context.Context, record *kgo.Record, source schemas.Source) (v verdict, err error) {
	if record.Topic == r.Topics.DLQ {
		if _, cut := deadletters.WasCut(record); !cut {
			v.known = true
			v.digest, _, err = r.content(ctx, source.Partition, source.Offset, record.Key, record.Value)
		}
		return v, err
	}
	p := &r.prediction
	if err := r.Codec.DecodePrediction(ctx, record.Value, p); err != nil {
		if !wire.IsBroken(err) {
			return v, fmt.Errorf("reading %s/%d/%d: %w", record.Topic, record.Partition, record.Offset, err)
		}
		*p = schemas.Prediction{}
		if wire.IsUnread(err) {
			v.unread = err.Error()
			return v, nil
		}
		v.wrong = "is not a prediction" // why not may hold a person's features, which no report shows
		return v, nil
	}
	v.digest, v.known = r.says(source.Partition, source.Offset, p.ApplicationID, p.AppliedAt, &p.Features), true
	if string(record.Key) != p.ApplicationID {
		v.wrong = "its key is not its application_id"
		return v, nil
	}
	var lacking *UnreproducibleError
	again, err := r.Recompute(p)
	switch {
	case errors.As(err, &lacking):
		v.unreproducible = lacking.Why
	case err != nil:
		return v, fmt.Errorf("computing %s/%d/%d again: %w", record.Topic, record.Partition, record.Offset, err)
	default:
		if field := differs(p, &again); field != "" {
			v.wrong = field + " differs when computed again"
		}
	}
	return v, nil
}

// Engines and processors agree to these bounds, not always to the last bit (a
// processor may fuse a multiplication with an addition). Decisions and points
// are compared as they are: Recompute makes them of the recorded probability where
// that is within bounds.
const (
	probabilityTolerance  = 1e-6
	contributionTolerance = 1e-5
)

// differs names the first field of a decision that another has otherwise, ""
// without one.
func differs(p, again *schemas.Prediction) string {
	near := func(a, b float32, tolerance float64) bool { return math.Abs(float64(a)-float64(b)) <= tolerance }
	switch {
	case !near(p.DefaultProbability, again.DefaultProbability, probabilityTolerance):
		return "default_probability"
	case p.DefaultPrediction != again.DefaultPrediction:
		return "default_prediction"
	case p.Decision != again.Decision:
		return "decision"
	case p.Points != again.Points:
		return "points"
	case p.ModelVersion != again.ModelVersion:
		return "model_version"
	case p.PolicyVersion != again.PolicyVersion:
		return "policy_version"
	case p.Route != again.Route:
		return "route"
	case len(p.Reasons) != len(again.Reasons):
		return "reasons"
	}
	for i := range p.Reasons {
		if p.Reasons[i].Code != again.Reasons[i].Code || !near(p.Reasons[i].Contribution, again.Reasons[i].Contribution, contributionTolerance) {
			return "reasons"
		}
	}
	return ""
}

func (r *run) altered(record *kgo.Record, why string) {
	r.report.Altered++
	r.report.example(Altered, schemas.Source{Topic: record.Topic, Partition: record.Partition, Offset: record.Offset}, why)
}

// settle counts applications and what was lost of them, now that all has been
// read.
//
// Where retention has removed the beginning of an output partition, so may it
// have an answer. Answers to one source partition stand there in its order, so
// only what lies before the first that is left can have been answered in what
// was removed.
func (r *run) settle(ctx context.Context) error {
	topics := []string{r.Topics.Predictions, r.Topics.DLQ}
	starts, err := kafka.Listed(r.admin.ListStartOffsets(ctx, topics...))
	if err != nil {
		return err
	}
	for _, partition := range r.partitions() {
		l := r.source[partition]
		answerable := map[string]int64{}
		for _, topic := range topics {
			for p, start := range starts[topic] {
				if start.Offset == 0 {
					continue
				}
				first, ok := r.first[output{topic, p}][partition]
				if !ok {
					first = l.to
				}
				answerable[topic] = max(answerable[topic], first)
			}
		}
		r.report.Applications += l.applications()
		l.unanswered(func(offset int64, valid bool) {
			topic := r.Topics.Predictions
			if !valid {
				topic = r.Topics.DLQ
			}
			if offset < answerable[topic] {
				r.report.Applications--
				r.report.Unjudgeable++
				return
			}
			source := schemas.Source{Topic: r.Topics.Applications, Partition: partition, Offset: offset}
			if r.mayBeHidden(topic, source) {
				r.report.Applications--
				r.report.Hidden++
				return
			}
			if r.mayBeInAHole(topic, source) {
				r.report.Applications--
				r.report.unreadable(&r.report.UnreadableBy.Answers, 1)
				return
			}
			r.report.Lost++
			r.report.example(Lost, source, "neither a prediction nor a dead letter answers it")
		})
	}
	return nil
}
