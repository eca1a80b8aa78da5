package reports

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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

	client *kgo.Client
	left   map[int32]int64 // ends not reached yet
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
	l := &Log{Board: replica.NewBoard(), client: client, left: map[int32]int64{}}
	if err := l.findEnds(ctx, topics.Replicas, since); err != nil {
		client.Close()
		return nil, c.Explain(err)
	}
	return l, nil
}

func (l *Log) findEnds(ctx context.Context, topic string, since time.Time) error {
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
		if start, ok := starts.Lookup(topic, end.Partition); ok && start.Offset < end.Offset {
			l.left[end.Partition] = end.Offset
		}
	})
	return nil
}

// Close ends the reading.
func (l *Log) Close() { l.client.Close() }

// ReadToEnd reads to the end that was found when the log was opened.
func (l *Log) ReadToEnd(ctx context.Context) error {
	for len(l.left) > 0 {
		poll, cancel := context.WithTimeout(ctx, quiet)
		n, err := l.poll(poll)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case n == 0:
			clear(l.left)
		}
	}
	return nil
}

// Follow takes in what comes within a time, and returns sooner when something did.
func (l *Log) Follow(ctx context.Context, within time.Duration) error {
	poll, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, err := l.poll(poll)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// poll takes in what comes first.
func (l *Log) poll(ctx context.Context) (n int, err error) {
	caughtUp := len(l.left) == 0
	fetches := l.client.PollFetches(ctx)
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) && !kerr.IsRetriable(e.Err) {
			return n, fmt.Errorf("reading %s: %w", e.Topic, e.Err)
		}
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
		if end, ok := l.left[rec.Partition]; ok && rec.Offset+1 >= end {
			delete(l.left, rec.Partition)
		}
	})
	return n, nil
}
