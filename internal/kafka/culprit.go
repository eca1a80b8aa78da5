package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker finds the offset of a fetch by stepping through batches from the nearest entry
// of its index on. Where it steps on one whose format byte says a former format, it looks
// into it, and fails: with INVALID_RECORD, or with UNKNOWN_SERVER_ERROR, as for a disk that
// does not answer. It fails so for each offset up to the next entry of the index, and for
// those of the batch right before it. Whoever asks for the first offset of a batch that
// stands before it gets the bytes as they are, the damaged ones among them.

const (
	// How far back culprit looks for an offset that is answered, in offsets, and by what
	// factor it goes further.
	maxBack    = 1 << 20
	backFactor = 4
	// How many answers it follows from there up to the offset in question.
	maxFollowed = 16
)

// culprit says which damaged batch a broker fails at that gives UNKNOWN_SERVER_ERROR at an
// offset: one that it hands out itself, at the offset or before it. nil: it has not shown
// one, and may fail for any other reason.
func culprit(ctx context.Context, client *kgo.Client, topic string, partition int32, at int64) error {
	from, answer := answeredBefore(ctx, client, topic, partition, at)
	for range maxFollowed {
		if answer == nil {
			return nil
		}
		reached, damaged := damagedUpTo(answer.RecordBatches, at)
		if damaged != nil {
			// It may have failed for another reason that has passed.
			again, err := fetchAt(ctx, client, topic, partition, at)
			if err == nil && IsFailing(kerr.ErrorForCode(again.ErrorCode)) {
				return damaged
			}
			return nil
		}
		if reached <= from {
			return nil
		}
		from = reached
		answer = answeredAt(ctx, client, topic, partition, from)
	}
	return nil
}

// answeredAt is what a broker answers for an offset; nil where that is an error.
func answeredAt(ctx context.Context, client *kgo.Client, topic string, partition int32, at int64) *kmsg.FetchResponseTopicPartition {
	answer, err := fetchAt(ctx, client, topic, partition, at)
	if err != nil || answer.ErrorCode != 0 {
		return nil
	}
	return answer
}

// answeredBefore is the answer for an offset before another, the start of the log at the
// latest; nil where there is none.
func answeredBefore(ctx context.Context, client *kgo.Client, topic string, partition int32, at int64) (from int64, answer *kmsg.FetchResponseTopicPartition) {
	starts, err := Listed(kadm.NewClient(client).ListStartOffsets(ctx, topic))
	if err != nil {
		return 0, nil
	}
	start := starts[topic][partition].Offset
	for back := int64(1); back <= maxBack; back *= backFactor {
		from := max(start, at-back)
		if from >= at {
			return 0, nil
		}
		if answer := answeredAt(ctx, client, topic, partition, from); answer != nil || from == start {
			return from, answer
		}
	}
	return 0, nil
}

// damagedUpTo says what is wrong with the first damaged batch of an answer that a broker
// may fail at when it looks for an offset; nil where there is none. reached is the first
// offset of the last batch that is whole; -1 where nothing behind that matters any more.
func damagedUpTo(in []byte, at int64) (reached int64, damaged error) {
	reached = -1
	for {
		b, rest := first(in)
		if b == nil {
			break
		}
		if b.base > at || b.last >= at {
			return -1, nil // what is to be read is as it was written
		}
		reached, in = b.base, rest
	}
	if len(in) < batchHeader {
		return reached, nil
	}
	base, magic := int64(binary.BigEndian.Uint64(in)), in[batchMagic]
	length := int64(int32(binary.BigEndian.Uint32(in[batchLength:]))) + batchLength + 4
	switch {
	case length < batchHeader || length > int64(len(in)):
		return reached, nil // the answer ends within it
	case magic < 2 && base <= at:
		return -1, fmt.Errorf("the broker fails at the batch at offset %d, which says that its format is %d, not 2", base, magic)
	case base == at:
		return -1, errors.New("the broker fails at the batch, which does not fit its checksum")
	}
	return -1, nil
}
