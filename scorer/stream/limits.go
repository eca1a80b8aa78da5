package stream

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// The catalogue's max.message.bytes of predictions and dead letters, taken where
	// the topic's own may not be read: an application of 1 MiB fits whole.
	catalogueLimit = 2 << 20
	// A batch of predictions is no larger, whatever the topic takes.
	maxBatchBytes = catalogueLimit
	// A letter is no larger, whatever the topic takes.
	maxLetterBytes = 16 << 20
	// The least that the client takes for a batch.
	leastBatchBytes = 512
	// What reading the limits again may take.
	limitsTimeout = 5 * time.Second
)

// limits are how many bytes the topics that are written take in a batch.
type limits struct {
	topics               schemas.Topics
	predictions, letters atomic.Int64
}

func newLimits(topics schemas.Topics) *limits {
	l := &limits{topics: topics}
	l.predictions.Store(maxBatchBytes)
	l.letters.Store(catalogueLimit)
	return l
}

// read looks the limits up.
func (l *limits) read(ctx context.Context, adm *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, limitsTimeout)
	defer cancel()
	found, err := kafka.MaxMessageBytes(ctx, adm, l.topics.Predictions, l.topics.DLQ)
	if err != nil {
		return err
	}
	if n, ok := found[l.topics.Predictions]; ok {
		l.predictions.Store(int64(min(n, maxBatchBytes)))
	}
	if n, ok := found[l.topics.DLQ]; ok {
		l.letters.Store(int64(min(n, maxLetterBytes)))
	}
	if n := l.letters.Load(); n < leastRoom {
		return member.Permanent(nil, "topic %s takes batches of at most %d bytes (max.message.bytes), expected at least %d: no dead letter fits", l.topics.DLQ, n, leastRoom)
	}
	return nil
}

// batch is how many bytes the client may put into a batch of a topic.
func (l *limits) batch(topic string) int32 {
	limit := l.predictions.Load()
	if topic == l.topics.DLQ {
		limit = l.letters.Load()
	}
	return int32(max(limit, leastBatchBytes))
}

// room is how many bytes a dead letter may take.
func (l *limits) room() int { return int(l.letters.Load()) }
