package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Span is the offsets From … To of a partition, To excluded.
type Span struct{ From, To int64 }

// Spans are by topic and partition.
type Spans map[string]map[int32]Span

// quiet is how long nothing may come before it is looked up why.
const quiet = time.Second

// Sink takes what is read.
type Sink struct {
	Each func(*kgo.Record) error
	// Gap is told that retention has removed records before the next one; nil:
	// nobody asks.
	Gap func(topic string, partition int32)
	// Unreadable is told of a batch of a span that cannot be read, and reading goes on
	// behind it; nil: reading ends with the error. Its To is never -1.
	Unreadable func(*UnreadableError) error
}

// ReadCommitted hands every committed record of the spans to out, a partition's in
// order and none twice. It waits for open transactions to end where a span reaches
// beyond the last stable offset, and takes nobody's word but their markers' for what
// became of them: see undecided.
func (c Config) ReadCommitted(ctx context.Context, spans Spans, out Sink) error {
	return c.readCommitted(ctx, spans, out)
}

func (c Config) readCommitted(ctx context.Context, spans Spans, out Sink, options ...kgo.Opt) error {
	return c.newReading(spans, out, options...).run(ctx)
}

func (c Config) newReading(spans Spans, out Sink, options ...kgo.Opt) *reading {
	r := &reading{config: c, out: out, parts: map[string]map[int32]*partitionReader{}, options: options, places: NewPlaces(c)}
	for topic, partitions := range spans {
		for partition, s := range partitions {
			if s.From < s.To {
				r.add(topic, partition, &partitionReader{next: s.From, to: s.To, out: out})
			}
		}
	}
	return r
}

// run reads all of it.
func (r *reading) run(ctx context.Context) error {
	if r.left == 0 {
		return nil
	}
	client, err := r.open(kgo.ReadCommitted())
	if err != nil {
		return err
	}
	defer client.Close()
	defer r.places.Close()
	r.admin = kadm.NewClient(client)
	for r.left > 0 {
		n, err := r.poll(ctx, client)
		if err != nil {
			return err
		}
		if n > 0 {
			r.silence.Broken(client)
			continue
		}
		if r.silence.Throttled(client) {
			continue
		}
		for topic := range r.parts {
			if err := r.stalled(ctx, client, topic); err != nil {
				return err
			}
		}
		r.silence.Broken(client)
	}
	return nil
}

// reading is what ReadCommitted has still to read.
type reading struct {
	config  Config
	admin   *kadm.Client
	out     Sink
	parts   map[string]map[int32]*partitionReader // those not yet read to their end
	left    int                                   // how many
	options []kgo.Opt
	places  *Places
	silence Silence
	Patience
}

func (r *reading) add(topic string, partition int32, p *partitionReader) {
	if r.parts[topic] == nil {
		r.parts[topic] = map[int32]*partitionReader{}
	}
	r.parts[topic][partition] = p
	r.left++
}

// open is a client that reads on where each partition is.
func (r *reading) open(isolation kgo.IsolationLevel) (*kgo.Client, error) {
	at := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range r.parts {
		at[topic] = map[int32]kgo.Offset{}
		for partition, p := range partitions {
			at[topic][partition] = kgo.NewOffset().At(p.next)
		}
	}
	return kgo.NewClient(append(append(r.config.Options(),
		kgo.ConsumePartitions(at),
		kgo.FetchIsolationLevel(isolation),
		kgo.KeepControlRecords(), // the last offset of a span is often a marker
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(64<<20),
		kgo.FetchMaxPartitionBytes(128<<10), // what is in memory is bounded by partition
		kgo.MaxConcurrentFetches(1),
	), r.options...)...)
}

func (r *reading) done(client *kgo.Client, topic string, partition int32) {
	delete(r.parts[topic], partition)
	r.left--
	client.RemoveConsumePartitions(map[string][]int32{topic: {partition}})
}

