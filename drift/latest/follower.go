package latest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/schemas"
)

// ErrNone says that nothing has been evaluated yet.
var ErrNone = errors.New("no drift status yet: is `creditstream drift` running?")

var errReading = errors.New("the drift status has not been read yet")

// How long nothing may come before it is looked up why.
const quiet = 5 * time.Second

// Pauses after a failure.
const firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second

// Follower knows the newest status for as long as it runs. It is a
// lifecycle.Component that fails nothing: who serves decisions does so without it.
type Follower struct {
	kafka  kafka.Config
	topics schemas.Topics
	log    *slog.Logger
	quiet  time.Duration
	open   *kafka.OpenWatch
	looks  time.Duration // between one look at open transactions and the next

	mu     sync.Mutex // guards what follows
	newest *Record
	err    error // why there is none
}

// NewFollower returns a Follower that is not running yet.
func NewFollower(c kafka.Config, topics schemas.Topics, log *slog.Logger, r prometheus.Registerer) *Follower {
	f := &Follower{kafka: c, topics: topics, log: log, quiet: quiet, looks: kafka.WatchInterval, err: errReading}
	f.open = kafka.NewOpenWatch(kafka.OpenWatchConfig{Component: f.Name(), Topic: topics.DriftStatus, Log: log, Registerer: r, Since: c.Since})
	return f
}

// Newest is the newest status. Without one the error is ErrNone, or says why it
// cannot be known; one that was known stays while the topic is away.
func (f *Follower) Newest() (*Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.newest == nil {
		return nil, f.err
	}
	return f.newest, nil
}

func (f *Follower) set(r *Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r != nil {
		f.newest = r
	}
	f.err = err
}

// Name is part of lifecycle.Component.
func (*Follower) Name() string { return "drift-status" }

// Ready is part of lifecycle.Component.
func (*Follower) Ready() error { return nil }

// Pending says what cannot be read behind a transaction that was left open: the status
// that is known may be an old one.
func (f *Follower) Pending() error { return f.open.Pending() }

// Run is part of lifecycle.Component.
func (f *Follower) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.kafka.WatchOpen(ctx, f.looks, f.open) })
	group.Go(func() error { return f.read(ctx) })
	return group.Wait()
}

// read follows the topic until ctx ends.
func (f *Follower) read(ctx context.Context) error {
	warned := false
	attempt := func(ctx context.Context) (read bool, err error) {
		read, err = f.follow(ctx)
		warned = warned && !read
		return read, err
	}
	return retry.Until(ctx, retry.Pause{First: firstPause, Max: longestPause}, attempt, func(err error, in time.Duration) error {
		if in == 0 { // told to stop is not a failure
			return nil
		}
		err = f.kafka.Explain(err)
		f.set(nil, err)
		if !warned {
			f.log.Warn("the drift status cannot be read; trying again", "error", err)
			warned = true
		}
		return nil
	})
}

// follow reads from the newest status on until something fails.
func (f *Follower) follow(ctx context.Context) (read bool, err error) {
	newest, next, err := Read(ctx, f.kafka, f.topics)
	if err != nil {
		return false, err
	}
	f.set(newest, ErrNone)
	client, err := kgo.NewClient(append(f.kafka.Options(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.topics.DriftStatus: {partition: kgo.NewOffset().At(next)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // where they are not seen the end is never reached
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)...)
	if err != nil {
		return true, err
	}
	defer client.Close()
	var stalls kafka.Stalls
	for {
		poll, cancel := context.WithTimeout(ctx, f.quiet)
		fetches := client.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return true, nil
		}
		for _, e := range fetches.Errors() {
			if !kerr.IsRetriable(e.Err) && !errors.Is(e.Err, context.DeadlineExceeded) {
				return true, fmt.Errorf("reading %s: %w", f.topics.DriftStatus, kafka.Reason(e.Err))
			}
		}
		var last, status *kgo.Record
		fetches.EachRecord(func(r *kgo.Record) {
			if last = r; !r.Attrs.IsControl() {
				status = r
			}
		})
		if last == nil {
			stalled, err := stalls.Look(ctx, client, f.topics.DriftStatus, map[int32]int64{partition: next})
			if len(stalled) > 0 { // Read passes over it
				return true, stalled[0]
			}
			if err != nil && !kerr.IsRetriable(err) {
				return true, err
			}
			continue
		}
		next = last.Offset + 1
		if status == nil {
			continue
		}
		if one, err := decode(status.Value); err == nil { // what is no status is passed over
			f.set(one, nil)
		}
	}
}
