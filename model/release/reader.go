package release

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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
	stalled error // what it waits for in silence; nil: nothing that is known of
	// Foreign is told of batches that are left out: no bundle and no route is in them.
	foreign func(*kafka.UnreadableError)
	silence kafka.Silence
}

// openReader reads both topics from their starts; all that it asks ends with ctx.
func openReader(ctx context.Context, c kafka.Config, topics schemas.Topics, idle time.Duration, foreign func(*kafka.UnreadableError)) (*reader, error) {
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
	return &reader{client: client, config: c, topics: topics, places: kafka.NewPlaces(c), idle: idle, foreign: foreign, stalls: map[string]*kafka.Stalls{}}, nil
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

// poll waits for records and hands each on but the transactions' markers. An error names
// what cannot be read; so does stalled, of what the client waits for in silence.
func (r *reader) poll(ctx context.Context, each func(*kgo.Record)) error {
	patience := r.idle
	if !r.caughtUp() {
		patience = quiet
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	fetches := r.client.PollFetches(wait)
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	silent := wait.Err() != nil && fetches.NumRecords() == 0
	wrong := r.places.TakeOut(ctx, fetches, r.at)
	fetches.EachRecord(func(rec *kgo.Record) {
		if !rec.Attrs.IsControl() {
			each(rec)
		}
		r.reached(rec.Topic, rec.Partition, rec.Offset+1)
	})
	if fetches.NumRecords() > 0 {
		r.stalled = nil
		r.silence.Broken(r.client)
	}
	for _, e := range append(fetches.Errors(), wrong...) {
		_, named := errors.AsType[*kafka.UnreadableError](e.Err)
		switch {
		case errors.Is(e.Err, context.DeadlineExceeded):
		case named:
			return e.Err
		case kafka.IsUnreadable(e), kafka.IsFailing(e.Err):
			if err := r.passOver(ctx, e); err != nil {
				return err
			}
		case !kerr.IsRetriable(e.Err):
			return fmt.Errorf("reading %s: %w", e.Topic, e.Err)
		}
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
// holds no bundle and no route, and every copy of it is the same. The error names what else
// cannot be read.
func (r *reader) passOver(ctx context.Context, e kgo.FetchError) error {
	look, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	u, next, err := r.places.Find(look, e, r.next[e.Topic][e.Partition])
	switch {
	case err != nil:
		return err
	case u == nil:
	case errors.Is(u, kgo.ErrMaxDecompress):
		r.foreign(u)
	default:
		return u
	}
	r.reached(e.Topic, e.Partition, next)
	kafka.ReadAgain(r.client, e.Topic, e.Partition, next)
	return nil
}

// reached notes up to where a partition has been read.
func (r *reader) reached(topic string, partition int32, next int64) {
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
	var found, failed error
	for _, topic := range []string{r.topics.Models, r.topics.Routes} {
		if r.stalls[topic] == nil {
			r.stalls[topic] = &kafka.Stalls{}
		}
		stalled, err := r.stalls[topic].Look(look, r.client, topic, r.next[topic])
		switch {
		case err != nil:
			failed = err
		case len(stalled) == 0:
		case errors.Is(stalled[0], kgo.ErrMaxDecompress):
			if err := r.passOver(look, kgo.FetchError{Topic: topic, Partition: stalled[0].Partition}); err != nil {
				failed = err
			}
		default:
			found = stalled[0]
		}
	}
	if found != nil || failed == nil {
		r.stalled = found
	}
}

// readLeft reads what was there and does not come: records that their transaction took
// back and whose marker lies behind a transaction that is still open, or what compaction
// has removed. Nothing else is to be waited for.
func (r *reader) readLeft(ctx context.Context, each func(*kgo.Record)) error {
	attempt, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	err := r.config.Quiet().ReadCommitted(attempt, kafka.Spans(r.left), kafka.Sink{Each: func(rec *kgo.Record) error {
		each(rec)
		return nil
	}, Unreadable: func(u *kafka.UnreadableError) error {
		if !errors.Is(u, kgo.ErrMaxDecompress) {
			return u
		}
		r.foreign(u)
		return nil
	}})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		clear(r.left)
	}
	return err
}
