package deadletters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// Config says whose dead letters.
type Config struct {
	Kafka  kafka.Config
	Topics schemas.Topics

	Patience time.Duration // with transactions that are open on the dead letters; 0: kafka.OpenPatience
}

// clockSkew is how far the clocks of scorers and brokers may be apart: letters are
// found by when the broker appended them and selected by when the scorer failed.
const clockSkew = 10 * time.Minute

// mark is what a survey notes of one offset; a class's number is in the upper bits.
type mark uint8

const (
	chosen   mark = 1 << iota // a letter that the selection takes
	replayed                  // a marker names it
	cut                       // something of it was cut
	met                       // seen again in the second reading
	alike                     // it came back from a replay and failed as before

	classShift = 5
)

// classNumber is the number of a letter's class among Classes.
func (l *Letter) classNumber() mark {
	i := slices.Index(Classes(), l.Class)
	switch {
	case l.Foreign:
		i = slices.Index(Classes(), ForeignClass)
	case i < 0:
		i = slices.Index(Classes(), unknownClass)
	}
	return mark(i)
}

// className is a class as it is shown.
func (m mark) className() string { return Classes()[m>>classShift] }

func (m mark) isForeign() bool { return m.className() == ForeignClass }

// survey is what one reading of the dead letters found: a letter's markers come
// after it, so what was replayed is known only at the end. It takes a byte for
// every offset.
type survey struct {
	Config
	Selection
	logs    map[int32]kafka.Span // of the partitions, whatever is selected
	spans   map[int32]kafka.Span
	marks   map[int32][]mark
	unclear int // markers that name no position
	open    []kafka.Open
	unread  kafka.Unread // batches that are left out
}

// look reads the partitions that the selection asks for.
func look(ctx context.Context, c Config, sel Selection) (*survey, error) {
	s := &survey{Config: c, Selection: sel, marks: map[int32][]mark{}}
	if err := s.locate(ctx); err != nil {
		return nil, err
	}
	for partition, span := range s.spans {
		s.marks[partition] = make([]mark, max(0, span.To-span.From))
	}
	takes, back := sel.matcher(), map[Position]returned{}
	err := s.read(ctx, func(r *kgo.Record) error {
		if !IsMarker(r) {
			if l := parse(r); takes(&l) {
				m := s.at(l.Position)
				*m |= chosen | l.classNumber()<<classShift
				if l.Cut.Any() {
					*m |= cut
				}
				if from, ok := s.origin(&l); ok && !l.Foreign {
					back[l.Position] = returned{from, failure(&l)}
				}
			}
			return nil
		}
		of, err := marked(r)
		if err != nil {
			s.unclear++
		} else if m := s.at(of); m != nil {
			*m |= replayed
		}
		return nil
	})
	if err == nil {
		err = s.findAlike(ctx, back)
	}
	return s, err
}

// at is the mark of a position, nil where it was not looked at.
func (s *survey) at(p Position) *mark {
	i := p.Offset - s.spans[p.Partition].From
	if marks := s.marks[p.Partition]; i >= 0 && i < int64(len(marks)) {
		return &marks[i]
	}
	return nil
}

// locate fixes what is read. Up to the high watermarks stand the markers of every replay
// that has ended, also where a transaction's end has not reached every partition yet:
// that is waited for. What lies behind a transaction that hangs cannot be read.
func (s *survey) locate(ctx context.Context) error {
	client, err := s.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	adm, topic := kadm.NewClient(client), s.Topics.DLQ
	if err := kafka.RequireTopics(ctx, adm, topic); err != nil {
		return err
	}
	patience := s.Patience
	if patience == 0 {
		patience = kafka.OpenPatience
	}
	ends, open, err := s.Kafka.Settled(ctx, adm, patience, topic)
	if err != nil {
		return err
	}
	s.open = open
	var since kadm.ListedOffsets
	if len(s.Positions) == 0 && !s.From.IsZero() {
		if since, err = kafka.Listed(adm.ListOffsetsAfterMilli(ctx, s.From.Add(-clockSkew).UnixMilli(), topic)); err != nil {
			return err
		}
	}
	s.logs, s.spans = ends.Spans()[topic], map[int32]kafka.Span{}
	for partition, log := range s.logs {
		s.spans[partition] = kafka.Span{From: max(log.From, since[topic][partition].Offset), To: log.To}
	}
	return s.narrow(topic)
}

// narrow leaves what is behind the positions asked for.
func (s *survey) narrow(topic string) error {
	if len(s.Positions) == 0 {
		return nil
	}
	first := map[int32]int64{}
	for _, p := range s.Positions {
		if _, ok := s.spans[p.Partition]; !ok {
			return fmt.Errorf("%s: %s has partitions 0 … %d", p, topic, len(s.spans)-1)
		}
		if at, ok := first[p.Partition]; !ok || p.Offset < at {
			first[p.Partition] = p.Offset
		}
	}
	for partition, span := range s.spans {
		if at, ok := first[partition]; ok {
			s.spans[partition] = kafka.Span{From: max(span.From, at), To: span.To}
		} else {
			delete(s.spans, partition)
		}
	}
	return nil
}

func (s *survey) read(ctx context.Context, each func(*kgo.Record) error) error {
	return s.readSpans(ctx, s.spans, each)
}

// readSpans leaves out a batch that unpacks to more than any scorer or replay writes: no
// letter is in it, and no marker. Where another cannot be read it ends.
func (s *survey) readSpans(ctx context.Context, spans map[int32]kafka.Span, each func(*kgo.Record) error) error {
	return s.Kafka.ReadCommitted(ctx, kafka.Spans{s.Topics.DLQ: spans}, kafka.Sink{Each: each, Unreadable: func(u *kafka.UnreadableError) error {
		if !errors.Is(u, kgo.ErrMaxDecompress) {
			return u
		}
		return s.unread.PassOver(u)
	}})
}

// count calls f with the mark of every letter chosen.
func (s *survey) count(f func(p Position, m mark)) {
	for partition, marks := range s.marks {
		for i, m := range marks {
			if m&chosen != 0 {
				f(Position{partition, s.spans[partition].From + int64(i)}, m)
			}
		}
	}
}
