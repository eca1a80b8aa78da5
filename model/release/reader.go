package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// How long nothing may come before it is looked up why: of what is there, and of what is
// to come.
const (
	quiet     = time.Second
	idleQuiet = 5 * time.Second
)

// connectTime is how long brokers may take to say where the topics begin and end.
const connectTime = 10 * time.Second

// reader reads models and routes from the beginning, committed records only,
// without a group: every replica reads everything.
type reader struct {
	client *kgo.Client
	config kafka.Config
	topics schemas.Topics
	left   map[string]map[int32]kafka.Span // what has not been read yet of what was there
	// The first offset that the routes' log still holds. Above 0: routes were there and
	// are gone.
	firstRoute int64

	next    map[string]map[int32]int64 // offsets to be read on from
	places  *kafka.Places
	idle    time.Duration // how long nothing new may come before it is looked up why
	stalls  map[string]*kafka.Stalls
	stopped map[part]*kafka.UnreadableError // where it cannot read on
	due     time.Time                       // when those are looked at again
	pause   time.Duration                   // between one look at them and the next
	// Foreign is told of batches that are left out: no bundle and no route is in them.
	foreign  func(*kafka.UnreadableError)
	silence  kafka.Silence
	patience kafka.Patience
}

// openReader reads both topics from their starts; all that it asks ends with ctx.
func openReader(ctx context.Context, c kafka.Config, topics schemas.Topics, idle, pause time.Duration, foreign func(*kafka.UnreadableError)) (*reader, error) {
	client, err := kgo.NewClient(append(c.Options(),
		kgo.WithContext(ctx),
		kgo.ConsumeTopics(topics.Models, topics.Routes),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A log may end in a transaction's marker: without it the end would never
		// be seen.
		kgo.KeepControlRecords(),
	)...)
	if err != nil {
		return nil, err
	}
	return &reader{
		client: client, config: c, topics: topics, places: kafka.NewPlaces(c), idle: idle, pause: pause, foreign: foreign,
		stalls: map[string]*kafka.Stalls{}, stopped: map[part]*kafka.UnreadableError{},
	}, nil
}

func (r *reader) close() {
	r.client.Close()
	r.places.Close()
}

// findEnds looks up how far the topics reach now.
func (r *reader) findEnds(ctx context.Context) error {
	return answered(ctx, r.config.Brokers, r.lookUpEnds)
}

// answered bounds how long ask may wait for the brokers.
func answered(ctx context.Context, brokers []string, ask func(context.Context) error) error {
	attempt, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	err := ask(attempt)
	if err != nil && attempt.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no answer from Kafka at %s within %s: %w", strings.Join(brokers, ","), connectTime, err)
	}
	return err
}

func (r *reader) lookUpEnds(ctx context.Context) error {
	adm := kadm.NewClient(r.client)
	names := []string{r.topics.Models, r.topics.Routes}
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(names...)); err != nil {
		return err
	}
	bounds, err := kafka.Bounds(ctx, adm, names...)
	if err != nil {
		return err
	}
	if err := requireOnePartition(r.topics.Routes, len(bounds[r.topics.Routes])); err != nil {
		return err
	}
	r.firstRoute = bounds[r.topics.Routes][0].From
	r.left, r.next = map[string]map[int32]kafka.Span{}, map[string]map[int32]int64{}
	for topic, partitions := range bounds {
		r.next[topic] = map[int32]int64{}
		for partition, b := range partitions {
			r.next[topic][partition] = b.From
			if b.From == b.To {
				continue
			}
			if r.left[topic] == nil {
				r.left[topic] = map[int32]kafka.Span{}
			}
			r.left[topic][partition] = b
		}
	}
	return nil
}

func requireOnePartition(routes string, n int) error {
	if n != 1 {
		return fmt.Errorf("topic %s has %d partitions, expected 1: a revision is an offset", routes, n)
	}
	return nil
}

// caughtUp says whether the ends that were found have been reached.
func (r *reader) caughtUp() bool { return len(r.left) == 0 }

// part is a partition of a topic.
type part struct {
	topic     string
	partition int32
}

// stop notes what a partition cannot be read past: the others go on, and it is looked at again.
func (r *reader) stop(u *kafka.UnreadableError) {
	r.client.PauseFetchPartitions(map[string][]int32{u.Topic: {u.Partition}})
	r.stopped[part{u.Topic, u.Partition}] = u
	r.due = time.Now().Add(r.pause)
}

// stalled says what it cannot read past, by topic and partition; nil: nothing that is known.
func (r *reader) stalled() (all error) {
	for _, p := range slices.SortedFunc(maps.Keys(r.stopped), func(a, b part) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	}) {
		if all == nil {
			all = r.stopped[p]
		} else {
			all = fmt.Errorf("%w; %w", all, r.stopped[p])
		}
	}
	return all
}

