package stream

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
	"github.com/creditstream/creditstream/scorer"
)

// batch is what one poll brought, of a transaction that may take several. Its memory
// is used again by the next transaction: nothing is allocated per record but what the
// records differ in.
type batch struct {
	codec       *wire.Codec
	scorer      *scorer.Scorer
	apps        []schemas.Application // of each source; longer than sources
	sources     []*kgo.Record         // of the applications that were decided
	predictions []schemas.Prediction  // of each source; longer than sources
	letters     []*kgo.Record
	classes     []string // of each dead letter
	unread      int      // dead letters that a schema registry might have told how to read
	topics      schemas.Topics
	room        int // bytes that a dead letter may take

	// What the client holds until the transaction is flushed.
	records []kgo.Record
	headers []kgo.RecordHeader
	bytes   []byte // keys, values and header values, one behind the other
}

func newBatch(codec *wire.Codec, scorer *scorer.Scorer, topics schemas.Topics) *batch {
	return &batch{codec: codec, scorer: scorer, topics: topics, room: catalogueLimit}
}

// drop forgets the memory that a client may still be reading: one whose produce
// was given up answers before the request that carries it has left the process.
func (b *batch) drop() {
	b.records, b.headers, b.bytes = nil, nil, nil
}

// decode takes the applications and dead letters out of what was polled. It waits
// while a schema cannot be had; the error is then ctx's.
func (b *batch) decode(ctx context.Context, fetches kgo.Fetches, poison map[schemas.Source]poisoned, now func() time.Time) (err error) {
	b.sources, b.letters, b.classes, b.unread = b.sources[:0], b.letters[:0], b.classes[:0], 0
	ahead := fetches.RecordIter()
	for records, n := fetches.RecordIter(), 0; !records.Done(); n++ {
		if n%wire.LearnWindow == 0 {
			if err := b.learn(ctx, ahead); err != nil {
				return err
			}
		}
		r := records.Next()
		if len(poison) > 0 {
			if p, ok := poison[sourceOf(r)]; ok {
				class, room := schemas.ErrorClassPermanent, min(b.room, p.room())
				if !fits(r, room) {
					class = schemas.ErrorClassTooLarge
				}
				b.refuse(r, class, p.why, now(), room)
				continue
			}
		}
		if len(r.Value) > maxApplication {
			b.refuse(r, schemas.ErrorClassTooLarge, tooLarge(len(r.Value)), now(), min(b.room, poisonRooms[0]))
			continue
		}
		n := len(b.sources)
		if n == len(b.apps) {
			b.apps = append(b.apps, schemas.Application{})
			b.predictions = append(b.predictions, schemas.Prediction{})
		}
		switch err := b.codec.DecodeApplication(ctx, r.Value, &b.apps[n]); {
		case err == nil:
			b.sources = append(b.sources, r)
		case wire.IsBroken(err):
			if errors.Is(err, wire.ErrNoRegistry) {
				b.unread++
			}
			b.refuse(r, errorClass(err), err.Error(), now(), b.room)
		default:
			return err
		}
	}
	return nil
}

// learn asks for the schemas of the next applications, all at once: reading them
// would ask for one after the other.
func (b *batch) learn(ctx context.Context, ahead *kgo.FetchesRecordIter) error {
	return b.codec.Learn(ctx, schemas.EventApplication, func(yield func(schemas.Source, []byte) bool) {
		for range wire.LearnWindow {
			if ahead.Done() {
				return
			}
			if r := ahead.Next(); len(r.Value) <= maxApplication && !yield(sourceOf(r), r.Value) {
				return
			}
		}
	})
}

// decide fills the predictions of what was decoded.
func (b *batch) decide(live *model.LiveSet, now time.Time) error {
	n := len(b.sources)
	return b.scorer.Decide(live, schemas.ChannelStream, schemas.At(now), b.apps[:n], b.predictions[:n])
}

func (b *batch) refuse(r *kgo.Record, class, why string, now time.Time, room int) {
	b.letters = append(b.letters, deadLetter(b.topics.DLQ, r, class, why, now, room))
	b.classes = append(b.classes, class)
}

// decisions counts the predictions by decision.
func (b *batch) decisions() map[string]int {
	counts := make(map[string]int, 3)
	for i := range b.sources {
		counts[b.predictions[i].Decision]++
	}
	return counts
}

const sourceHeaderCount = 3

// produce hands predictions and dead letters to the client, each with a promise
// of its own.
func (b *batch) produce(ctx context.Context, sess *kgo.GroupTransactSession, at time.Time, promise func() func(*kgo.Record, error)) {
	n := len(b.sources)
	if cap(b.records) < n {
		// Whole at once: the client keeps pointers into both.
		b.records = make([]kgo.Record, n)
		b.headers = make([]kgo.RecordHeader, 0, n*sourceHeaderCount)
	}
	b.records, b.headers, b.bytes = b.records[:n], b.headers[:0], b.bytes[:0]
	var (
		topic     []byte // header values of the partition at hand
		partition []byte
		last      int32 = -1
	)
	for i, r := range b.sources {
		if r.Partition != last {
			last, topic = r.Partition, []byte(r.Topic)
			partition = strconv.AppendInt(nil, int64(r.Partition), 10)
		}
		offset := b.append(func(dst []byte) []byte { return strconv.AppendInt(dst, r.Offset, 10) })
		from := len(b.headers)
		b.headers = append(b.headers,
			kgo.RecordHeader{Key: schemas.HeaderSourceTopic, Value: topic},
			kgo.RecordHeader{Key: schemas.HeaderSourcePartition, Value: partition},
			kgo.RecordHeader{Key: schemas.HeaderSourceOffset, Value: offset})
		b.records[i] = kgo.Record{
			Topic:   b.topics.Predictions,
			Key:     b.append(func(dst []byte) []byte { return append(dst, b.apps[i].ApplicationID...) }),
			Value:   b.append(func(dst []byte) []byte { return b.codec.AppendPrediction(dst, &b.predictions[i]) }),
			Headers: b.headers[from:len(b.headers):len(b.headers)],
			// The log sets its own; without one the client asks the clock for each.
			Timestamp: at,
		}
		sess.Produce(ctx, &b.records[i], promise())
	}
	for _, d := range b.letters {
		sess.Produce(ctx, d, promise())
	}
}

// answers are how many applications it answers.
func (b *batch) answers() int { return len(b.sources) + len(b.letters) }

// size is how many bytes its answers have, keys, values and headers together, once
// they are produced.
func (b *batch) size() int {
	n := len(b.bytes)
	for _, d := range b.letters {
		n += len(d.Key) + len(d.Value) + kafka.HeadersBytes(d.Headers)
	}
	return n
}

// append writes behind what is there and returns what it wrote. Where the memory
// has to grow, what was returned before keeps the old.
func (b *batch) append(write func([]byte) []byte) []byte {
	from := len(b.bytes)
	b.bytes = write(b.bytes)
	return b.bytes[from:len(b.bytes):len(b.bytes)]
}
