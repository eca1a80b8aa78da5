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
// order and none twice. It waits for open transactions to end, and takes nobody's
// word but their markers' for what became of them: see undecided.
func (c Config) ReadCommitted(ctx context.Context, spans Spans, out Sink) error {
	return c.readCommitted(ctx, spans, out)
}

func (c Config) readCommitted(ctx context.Context, spans Spans, out Sink, options ...kgo.Opt) error {
	at := map[string]map[int32]kgo.Offset{}
	reading := map[string]map[int32]*partitionReader{} // those not yet read to their end
	left := 0
	for topic, partitions := range spans {
		at[topic], reading[topic] = map[int32]kgo.Offset{}, map[int32]*partitionReader{}
		for partition, s := range partitions {
			if s.From < s.To {
				at[topic][partition] = kgo.NewOffset().At(s.From)
				reading[topic][partition] = &partitionReader{next: s.From, to: s.To, out: out}
				left++
			}
		}
	}
	if left == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(append(c.Options(),
		kgo.ConsumePartitions(at),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last offset of a span is often a marker
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(64<<20),
		kgo.FetchMaxPartitionBytes(128<<10), // what is in memory is bounded by partition
		kgo.MaxConcurrentFetches(1),
	), options...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	done := func(topic string, partition int32) {
		delete(reading[topic], partition)
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
			p := reading[r.Topic][r.Partition]
			if p == nil || r.Offset < p.next {
				continue
			}
			gap := false
			if r.Offset > p.next && out.Gap != nil { // or an aborted transaction was there
				starts, err := Listed(admin.ListStartOffsets(ctx, r.Topic))
				if err != nil {
					return err
				}
				gap = starts[r.Topic][r.Partition].Offset > p.next
			}
			if err := p.take(r, gap); err != nil {
				return err
			}
			if p.isDone() {
				done(r.Topic, r.Partition)
			}
		}
		if fetches.NumRecords() > 0 {
			continue
		}
		for topic, partitions := range reading {
			starts, err := Listed(admin.ListStartOffsets(ctx, topic))
			if err != nil {
				return err
			}
			for partition, p := range partitions {
				if starts[topic][partition].Offset < p.to {
					continue
				}
				if err := p.giveUp(); err != nil {
					return err
				}
				done(topic, partition)
			}
		}
	}
	return nil
}

// partitionReader is a partition that is being read.
type partitionReader struct {
	next, to int64 // offsets
	out      Sink
	undecided
}

// take takes the next record or marker. Past the span's end only markers count:
// what is in the span may wait for them.
func (p *partitionReader) take(r *kgo.Record, gap bool) error {
	if r.Offset < p.to || r.Attrs.IsControl() {
		p.add(r, gap)
	}
	p.next = r.Offset + 1
	return p.undecided.take(false, p.out)
}

func (p *partitionReader) isDone() bool { return p.next >= p.to && len(p.records) == 0 }

// giveUp takes what is left as it came: retention has removed the markers.
func (p *partitionReader) giveUp() error { return p.undecided.take(true, p.out) }

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
