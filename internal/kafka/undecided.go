package kafka

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
)

// undecided are records of one partition, in order, that were read and not handed
// on: the first of them is in a transaction whose marker has not been read yet.
//
// A broker says which transactions of an answer were aborted, and a client leaves
// their records out. That list may lack some: a replica that fetched several
// aborted transactions at once indexes each with the last stable offset after all
// of them, and the search through that index ends at the first whose last stable
// offset lies past the answer (Apache Kafka, TransactionIndex.collectAbortedTxns).
// Once such a replica leads, an answer that ends among them brings aborted records
// as if they were committed. The markers in the log do not lie.
type undecided struct {
	records []waiting
}

// waiting is a record and what is known of it.
type waiting struct {
	record *kgo.Record
	gap    bool // retention has removed records before it
	fate   fate
}

type fate int8

const (
	open fate = iota
	committed
	aborted
)

// add takes the next record, or the marker that says what became of the records
// before it. A marker is not handed on, only the gap before it.
func (u *undecided) add(r *kgo.Record, gap bool) {
	w := waiting{record: r, gap: gap}
	switch {
	case r.Attrs.IsControl():
		w.fate = aborted
		if became := markerOf(r); became != open {
			u.decide(r.ProducerID, became)
		}
	case !r.Attrs.IsTransactional():
		w.fate = committed
	}
	if gap || !r.Attrs.IsControl() {
		u.records = append(u.records, w)
	}
}

func (u *undecided) decide(producer int64, became fate) {
	for i := range u.records {
		if w := &u.records[i]; w.fate == open && w.record.ProducerID == producer {
			w.fate = became
		}
	}
}

// markerOf is what a control record makes of its transaction: its key is a version
// and a type, 0 for an abort and 1 for a commit.
func markerOf(r *kgo.Record) fate {
	if len(r.Key) < 4 {
		return open
	}
	switch binary.BigEndian.Uint16(r.Key[2:]) {
	case 0:
		return aborted
	case 1:
		return committed
	}
	return open
}

// take hands on what is decided, up to the first record that is not. all hands on
// those too, at the broker's word: their markers are gone.
func (u *undecided) take(all bool, out Sink) error {
	n := 0
	for _, w := range u.records {
		if w.fate == open && !all {
			break
		}
		n++
		if w.gap {
			out.Gap(w.record.Topic, w.record.Partition)
		}
		if w.fate == aborted {
			continue
		}
		if err := out.Each(w.record); err != nil {
			return err
		}
	}
	if n > 0 {
		left := copy(u.records, u.records[n:])
		clear(u.records[left:]) // the records are large
		u.records = u.records[:left]
	}
	return nil
}
