package stream

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
	"github.com/creditstream/creditstream/scorer"
)

const (
	// What one poll takes at most: while the client sends its answers, the next are
	// made.
	maxPoll = 4_000
	// Polls of one transaction: each has memory of its own.
	maxPolls = 64
	// What may have been produced and not acknowledged, in bytes, when a transaction
	// takes more.
	maxUnacknowledged = 4 << 20
	// How long a transaction takes more after it was begun: a third of what it may be
	// open for is left for the brokers.
	growTime = 2 * time.Second
	// How long it waits for acknowledgements before it takes no more, and how often it
	// looks.
	ackWait     = 250 * time.Millisecond
	ackInterval = time.Millisecond
)

// transaction is what is answered in one: a batch for every poll.
type transaction struct {
	batches []*batch      // longer than fetches; their memory is used again
	fetches []kgo.Fetches // what was polled
	asked   int           // what the last poll might have brought
	brought int           // what all polls have, markers included
	bytes   int           // of an answer, in the last batch; 0: not known
	alone   bool          // one poll only: an application waits for its schema

	most     int // what one poll takes at most
	newBatch func() *batch
}

func newTransaction(codec *wire.Codec, topics schemas.Topics) transaction {
	one := scorer.New()
	return transaction{most: maxPoll, newBatch: func() *batch { return newBatch(codec, one, topics) }}
}

// release forgets what was polled and the answers to it: letters may be large.
func (t *transaction) release() {
	for _, b := range t.batches[:len(t.fetches)] {
		clear(b.sources)
		clear(b.letters)
		b.sources, b.letters = b.sources[:0], b.letters[:0]
	}
	clear(t.fetches)
	t.fetches, t.brought = t.fetches[:0], 0
}

// drop forgets the memory that a client may still be reading.
func (t *transaction) drop() {
	for _, b := range t.batches {
		b.drop()
	}
}

// last is the batch that is being answered.
func (t *transaction) last() *batch { return t.batches[len(t.fetches)-1] }

// polled is how many applications were polled.
func (t *transaction) polled() (n int) {
	for _, f := range t.fetches {
		n += f.NumRecords()
	}
	return n
}

// nextPoll is how many applications the next poll may bring, of those that the
// transaction may still take: no more than may be unacknowledged, if they are like
// the last.
func (t *transaction) nextPoll(left int) int {
	n := min(left, t.most)
	if t.bytes > 0 {
		n = min(n, maxUnacknowledged/t.bytes)
	}
	t.asked = max(n, 1)
	return t.asked
}

// decode takes what was polled into a batch of its own. It waits while a schema
// cannot be had; the error is then ctx's.
func (s *session) decode(ctx context.Context, fetches kgo.Fetches) (took time.Duration, err error) {
	now := s.parent.config.Now
	began := now()
	s.fetches = append(s.fetches, fetches)
	s.brought += s.member.Brought()
	if len(s.batches) < len(s.fetches) {
		s.batches = append(s.batches, s.newBatch())
	}
	b := s.last()
	b.room = s.parent.limits.room()
	err = b.decode(ctx, fetches, s.poison, now)
	return now().Sub(began), err
}

var errNoSchema = errors.New("the schema of an application could not be had while a transaction was open")

// decodeSoon is decode within an open transaction, which cannot wait: where a schema
// does not come, the transaction is aborted, and the next ones are of one poll each
// until one is committed, so that what waits does so outside.
func (s *session) decodeSoon(ctx context.Context, fetches kgo.Fetches) (took time.Duration, err error) {
	soon, cancel := context.WithTimeout(ctx, s.parent.schemaTime)
	defer cancel()
	if took, err = s.decode(soon, fetches); err != nil {
		s.alone = true
		return took, errNoSchema
	}
	return took, nil
}

// mayGrow says whether the transaction, open for a while, takes more: there is a
// backlog, and Kafka keeps up with what was produced.
func (s *session) mayGrow(ctx context.Context, client *kgo.Client, open time.Duration) bool {
	b := s.last()
	if n := b.answers(); n > 0 {
		s.bytes = b.size() / n
	}
	waiting := s.member.Brought() >= s.asked
	if !waiting || s.alone || ctx.Err() != nil || open >= growTime || s.brought >= s.size.Records() || len(s.fetches) >= maxPolls {
		return false
	}
	for waited := time.Duration(0); client.BufferedProduceBytes() >= maxUnacknowledged; waited += ackInterval {
		if waited >= ackWait || open+waited >= growTime || !retry.Sleep(ctx, ackInterval) {
			return false
		}
	}
	return true
}
