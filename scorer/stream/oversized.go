package stream

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/schemas"
)

// maxApplication is what the value of an application may take, unpacked: as much as the
// topic takes of a record that is not packed.
const maxApplication = 1 << 20

func tooLarge(n int) string {
	return fmt.Sprintf("value: %d bytes, at most %d", n, maxApplication)
}

// refuseBatch answers a batch that unpacks to more than a process should hold: with a
// dead letter for each of its offsets, without what was received.
func (s *session) refuseBatch(ctx context.Context, sess *kgo.GroupTransactSession, large member.Oversized) (committed bool, err error) {
	m, now, topic := s.parent.metrics, s.parent.config.Now, s.parent.config.Topics.Applications
	began, first, n := now(), int64(0), int64(0)
	why := fmt.Sprintf("batch of offsets %d … %d: unpacks to more than %d bytes", large.From, large.To-1, kafka.MaxBatch)
	committed, cause, err := s.member.Answer(ctx, sess, now, large, func(ctx context.Context, from, to int64, promise func() func(*kgo.Record, error)) error {
		first, n = from, to-from
		for offset := from; offset < to; offset++ {
			r := &kgo.Record{Topic: topic, Partition: large.Partition, Offset: offset}
			letter := deadLetter(s.parent.config.Topics.DLQ, r, schemas.ErrorClassTooLarge, why, began, catalogueLimit)
			letter.Headers = append(letter.Headers, kgo.RecordHeader{Key: schemas.HeaderValueTruncated, Value: []byte("true")})
			sess.Produce(ctx, letter, promise())
		}
		return nil
	})
	switch {
	case err != nil:
		return false, fmt.Errorf("refusing the batch of %s/%d at offset %d: %w", topic, large.Partition, large.From, err)
	case cause != nil:
		m.aborts.Inc()
		if why := s.parent.resolve(ctx, cause); why != nil {
			return false, why
		}
		s.parent.config.Log.Warn("transaction aborted, reading its applications again", "transactional_id", s.id, "error", cause)
		retry.Sleep(ctx, restTime)
		return false, nil
	case committed:
		m.records.Add(float64(n))
		m.deadLetters.WithLabelValues(schemas.ErrorClassTooLarge).Add(float64(n))
		if first != large.From {
			break // told of with its first part
		}
		s.parent.config.Log.Error("a batch is too large to be unpacked: its applications are dead letters", "topic", topic, "partition", large.Partition,
			"offset", large.From, "next", large.To, "dead_letters", large.To-large.From, "limit", kafka.MaxBatch)
	}
	return committed, nil
}
