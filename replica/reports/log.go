package reports

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// connectTime is how long brokers may take to say where the topic ends.
	connectTime = 10 * time.Second
	// quiet is how long nothing may come before the topic counts as read: what
	// compaction has removed at its end never comes.
	quiet = time.Second
)

// Log reads the replicas topic onto a board, from its start to its end and on.
type Log struct {
	Board   *replica.Board
	Ignored int   // records that say nothing
	Problem error // the last of them

	client   *kgo.Client
	topic    string
	log      *slog.Logger
	left     map[int32]int64 // ends not reached yet
	next     map[int32]int64 // offsets to be read on from
	stalls   kafka.Stalls
	places   *kafka.Places
	patience kafka.Patience
}

// OpenLog finds the topic and its ends.
func OpenLog(ctx context.Context, c kafka.Config, topics schemas.Topics) (*Log, error) {
	return openLog(ctx, c, topics, time.Time{})
}

// openLog leaves out what was appended before since.
func openLog(ctx context.Context, c kafka.Config, topics schemas.Topics, since time.Time) (*Log, error) {
	start := kgo.NewOffset().AtStart()
	if !since.IsZero() {
		start = kgo.NewOffset().AfterMilli(since.UnixMilli())
	}
	client, err := kgo.NewClient(append(c.Quiet().Options(),
		kgo.ConsumeTopics(topics.Replicas),
		kgo.ConsumeStartOffset(start),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)...)
	if err != nil {
		return nil, err
	}
	l := &Log{
		Board: replica.NewBoard(), client: client, topic: topics.Replicas, log: cmp.Or(c.Log, slog.New(slog.DiscardHandler)),
		left: map[int32]int64{}, next: map[int32]int64{}, places: kafka.NewPlaces(c),
	}
	if err := l.findEnds(ctx, since); err != nil {
		l.Close()
		return nil, c.Explain(err)
	}
	return l, nil
}

func (l *Log) findEnds(ctx context.Context, since time.Time) error {
	topic := l.topic
	ask, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	adm := kadm.NewClient(l.client)
	if err := kafka.RequireAccess(ask, adm, kafka.Reads(topic)); err != nil {
		return err
	}
	list := adm.ListStartOffsets
	if !since.IsZero() {
		list = func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return adm.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topics...)
		}
	}
	starts, err := kafka.Listed(list(ask, topic))
	if err != nil {
		return err
	}
	ends, err := kafka.Listed(adm.ListEndOffsets(ask, topic))
	if err != nil {
		return err
	}
	ends.Each(func(end kadm.ListedOffset) {
		start, ok := starts.Lookup(topic, end.Partition)
		if l.next[end.Partition] = start.Offset; ok && start.Offset < end.Offset {
			l.left[end.Partition] = end.Offset
		}
	})
	return nil
}

// Close ends the reading.
func (l *Log) Close() {
	l.client.Close()
	l.places.Close()
}

// ReadToEnd reads to the end that was found when the log was opened.
func (l *Log) ReadToEnd(ctx context.Context) error {
	var silence kafka.Silence
	for len(l.left) > 0 {
		n, err := l.poll(ctx, quiet)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case n > 0:
			silence.Broken(l.client)
			continue
		case silence.Throttled(l.client): // it continues when that is over
			continue
		}
		more := false
		for partition := range l.left {
			again, err := l.passOver(ctx, kgo.FetchError{Topic: l.topic, Partition: partition})
			if err == nil && !again {
				again, err = l.comes(ctx, partition)
			}
			if err != nil {
				return err
			}
			more = more || again
		}
		if !more {
			clear(l.left)
		}
	}
	return nil
}

// Follow takes in what comes within a time, and returns sooner when something did.
func (l *Log) Follow(ctx context.Context, within time.Duration) error {
	n, err := l.poll(ctx, within)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || n > 0 {
		return err
	}
	look, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	stalled, _ := l.stalls.Look(look, l.client, l.topic, l.next) // where it cannot look, what reads says why
	for _, u := range stalled {
		if _, err := l.passOver(ctx, kgo.FetchError{Topic: l.topic, Partition: u.Partition}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// poll takes in what comes first. n is how much that was, with the batches that cannot be
// read: those are passed over, an older report stands in for what was in them.
func (l *Log) poll(ctx context.Context, within time.Duration) (n int, err error) {
	caughtUp := len(l.left) == 0
	wait, cancel := context.WithTimeout(ctx, within)
	fetches := l.client.PollFetches(wait)
	cancel()
	broken, _, err := kafka.Faults(fetches)
	if err != nil {
		return n, err
	}
	now := time.Now()
	fetches.EachRecord(func(rec *kgo.Record) {
		n++
		r := replica.Record{Key: string(rec.Key), Value: rec.Value, Seen: rec.Timestamp}
		if caughtUp {
			// It was appended just now, whatever the clocks say.
			r.Seen = now
		}
		for _, h := range rec.Headers {
			if h.Key == schemas.HeaderStarted {
				r.Started = string(h.Value)
			}
		}
		if err := l.Board.Take(r); err != nil {
			l.Ignored++
			l.Problem = fmt.Errorf("%s/%d offset %d: %w", rec.Topic, rec.Partition, rec.Offset, err)
		}
		l.reach(rec.Partition, rec.Offset+1)
	})
	if n > 0 {
		l.patience.Reset()
	}
	for _, e := range broken {
		if _, err := l.passOver(ctx, e); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// reach notes that everything before an offset is read.
func (l *Log) reach(partition int32, next int64) {
	l.next[partition] = next
	if end, ok := l.left[partition]; ok && next >= end {
		delete(l.left, partition)
	}
}

// comes says whether there is a record that a partition is to be read up to, which has not
// come yet. What compaction has removed never does.
func (l *Log) comes(ctx context.Context, partition int32) (bool, error) {
	look, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	for at := l.next[partition]; at < l.left[partition]; {
		v, err := l.places.Look(look, l.topic, partition, at)
		if err != nil || v.Records > 0 {
			return true, l.patience.Wait(ctx, err)
		}
		if v.Next <= at {
			break
		}
		at = v.Next
	}
	return false, nil
}

// passOver goes on behind the batch that a partition is at, if it cannot be read. again says
// that there may be more to read: it has done so, or the look failed for a reason that passes.
func (l *Log) passOver(ctx context.Context, e kgo.FetchError) (again bool, err error) {
	at := l.next[e.Partition]
	look, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	u, next, err := l.places.Ahead(look, l.client, e, at)
	if u != nil {
		l.Ignored += int(u.Offsets())
		l.Problem = u
		l.log.Warn("left out: a batch of replicas' reports cannot be read", "topic", u.Topic, "partition", u.Partition, "offset", u.From, "next", u.To, "error", u.Err)
	}
	l.reach(e.Partition, next)
	return next > at || err != nil, l.patience.Wait(ctx, err)
}
