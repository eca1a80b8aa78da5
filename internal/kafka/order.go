package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A batch's checksum leaves its first offset out: brokers set that. Where a byte of it
// flips, the client takes the records for others, or for such as it has already, and goes
// on. What gives it away are the batches beside it: theirs are in the way of its offsets.
var errOrder = errors.New("the batch's first offset does not fit those of the batches beside it")

// Disorder looks for a batch whose offsets do not fit those of the batches beside it,
// among what a reader has come across who was to read on at an offset and was given
// another: from next to upto. It is for offsets that were left out, most of which are
// of transactions that were aborted. checked is the offset up to which all fit.
func Disorder(ctx context.Context, client *kgo.Client, topic string, partition int32, next, upto int64) (u *UnreadableError, checked int64, err error) {
	at, checked := max(0, next-1), next
	for {
		answer, err := fetchAt(ctx, client, topic, partition, at)
		if err == nil {
			err = kerr.ErrorForCode(answer.ErrorCode)
		}
		switch {
		case at < checked && (errors.Is(err, kerr.OffsetOutOfRange) || IsFailing(err)): // the log begins there, or can be read again
			at = checked
			continue
		case isDamage(err), errors.Is(err, kerr.OffsetOutOfRange):
			return nil, checked, nil // another error, of which the reader hears
		case err != nil:
			return nil, checked, fmt.Errorf("looking at %s/%d from offset %d: %w", topic, partition, at, err)
		}
		wrong, to := misplaced(answer.RecordBatches, checked, answer.LastStableOffset)
		if wrong != nil && to <= upto+1 { // what lies between is not read yet
			u = &UnreadableError{topic, partition, to, -1, errOrder}
			if u.To, err = behind(ctx, client, u, wrong, answer.LastStableOffset); err != nil {
				u.To = -1
			}
			return u, to, err
		}
		if to > upto || to <= checked {
			return nil, to, nil
		}
		checked, at = to, to-1
	}
}

// placed is what a batch says of itself.
type placed struct {
	base, last int64
	checksum   uint32
}

// first is the first batch of some bytes, and the bytes behind it; nil where it is not
// whole or not as it was written.
func first(in []byte) (b *placed, rest []byte) {
	if len(in) < batchHeader || in[batchMagic] != 2 {
		return nil, nil
	}
	length := int64(int32(binary.BigEndian.Uint32(in[batchLength:]))) + batchLength + 4
	if length < batchHeader || length > int64(len(in)) {
		return nil, nil
	}
	checksum := binary.BigEndian.Uint32(in[batchChecksum:])
	if crc32.Checksum(in[batchChecked:length], castagnoli) != checksum {
		return nil, nil
	}
	base := int64(binary.BigEndian.Uint64(in))
	return &placed{base, base + int64(int32(binary.BigEndian.Uint32(in[batchDelta:]))), checksum}, in[length:]
}

// misplaced is the first batch that is not where it belongs; nil where there is none up
// to an offset. next is where the batches are to go on, or in the first one or right
// behind it. A hole is none: compaction leaves those.
func misplaced(in []byte, next, end int64) (wrong *placed, to int64) {
	// One that leaves no room before the batch behind it was passed over already: a broker
	// may give it for the offset right before next.
	if b, rest := first(in); b != nil && b.base > next {
		if behind, _ := first(rest); behind != nil && behind.base <= next {
			in = rest
		}
	}
	for begins := true; ; begins = false {
		b, rest := first(in)
		if b == nil {
			return nil, next
		}
		switch {
		case b.base == next, begins && b.base < next && b.last >= next-1:
		case b.base < next:
			return b, next
		default:
			behind, _ := first(rest)
			switch {
			case behind != nil && behind.base <= b.last, b.last >= end:
				return b, next
			case behind == nil:
				return nil, next // not to be said yet
			}
		}
		in, next = rest, max(next, b.last+1)
	}
}

// behind is the offset behind a misplaced batch from which on the broker gives another.
func behind(ctx context.Context, client *kgo.Client, u *UnreadableError, wrong *placed, end int64) (int64, error) {
	var base int64 // of the batch that is given
	another := func(at int64) (bool, error) {
		answer, err := fetchAt(ctx, client, u.Topic, u.Partition, at)
		if err == nil {
			err = kerr.ErrorForCode(answer.ErrorCode)
		}
		if err != nil {
			return false, err
		}
		b, _ := firstAt(answer, at)
		if b == nil || *b == *wrong {
			return false, nil
		}
		base = b.base
		return true, nil
	}
	found, err := another(u.From)
	at := u.From
	if err == nil && !found {
		at, err = search(u.From, end, another)
		if err == nil && at < end {
			_, err = another(at)
		}
	}
	return min(max(at, base, u.From+1), max(end, u.From+1)), err
}

// firstAt is the batch that a broker gives for an offset.
func firstAt(answer *kmsg.FetchResponseTopicPartition, at int64) (*placed, []byte) {
	b, rest := first(answer.RecordBatches)
	for b != nil && b.last < at && len(rest) > 0 {
		b, rest = first(rest)
	}
	return b, rest
}
