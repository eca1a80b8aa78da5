package deadletters

import (
	"context"
	"hash/maphash"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
)

// A letter whose application was itself replayed says from which letter. Where both say
// the same class and message, nothing has changed since, and another replay would be
// answered by another letter.

// returned is a letter of an application that was replayed.
type returned struct {
	from   Position // the letter it was
	failed uint64   // how it failed this time
}

var failureSeed = maphash.MakeSeed()

// failure is how a letter's application failed, in 64 bits.
func failure(l *Letter) uint64 { return maphash.String(failureSeed, l.Class+"\x00"+l.Message) }

// origin is the letter that one says it was replayed from.
func (s *survey) origin(l *Letter) (Position, bool) {
	text, ok := strings.CutPrefix(l.ReplayedFrom, s.Topics.DLQ+"/")
	if !ok {
		return Position{}, false
	}
	p, err := ParsePosition(text)
	return p, err == nil
}

// findAlike marks those that came back and failed as they had before. Of what retention
// has removed it is not known how it failed: those are taken to have failed alike.
func (s *survey) findAlike(ctx context.Context, back map[Position]returned) error {
	failures := map[Position]uint64{}
	spans := map[int32]kafka.Span{}
	for _, r := range back {
		if log := s.logs[r.from.Partition]; r.from.Offset < log.From || r.from.Offset >= log.To {
			continue
		}
		failures[r.from] = 0
		span, ok := spans[r.from.Partition]
		if !ok {
			span = kafka.Span{From: r.from.Offset}
		}
		spans[r.from.Partition] = kafka.Span{From: min(span.From, r.from.Offset), To: max(span.To, r.from.Offset+1)}
	}
	if len(spans) > 0 {
		err := s.readSpans(ctx, spans, func(r *kgo.Record) error {
			at := Position{r.Partition, r.Offset}
			if _, wanted := failures[at]; wanted && !IsMarker(r) {
				l := parse(r)
				failures[at] = failure(&l)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for at, r := range back {
		if before := failures[r.from]; before == 0 || before == r.failed {
			*s.at(at) |= alike
		}
	}
	return nil
}
