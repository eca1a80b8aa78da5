package producer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// batchSize is how many applications are made before they are handed to the
// client: enough to share a batch's cost, few enough to be made in a fraction
// of a millisecond.
const batchSize = 256

// batch is a stretch of records and the memory they stand in, used again once
// the broker has acknowledged all of them.
type batch struct {
	codec   *wire.Codec
	records []kgo.Record
	kinds   []int8 // of each record: whole, faulty, else a malformed one's Kind
	buf     []byte
	pending atomic.Int64
	promise [2 + NumKinds]func(*kgo.Record, error) // by kind - faulty
}

// Kinds of records that are no Kind.
const (
	whole  int8 = -1 // an application as it was made
	faulty int8 = -2 // an application that a broken feed put out of range
)

// batches makes batches and takes them back.
type batches struct {
	codec *wire.Codec
	pool  sync.Pool
	acked func(kind int8)
	done  func() // a batch is acknowledged, all of it
	fail  func(*kgo.Record, error)
}

func (s *batches) get() *batch {
	if b, ok := s.pool.Get().(*batch); ok {
		b.records, b.kinds, b.buf = b.records[:0], b.kinds[:0], b.buf[:0]
		return b
	}
	b := &batch{codec: s.codec, records: make([]kgo.Record, 0, 2*batchSize), kinds: make([]int8, 0, 2*batchSize)}
	for i := range b.promise {
		kind := int8(i) + faulty
		b.promise[i] = func(r *kgo.Record, err error) {
			if err != nil {
				// Not given back: the client may still look at the rest.
				s.fail(r, err)
				return
			}
			s.acked(kind)
			if b.pending.Add(-1) == 0 {
				s.done()
				s.pool.Put(b)
			}
		}
	}
	return b
}

// add appends an application, whole or faulty.
func (b *batch) add(topic string, a *schemas.Application, kind int8, at time.Time) {
	start := len(b.buf)
	b.buf = append(b.buf, a.ApplicationID...)
	value := len(b.buf)
	b.buf = b.codec.AppendApplication(b.buf, a)
	b.record(topic, start, value, kind, at)
}

// record makes a record of what was appended to buf: a key up to value, then the
// value. A buf that has since grown elsewhere leaves the bytes of earlier
// records where they are.
func (b *batch) record(topic string, start, value int, kind int8, at time.Time) {
	b.records = append(b.records, kgo.Record{
		Topic: topic, Key: b.buf[start:value:value], Value: b.buf[value:len(b.buf):len(b.buf)], Timestamp: at,
	})
	b.kinds = append(b.kinds, kind)
}