// poll takes what one poll brings and says how many records that were.
func (r *reading) poll(ctx context.Context, client *kgo.Client) (came int, err error) {
	poll, cancel := context.WithTimeout(ctx, quiet)
	fetches := client.PollFetches(poll)
	cancel()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	var broken []kgo.FetchError
	var failing error
	var strayed []kgo.FetchError
	for _, e := range fetches.Errors() {
		switch {
		case r.strayed(e):
			strayed = append(strayed, e)
		case IsFailing(e.Err), IsUnreadable(e):
			broken = append(broken, e) // behind the records that came with it
		case !errors.Is(e.Err, context.DeadlineExceeded) && !kerr.IsRetriable(e.Err):
			return 0, fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	came = fetches.NumRecords() + len(broken)
	misplaced := r.places.TakeOut(ctx, fetches, r.at) // what came of it is fetched again, from behind it on
	if fetches.NumRecords() > 0 {
		r.Reset()
	}
	for iter := fetches.RecordIter(); !iter.Done(); {
		record := iter.Next()
		p := r.parts[record.Topic][record.Partition]
		if p == nil || record.Offset < p.next {
			continue
		}
		gap := false
		if record.Offset > p.next && r.out.Gap != nil { // or an aborted transaction was there
			starts, err := Listed(r.admin.ListStartOffsets(ctx, record.Topic))
			if err != nil {
				return 0, err
			}
			gap = starts[record.Topic][record.Partition].Offset > p.next
		}
		if err := p.take(record, gap); err != nil {
			return 0, err
		}
		if p.isDone() {
			r.done(client, record.Topic, record.Partition)
		}
	}
	for _, e := range strayed {
		if p := r.parts[e.Topic][e.Partition]; p != nil {
			client.SetOffsets(map[string]map[int32]kgo.EpochOffset{e.Topic: {e.Partition: {Epoch: -1, Offset: p.next}}})
		}
	}
	for _, e := range append(misplaced, broken...) {
		p := r.parts[e.Topic][e.Partition]
		if p == nil {
			continue
		}
		u, next, err := r.places.Ahead(ctx, client, e, p.next)
		if err != nil {
			failing = err
		}
		if err := r.passOver(client, e, u, p, next); err != nil {
			return 0, err
		}
	}
	if failing != nil {
		if err := r.Wait(ctx, failing); err != nil {
			return 0, err
		}
	}
	return came, nil
}

// strayed says whether the client found itself outside the log where nothing was taken
// up to.
func (r *reading) strayed(e kgo.FetchError) bool {
	loss, lost := errors.AsType[*kgo.ErrDataLoss](e.Err)
	if !lost {
		return false
	}
	p := r.parts[e.Topic][e.Partition]
	return p == nil || loss.ConsumedTo != p.next
}

// at is from which offset a partition is to be read on, and where its span ends.
func (r *reading) at(topic string, partition int32) (from, end int64, ok bool) {
	p := r.parts[topic][partition]
	if p == nil {
		return 0, 0, false
	}
	return p.next, p.to, true
}

// passOver goes on from an offset where what lies before it cannot be read: u, or what was
// aborted where that is nil.
func (r *reading) passOver(client *kgo.Client, e kgo.FetchError, u *UnreadableError, p *partitionReader, next int64) error {
	if u != nil && u.From < p.to {
		u.To = min(u.To, p.to)
		if r.out.Unreadable == nil {
			return u
		}
		if err := p.undecided.take(false, p.out); err != nil {
			return err
		}
		if err := r.out.Unreadable(u); err != nil {
			return err
		}
	}
	p.next, p.broken = max(p.next, next), p.broken || u != nil
	if p.next < p.to {
		return nil
	}
	if p.broken {
		if err := p.giveUp(); err != nil {
			return err
		}
	}
	if p.isDone() {
		r.done(client, e.Topic, e.Partition)
	}
	return nil
}

// stalled looks why nothing comes of a topic any more. What retention has removed
// never comes. Nor does, while another transaction is open, what became of one that
// began before it and ended after it began: its markers lie behind the last stable
// offset.
func (r *reading) stalled(ctx context.Context, client *kgo.Client, topic string) error {
	ends, err := ListEnds(ctx, r.admin, topic)
	if err != nil {
		return err
	}
	behind := &reading{config: r.config, admin: r.admin, out: r.out, parts: map[string]map[int32]*partitionReader{}, options: r.options, places: r.places}
	for partition, p := range r.parts[topic] {
		if end := ends[topic][partition]; end.Stable > p.next {
			// There is something, and nothing comes: the client waits in silence for a
			// batch whose length is wrong.
			silent := kgo.FetchError{Topic: topic, Partition: partition}
			u, next, err := r.places.Ahead(ctx, client, silent, p.next)
			if err == nil {
				if err := r.passOver(client, silent, u, p, next); err != nil {
					return err
				}
			} else if err := r.Wait(ctx, err); err != nil {
				return err
			}
			if _, left := r.parts[topic][partition]; !left {
				continue
			}
		}
		switch end := ends[topic][partition]; {
		case end.Start >= p.to:
			if err := p.giveUp(); err != nil {
				return err
			}
			r.done(client, topic, partition)
		case end.Stable >= p.to && end.Behind() > 0:
			behind.add(topic, partition, p)
		}
	}
	return r.readBehind(ctx, client, topic, behind)
}

// readBehind reads partitions to the end of their spans by their markers alone. All of
// the spans is decided: every marker is there to be read.
func (r *reading) readBehind(ctx context.Context, client *kgo.Client, topic string, behind *reading) error {
	if behind.left == 0 {
		return nil
	}
	partitions := slices.Collect(maps.Keys(behind.parts[topic]))
	uncommitted, err := behind.open(kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	defer uncommitted.Close()
	for n := 1; n > 0 && behind.left > 0; {
		if n, err = behind.poll(ctx, uncommitted); err != nil {
			return err
		}
		switch {
		case n > 0:
			behind.silence.Broken(uncommitted)
		case behind.silence.Throttled(uncommitted):
			n = 1 // something will come
		}
	}
	for _, partition := range partitions {
		if _, left := behind.parts[topic][partition]; !left {
			r.done(client, topic, partition)
		}
	}
	return nil
}

// partitionReader is a partition that is being read.
type partitionReader struct {
	next, to int64 // offsets
	broken   bool  // a batch could not be read: it may have held markers
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
	return p.undecided.take(p.broken && p.next >= p.to, p.out)
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
