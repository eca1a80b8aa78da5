package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// quiet is how long nothing may come of what is there before it is looked up why.
const quiet = time.Second

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
}

// openReader reads both topics from their starts; all that it asks ends with ctx.
func openReader(ctx context.Context, c kafka.Config, topics schemas.Topics) (*reader, error) {
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
	return &reader{client: client, config: c, topics: topics}, nil
}

func (r *reader) close() { r.client.Close() }

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
	r.left = map[string]map[int32]kafka.Span{}
	for topic, partitions := range bounds {
		for partition, b := range partitions {
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

// poll waits for records and hands each on but the transactions' markers.
func (r *reader) poll(ctx context.Context, each func(*kgo.Record)) error {
	wait, cancel := ctx, context.CancelFunc(func() {})
	if !r.caughtUp() {
		wait, cancel = context.WithTimeout(ctx, quiet)
	}
	fetches := r.client.PollFetches(wait)
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if wait.Err() != nil && fetches.NumRecords() == 0 {
		return r.readLeft(ctx, each)
	}
	for _, e := range fetches.Errors() {
		if !kerr.IsRetriable(e.Err) && !errors.Is(e.Err, context.DeadlineExceeded) {
			return fmt.Errorf("reading %s: %w", e.Topic, e.Err)
		}
	}
	fetches.EachRecord(func(rec *kgo.Record) {
		if !rec.Attrs.IsControl() {
			each(rec)
		}
		if left, ok := r.left[rec.Topic][rec.Partition]; ok {
			if left.From = rec.Offset + 1; left.From < left.To {
				r.left[rec.Topic][rec.Partition] = left
				return
			}
			if delete(r.left[rec.Topic], rec.Partition); len(r.left[rec.Topic]) == 0 {
				delete(r.left, rec.Topic)
			}
		}
	})
	return nil
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
	}})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		clear(r.left)
	}
	return err
}
