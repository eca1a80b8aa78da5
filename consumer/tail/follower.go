package tail

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// How often a follower looks whether the topic has more partitions.
const partitionsInterval = 30 * time.Second

// FollowerConfig is what a Follower needs.
type FollowerConfig struct {
	Kafka  kafka.Config
	Topics schemas.Topics
	Codec  *wire.Codec               // nil: JSON only
	Each   func(*schemas.Prediction) // of every prediction, which is valid until it returns
	Log    *slog.Logger
	Now    func() time.Time // nil: time.Now

	lookInterval time.Duration // between looks whether there are more partitions; 0: partitionsInterval
}

// Follower follows predictions from the end of the log on and hands them on. It
// is a lifecycle.Component.
type Follower struct {
	config FollowerConfig

	mu      sync.Mutex // guards reading
	reading bool
}

// NewFollower returns a Follower that is not running yet.
func NewFollower(c FollowerConfig) *Follower {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.lookInterval == 0 {
		c.lookInterval = partitionsInterval
	}
	return &Follower{config: c}
}

// Name is part of lifecycle.Component.
func (*Follower) Name() string { return "feed" }

// Ready is part of lifecycle.Component.
func (f *Follower) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.reading {
		return errors.New("not reading predictions")
	}
	return nil
}

// Run is part of lifecycle.Component. After an error it goes on at the end the
// log has then: a page shows what is going on now.
func (f *Follower) Run(ctx context.Context) error {
	attempt := func(ctx context.Context) (read bool, err error) {
		defer f.setReading(false)
		return f.follow(ctx)
	}
	return retry.Until(ctx, retry.Pause{First: 100 * time.Millisecond, Max: 5 * time.Second}, attempt, func(err error, in time.Duration) error {
		if in == 0 {
			f.config.Log.Debug("stopped while connecting", "error", err)
			return nil
		}
		if kafka.IsPermanent(err) {
			return f.config.Kafka.Explain(err)
		}
		f.config.Log.Warn("reading predictions again", "error", f.config.Kafka.Explain(err), "in", in)
		return nil
	})
}

func (f *Follower) follow(ctx context.Context) (read bool, err error) {
	r, err := open(ctx, f.config.Kafka, f.config.Topics.Predictions, kafka.From{}, true)
	if err != nil {
		return false, err
	}
	defer r.close()
	f.setReading(true)
	var p schemas.Prediction
	looked := f.config.Now()
	for {
		fetches, broken, err := r.poll(ctx, min(quiet, f.config.lookInterval))
		if ctx.Err() != nil {
			return read, nil
		}
		if err != nil {
			return read, err
		}
		now := f.config.Now()
		if now.Sub(looked) >= f.config.lookInterval {
			looked = now
			if err := r.grown(ctx); err != nil {
				return read, err
			}
		}
		for i := fetches.RecordIter(); !i.Done(); {
			record := i.Next()
			r.next[record.Partition] = record.Offset + 1
			// What is no prediction is for the view to report.
			if !record.Attrs.IsControl() && f.config.Codec.DecodePrediction(ctx, record.Value, &p) == nil {
				f.config.Each(&p)
				read = true
			}
		}
		err = r.passOver(ctx, broken, func(u *kafka.UnreadableError) error {
			f.config.Log.Warn("left out: a batch cannot be read", "topic", u.Topic, "partition", u.Partition, "offset", u.From, "next", u.To, "error", u.Err)
			return nil
		})
		if ctx.Err() != nil {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
}

func (f *Follower) setReading(reading bool) {
	f.mu.Lock()
	f.reading = reading
	f.mu.Unlock()
}
