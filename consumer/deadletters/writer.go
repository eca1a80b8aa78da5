package deadletters

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// How long a replay that was killed holds back every reader of committed
	// applications and dead letters.
	transactionTimeout = 8 * time.Second
	// How long a transaction may take to be written and ended, whatever signal comes.
	endTimeout = 15 * time.Second
	// Larger than any record that the topics take. The broker has the last word.
	maxRecord = 16 << 20
)

// transactionalID is the same for every replay: whoever takes it ends what a
// predecessor left open, and fences one that still runs.
func transactionalID(c Config) string { return c.Kafka.Prefix + "-dlq-replay" }

// writer writes applications and the markers of their letters.
type writer struct {
	client *kgo.Client
	topics schemas.Topics
	id     string // transactional

	throttle *kafka.Throttle
}

// openWriter takes the transactional id. What is read of the dead letters from
// then on is not changed by another replay unless this one is fenced.
func openWriter(ctx context.Context, c Config) (*writer, error) {
	w := &writer{topics: c.Topics, id: transactionalID(c), throttle: kafka.NewThrottle(nil)}
	var err error
	w.client, err = c.Kafka.Connect(ctx,
		kgo.TransactionalID(w.id),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(maxRecord),
		kgo.ProducerLinger(0),
		kgo.WithHooks(w.throttle),
		kgo.RecordPartitioner(placement{dlq: c.Topics.DLQ, byKey: kgo.StickyKeyPartitioner(nil), byLetter: kgo.ManualPartitioner()}),
	)
	if err != nil {
		return nil, err
	}
	take, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if _, _, err := w.client.ProducerID(take); err != nil {
		w.client.Close()
		return nil, fmt.Errorf("taking transactional id %s: %w", w.id, err)
	}
	return w, nil
}

// throttled is how long a quota keeps the client from producing.
func (w *writer) throttled() time.Duration { return max(0, time.Until(w.throttle.Until())) }

// placement puts an application into the partition of its key, as every producer
// does, and a marker into that of its letter.
type placement struct {
	dlq             string
	byKey, byLetter kgo.Partitioner
}

// ForTopic is part of kgo.Partitioner.
func (p placement) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.dlq {
		return p.byLetter.ForTopic(topic)
	}
	return p.byKey.ForTopic(topic)
}

// write is one transaction: all of the letters are replayed, or none.
func (w *writer) write(ctx context.Context, batch []pair) error {
	// A signal ends the reading, never a transaction.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	began := time.Now()
	producer, epoch, err := w.client.ProducerID(ctx)
	if err != nil {
		return w.failed(err, began)
	}
	if err := w.client.BeginTransaction(); err != nil {
		return err
	}
	records := make([]*kgo.Record, 0, 2*len(batch))
	for _, p := range batch {
		records = append(records, p.application, p.marker)
	}
	cause := w.client.ProduceSync(ctx, records...).FirstErr()
	// A client that was fenced may have got itself a new epoch, and with it the
	// right to write what another replay has written already.
	if p, e, err := w.client.ProducerID(ctx); cause == nil && (err != nil || p != producer || e != epoch) {
		if cause = err; cause == nil {
			cause = errTaken
		}
	}
	end := w.client.EndTransaction(ctx, kgo.TransactionEndTry(cause == nil))
	switch {
	case cause == nil && end == nil:
		return nil
	case cause == nil && !isFenced(end):
		return fmt.Errorf("whether they were is not known: %w", end)
	case cause == nil, end != nil && isRecords(cause): // after which the next transaction could not begin
		cause = end
	}
	return w.failed(cause, began)
}

func (w *writer) failed(err error, began time.Time) error {
	if isFenced(err) {
		return &overtakenError{w.id, time.Since(began), err}
	}
	return err
}

func (w *writer) close() { w.client.Close() }
