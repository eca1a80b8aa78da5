package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/internal/redisconn"
)

// redisInterval is how often Redis is asked whether it is there.
const redisInterval = 2 * time.Second

// redisWatch knows whether Redis is there. It is a lifecycle.Component that is
// always ready, for components that do without.
type redisWatch struct {
	client redis.UniversalClient
	view   *view.Store // that is to be this deployment's
	log    *slog.Logger
	state  atomic.Pointer[error] // why it is away, nil when it is not; no pointer before the first look
}

// Name is part of lifecycle.Component.
func (*redisWatch) Name() string { return "redis" }

// Ready is part of lifecycle.Component.
func (*redisWatch) Ready() error { return nil }

// Pending says why Redis cannot be used and what is not done meanwhile; nil when
// it can.
func (w *redisWatch) Pending() error {
	p := w.state.Load()
	switch {
	case p == nil:
		return errors.New("not reached yet")
	case isOther(*p):
		return fmt.Errorf("no look-ups: %w", *p)
	case *p != nil:
		return fmt.Errorf("away, look-ups and idempotency keys are refused: %w", *p)
	}
	return nil
}

// Run looks after Redis until ctx ends.
func (w *redisWatch) Run(ctx context.Context) error {
	tick := time.NewTicker(redisInterval)
	defer tick.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, redisInterval)
		err := w.client.Ping(asked).Err()
		if err == nil {
			if own := w.view.Own(asked); isOther(own) {
				err = own
			}
		}
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		w.note(err)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// isOther says whether Redis is there and holds the view of another cluster's log.
func isOther(err error) bool {
	_, other := errors.AsType[*view.OtherLogError](err)
	return other
}

func (w *redisWatch) note(err error) {
	if err != nil {
		err = redisconn.Explain(err)
	}
	before := w.state.Swap(&err)
	switch {
	case isOther(err):
		if before == nil || !isOther(*before) {
			w.log.Warn("look-ups are refused: Redis holds the view of another log", "error", err)
		}
	case err != nil && (before == nil || *before == nil):
		w.log.Warn("Redis is away: no look-ups, no idempotency keys", "error", err)
	case err == nil && before != nil && *before != nil:
		w.log.Info("Redis is back")
	}
}
