package deadletters

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// sources finds what a cut letter was cut from, in the applications as long as
// retention leaves it there.
type sources struct {
	Config
	admin *kadm.Client
	spans map[int32]kafka.Span // of the applications; nil until asked for
}

// holds says why a letter's source record cannot be read back, "" when it can.
func (s *sources) holds(ctx context.Context, l *Letter) (why string, err error) {
	switch {
	case l.Source.Topic == "":
		return "the letter does not say which record it was", nil
	case l.Source.Topic != s.Topics.Applications:
		return fmt.Sprintf("its source %s is not in %s", l.Source, s.Topics.Applications), nil
	}
	if s.spans == nil {
		if err := s.locate(ctx); err != nil {
			return "", err
		}
	}
	if span := s.spans[l.Source.Partition]; l.Source.Offset < span.From || l.Source.Offset >= span.To {
		return fmt.Sprintf("its source %s is no longer there", l.Source), nil
	}
	return "", nil
}

func (s *sources) locate(ctx context.Context) error {
	ends, err := kafka.ListEnds(ctx, s.admin, s.Topics.Applications)
	if err != nil {
		return err
	}
	s.spans = ends.Spans()[s.Topics.Applications]
	return nil
}

// whole reads back the record that a letter was cut from, or says why that cannot
// be done.
func (s *sources) whole(ctx context.Context, l *Letter) (source *kgo.Record, why string, err error) {
	if why, err = s.holds(ctx, l); why != "" || err != nil {
		return nil, why, err
	}
	at := map[int32]kafka.Span{l.Source.Partition: {From: l.Source.Offset, To: l.Source.Offset + 1}}
	err = s.Kafka.ReadCommitted(ctx, kafka.Spans{s.Topics.Applications: at}, kafka.Sink{Each: func(r *kgo.Record) error {
		source = r
		return nil
	}})
	switch {
	case err != nil:
		return nil, "", err
	case source == nil:
		return nil, fmt.Sprintf("its source %s is no longer there", l.Source), nil
	}
	if name, got, want := l.Cut.differs(source); name != "" {
		return nil, fmt.Sprintf("its source %s is not what it was cut from: %s is %s there, expected %s", l.Source, name, got, want), nil
	}
	return source, "", nil
}

// differs names the first part of a record that is not what a letter was cut from,
// by its digest; "" where all are. A value's digest may be there beside other parts
// that were cut.
func (c *Cut) differs(r *kgo.Record) (name, got, want string) {
	if got := kafka.Digest(r.Value); (c.Value.Cut || c.Value.Digest != "") && got != c.Value.Digest {
		return schemas.HeaderValueDigest, got, c.Value.Digest
	}
	if got := kafka.Digest(r.Key); c.Key.Cut && got != c.Key.Digest {
		return schemas.HeaderKeyDigest, got, c.Key.Digest
	}
	if got := kafka.HeadersDigest(r.Headers); c.Headers.Cut && got != c.Headers.Digest {
		return schemas.HeaderHeadersDigest, got, c.Headers.Digest
	}
	return "", "", ""
}

// mend is a letter with what was cut of it as it is in its source.
func (c *Cut) mend(letter, source *kgo.Record) *kgo.Record {
	whole := *letter
	if c.Key.Cut {
		whole.Key = source.Key
	}
	if c.Headers.Cut {
		whole.Headers = source.Headers
	}
	if c.Value.Cut {
		whole.Value = source.Value
	}
	return &whole
}