// lookAgain goes on where a partition can be read again.
func (r *reader) lookAgain(ctx context.Context) error {
	if len(r.stopped) == 0 || time.Now().Before(r.due) {
		return nil
	}
	r.due = time.Now().Add(r.pause)
	for p := range maps.Clone(r.stopped) {
		err := r.passOver(ctx, kgo.FetchError{Topic: p.topic, Partition: p.partition})
		if err := r.patience.Wait(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// poll waits for records and hands each on but the transactions' markers. stalled names
// what cannot be read.
func (r *reader) poll(ctx context.Context, each func(*kgo.Record)) error {
	longest := r.idle
	if !r.caughtUp() {
		longest = quiet
	}
	if len(r.stopped) > 0 {
		longest = min(longest, max(time.Until(r.due), time.Millisecond))
	}
	wait, cancel := context.WithTimeout(ctx, longest)
	fetches := r.client.PollFetches(wait)
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	broken, silent, err := kafka.Faults(fetches)
	if err != nil {
		return err
	}
	look, cancel := context.WithTimeout(ctx, connectTime)
	broken = append(broken, r.places.TakeOut(look, fetches, r.at)...)
	cancel()
	fetches.EachRecord(func(rec *kgo.Record) {
		if !rec.Attrs.IsControl() {
			each(rec)
		}
		r.reached(rec.Topic, rec.Partition, rec.Offset+1)
	})
	if fetches.NumRecords() > 0 {
		r.silence.Broken(r.client)
		r.patience.Reset()
		silent = false
	}
	for _, e := range broken {
		err := r.passOver(ctx, e)
		if err := r.patience.Wait(ctx, err); err != nil {
			return err
		}
	}
	if err := r.lookAgain(ctx); err != nil {
		return err
	}
	switch {
	case silent && !r.caughtUp() && r.silence.Throttled(r.client): // it comes when that is over
	case silent && !r.caughtUp():
		return r.readLeft(ctx, each)
	case silent:
		r.lookForStalls(ctx)
	}
	return ctx.Err()
}

// at is from which offset a partition of the routes is to be read on: a revision is an
// offset. That of a bundle is nothing, and compaction leaves out many.
func (r *reader) at(topic string, partition int32) (from, end int64, ok bool) {
	from, ok = r.next[topic][partition]
	return from, math.MaxInt64, ok && topic == r.topics.Routes
}

// passOver leaves out a batch that unpacks to more than any that creditstream writes: it
// holds no bundle and no route, and every copy of it is the same. At what else cannot be read
// it stops the partition.
func (r *reader) passOver(ctx context.Context, e kgo.FetchError) error {
	this := part{e.Topic, e.Partition}
	look, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	u, next, err := r.places.Find(look, e, r.next[e.Topic][e.Partition])
	if u == nil {
		u, _ = errors.AsType[*kafka.UnreadableError](err) // whose end is not known yet
	}
	if u != nil && foreignOnly(r.foreign)(u) != nil {
		r.stop(u)
		return nil
	}
	if err == nil {
		delete(r.stopped, this)
		r.reached(e.Topic, e.Partition, next)
		r.client.ResumeFetchPartitions(map[string][]int32{e.Topic: {e.Partition}})
	}
	kafka.ReadAgain(r.client, e.Topic, e.Partition, r.next[e.Topic][e.Partition])
	return err
}

// reached notes up to where a partition has been read.
func (r *reader) reached(topic string, partition int32, next int64) {
	next = max(next, r.next[topic][partition]) // what readLeft has read may come again
	r.next[topic][partition] = next
	left, ok := r.left[topic][partition]
	if !ok {
		return
	}
	if left.From = next; left.From < left.To {
		r.left[topic][partition] = left
		return
	}
	if delete(r.left[topic], partition); len(r.left[topic]) == 0 {
		delete(r.left, topic)
	}
}

// lookForStalls looks whether the client waits in silence for what cannot be read. Where
// it cannot look, what it has found before stays.
func (r *reader) lookForStalls(ctx context.Context) {
	look, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	for _, topic := range []string{r.topics.Models, r.topics.Routes} {
		if r.stalls[topic] == nil {
			r.stalls[topic] = &kafka.Stalls{}
		}
		stalled, _ := r.stalls[topic].Look(look, r.client, topic, r.next[topic])
		for _, u := range stalled {
			if r.stopped[part{topic, u.Partition}] == nil {
				_ = r.passOver(look, kgo.FetchError{Topic: topic, Partition: u.Partition}) // the next look finds it again
			}
		}
	}
}

// readLeft reads what was there and does not come: records that their transaction took
// back and whose marker lies behind a transaction that is still open, or what compaction
// has removed. Nothing else is to be waited for. What it has read when its time is over
// stays read.
func (r *reader) readLeft(ctx context.Context, each func(*kgo.Record)) error {
	attempt, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	spans, came := kafka.Spans{}, false
	for topic, partitions := range r.left {
		for partition, span := range partitions {
			if r.stopped[part{topic, partition}] != nil {
				continue
			}
			if spans[topic] == nil {
				spans[topic] = map[int32]kafka.Span{}
			}
			spans[topic][partition] = span
		}
	}
	reached := func(topic string, partition int32, next int64) {
		came = true
		r.reached(topic, partition, next)
	}
	err := r.config.Quiet().ReadCommitted(attempt, spans, kafka.Sink{Each: func(rec *kgo.Record) error {
		each(rec)
		reached(rec.Topic, rec.Partition, rec.Offset+1)
		return nil
	}, Unreadable: func(u *kafka.UnreadableError) error {
		if err := foreignOnly(r.foreign)(u); err != nil {
			return err
		}
		reached(u.Topic, u.Partition, u.To)
		return nil
	}})
	u, damaged := errors.AsType[*kafka.UnreadableError](err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case damaged:
		r.stop(u)
	case err == nil:
		for topic, partitions := range spans {
			for partition, span := range partitions {
				r.reached(topic, partition, span.To)
			}
		}
	case attempt.Err() != nil && came: // the next poll reads on
	default:
		return err
	}
	return nil
}
