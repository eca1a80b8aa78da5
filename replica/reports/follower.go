package reports

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/schemas"
)

// retryPause is between attempts to read the topic.
const retryPause = time.Second

// stallLook is how long nothing may come before it is looked up why: a replica that runs
// reports every second.
const stallLook = 5 * time.Second

// Follower knows what all replicas are doing. It is a lifecycle.Component that is
// always ready: nothing that is decided depends on it.
type Follower struct {
	kafka  kafka.Config
	topics schemas.Topics
	log    *slog.Logger
	quiet  time.Duration // how long nothing may come before it is looked up why

	mu    sync.Mutex     // guards what follows
	board *replica.Board // nil until the topic was read
	why   error          // why it is not read
}

// NewFollower has read nothing yet.
func NewFollower(c kafka.Config, topics schemas.Topics, log *slog.Logger) *Follower {
	return &Follower{kafka: c, topics: topics, log: log, quiet: stallLook, why: errors.New("not read yet")}
}

// Name is part of lifecycle.Component.
func (*Follower) Name() string { return "replicas" }

// Ready is part of lifecycle.Component.
func (*Follower) Ready() error { return nil }

// Pending says why nobody can be told what replicas are doing; nil when they can.
func (f *Follower) Pending() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.why
}

// Replicas are the live replicas and those that ended without a word. The error
// says why that is not known.
func (f *Follower) Replicas() ([]replica.Summary, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why != nil {
		return nil, f.why
	}
	return f.board.Summarise(time.Now()), nil
}

// Run follows the topic until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	attempt := func(ctx context.Context) (bool, error) { return false, f.kafka.Explain(f.follow(ctx)) }
	return retry.Until(ctx, retry.Pause{First: retryPause, Max: retryPause}, attempt, func(err error, in time.Duration) error {
		if in > 0 {
			f.note(err)
		}
		return nil
	})
}

// note keeps why the topic is not read, and tells when that is news.
func (f *Follower) note(err error) {
	f.mu.Lock()
	before := f.why
	f.why = err
	f.mu.Unlock()
	if before == nil || before.Error() != err.Error() {
		f.log.Warn("cannot follow the replicas' reports; retrying", "error", err)
	}
}

// follow reads with one client until that fails.
func (f *Follower) follow(ctx context.Context) error {
	l, err := OpenLog(ctx, f.kafka, f.topics)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.ReadToEnd(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	f.board, f.why = l.Board, nil
	f.mu.Unlock()
	for {
		if err := l.Follow(ctx, f.quiet); err != nil {
			return err
		}
	}
}
