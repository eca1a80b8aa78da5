package deadletters

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	starts, err := kafka.Listed(s.admin.ListStartOffsets(ctx, s.Topics.Applications))
	if err != nil {
		return err
	}
	ends, err := kafka.Listed(s.admin.ListEndOffsets(ctx, s.Topics.Applications))
	if err != nil {
		return err
	}
	s.spans = map[int32]kafka.Span{}
	for partition, end := range ends[s.Topics.Applications] {
		s.spans[partition] = kafka.Span{From: starts[s.Topics.Applications][partition].Offset, To: end.Offset}
	}
	return nil
}

// whole reads a cut letter's value back, or says why that cannot be done.
func (s *sources) whole(ctx context.Context, l *Letter) (value []byte, why string, err error) {
	if why, err = s.holds(ctx, l); why != "" || err != nil {
		return nil, why, err
	}
	found := false
	at := map[int32]kafka.Span{l.Source.Partition: {From: l.Source.Offset, To: l.Source.Offset + 1}}
	err = s.Kafka.ReadCommitted(ctx, kafka.Spans{s.Topics.Applications: at}, kafka.Sink{Each: func(r *kgo.Record) error {
		value, found = r.Value, true
		return nil
	}})
	switch {
	case err != nil:
		return nil, "", err
	case !found:
		return nil, fmt.Sprintf("its source %s is no longer there", l.Source), nil
	case digest(value) != l.Digest:
		return nil, fmt.Sprintf("its source %s is not what it was cut from: %s is %s there, expected %s", l.Source, schemas.HeaderValueDigest, digest(value), l.Digest), nil
	}
	return value, "", nil
}

// digest is a value's digest as a letter carries it.
func digest(value []byte) string {
	sum := sha256.Sum256(value)
	return "sha256:" + hex.EncodeToString(sum[:])
}
