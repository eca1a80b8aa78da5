package verify

import (
	"errors"
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// unreadableApplications counts and names the offsets of a batch of applications that
// cannot be read. They are not judged: the group has passed over them, or has answered
// them before the batch was damaged.
func (r *run) unreadableApplications(l *ledger, u *kafka.UnreadableError) {
	if errors.Is(u.Err, kgo.ErrMaxDecompress) {
		l.oversized = append(l.oversized, kafka.Span{From: u.From, To: u.To})
		for offset := u.From; offset < u.To; offset++ {
			l.applied(offset, 0, false)
		}
		return
	}
	l.broken = append(l.broken, kafka.Span{From: u.From, To: u.To})
	r.stoppedAt(u)
}

// refuses says whether a record is the dead letter of an application in a batch that
// is too large to be unpacked: nobody knows what it says.
func (r *run) refuses(record *kgo.Record) bool {
	class, _ := header(record, schemas.HeaderErrorClass)
	return record.Topic == r.Topics.DLQ && string(class) == schemas.ErrorClassTooLarge && len(record.Value) == 0
}

// stoppedAt counts and names a damaged batch of applications.
func (r *run) stoppedAt(u *kafka.UnreadableError) {
	r.report.unreadable(&r.report.UnreadableBy.Applications, u.To-u.From)
	r.nameUnreadable(u, "")
}

func (r *run) nameUnreadable(u *kafka.UnreadableError, more string) {
	why := u.Err.Error() + more
	if last := u.To - 1; last > u.From {
		why = fmt.Sprintf("with every offset up to %d: %s", last, why)
	}
	r.report.example(Unreadable, schemas.Source{Topic: u.Topic, Partition: u.Partition, Offset: u.From}, why)
}

// hole is a batch of predictions or dead letters that cannot be read.
type hole struct {
	at            output
	from          int64           // its first offset
	before, after map[int32]int64 // nearest source offsets answered beside it, by source partition
}

// note takes in an answer, at an offset, that came once the hole was known. It may lie
// before it: what waits for its transaction's marker comes when that was read.
func (h *hole) note(at output, offset int64, source schemas.Source) {
	if at != h.at {
		return
	}
	_, known := h.after[source.Partition]
	switch {
	case offset < h.from:
		h.before[source.Partition] = source.Offset
	case !known:
		h.after[source.Partition] = source.Offset
	}
}

func (r *run) unreadableAnswers(u *kafka.UnreadableError) error {
	at := output{u.Topic, u.Partition}
	before := maps.Clone(r.last[at])
	if before == nil {
		before = map[int32]int64{}
	}
	r.holes = append(r.holes, &hole{at: at, from: u.From, before: before, after: map[int32]int64{}})
	r.report.UnreadableBy.AnswerBatches++
	r.nameUnreadable(u, "; counted are the applications whose answers may be in it")
	return nil
}

// mayBeInAHole says whether the answer to an application may be in a batch that cannot
// be read. Answers to one source partition stand in its order, so the hole holds only
// what comes between those beside it.
func (r *run) mayBeInAHole(topic string, source schemas.Source) bool {
	for _, h := range r.holes {
		before, seen := h.before[source.Partition]
		after, more := h.after[source.Partition]
		if h.at.topic == topic && (!seen || source.Offset > before) && (!more || source.Offset < after) {
			return true
		}
	}
	return false
}

// takesRegistry counts and names a prediction in Avro that cannot be read without a
// schema registry, or whose schema the registry refuses: one of a foreign program, or all
// of a run that has one.
func (r *run) takesRegistry(record *kgo.Record, why string) {
	r.report.unreadable(&r.report.UnreadableBy.Avro, 1)
	r.report.example(Unreadable, schemas.Source{Topic: record.Topic, Partition: record.Partition, Offset: record.Offset}, why)
}
