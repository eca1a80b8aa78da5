package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Span is the offsets From … To of a partition, To excluded.
type Span struct{ From, To int64 }

// Spans are by topic and partition.
type Spans map[string]map[int32]Span

// quiet is how long nothing may come before the logs' starts are looked up: what
// retention has removed never comes.
const quiet = 5 * time.Second

// Sink takes what is read.
type Sink struct {
	Each func(*kgo.Record) error
	// Gap is told that retention has removed records before the next one; nil:
	// nobody asks.
	Gap func(topic string, partition int32)
}

// ReadCommitted hands every committed record of the spans to out, a partition's in
// order and none twice. It waits for open transactions to end.
func (c Config) ReadCommitted(ctx context.Context, spans Spans, out Sink) error {
	next := map[string]map[int32]int64{} // of partitions not yet read to their end
	at := map[string]map[int32]kgo.Offset{}
	left := 0
	for topic, partitions := range spans {
		next[topic], at[topic] = map[int32]int64{}, map[int32]kgo.Offset{}
		for partition, s := range partitions {
			if s.From < s.To {
				next[topic][partition], at[topic][partition] = s.From, kgo.NewOffset().At(s.From)
				left++
			}
		}
	}
	if left == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(c.Options(),
		kgo.ConsumePartitions(at),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last offset of a span is often a marker
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// What is in memory is bounded by partition: an embedded broker that cuts an
		// answer at FetchMaxBytes does not say which of its transactions were
		// aborted, and their records would be taken for committed ones.
		kgo.FetchMaxBytes(64<<20),
		kgo.FetchMaxPartitionBytes(128<<10),
		kgo.MaxConcurrentFetches(1),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	done := func(topic string, partition int32) {
		delete(next[topic], partition)
		left--
		client.RemoveConsumePartitions(map[string][]int32{topic: {partition}})
	}
	for left > 0 {
		poll, cancel := context.WithTimeout(ctx, quiet)
		fetches := client.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) && !kerr.IsRetriable(e.Err) {
				return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			want, reading := next[r.Topic][r.Partition]
			if !reading || r.Offset < want {
				continue
			}
			if r.Offset > want && out.Gap != nil { // or an aborted transaction was there
				starts, err := Listed(kadm.NewClient(client).ListStartOffsets(ctx, r.Topic))
				if err != nil {
					return err
				}
				if starts[r.Topic][r.Partition].Offset > want {
					out.Gap(r.Topic, r.Partition)
				}
			}
			to := spans[r.Topic][r.Partition].To
			if r.Offset < to && !r.Attrs.IsControl() {
				if err := out.Each(r); err != nil {
					return err
				}
			}
			if r.Offset+1 < to {
				next[r.Topic][r.Partition] = r.Offset + 1
			} else {
				done(r.Topic, r.Partition)
			}
		}
		if fetches.NumRecords() > 0 {
			continue
		}
		for topic, partitions := range next {
			starts, err := Listed(kadm.NewClient(client).ListStartOffsets(ctx, topic))
			if err != nil {
				return err
			}
			for partition := range partitions {
				if starts[topic][partition].Offset >= spans[topic][partition].To {
					done(topic, partition)
				}
			}
		}
	}
	return nil
}

// Listed makes a failed partition an error of the whole answer.
func Listed(o kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = o.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing offsets: %w", err)
	}
	return o, nil
}
