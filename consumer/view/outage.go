package view

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/redisconn"
)

// outage makes every attempt to reach Redis again until it succeeds, and knows
// what is wrong meanwhile.
type outage struct {
	log    *slog.Logger
	errors prometheus.Counter

	mu    sync.Mutex
	err   error // nil: Redis answers
	since time.Time
}

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// retry calls f until it succeeds, Redis says that it may not be done, or ctx
// ends. Pauses double and are spread, so
// that replicas do not come back all at once.
func (o *outage) retry(ctx context.Context, f func(context.Context) error) error {
	pause := firstPause
	for {
		// What has begun is finished, or found to have failed: SIGTERM ends the
		// retrying only.
		err := f(context.WithoutCancel(ctx))
		o.note(err)
		if err == nil || redisconn.Refused(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, lastPause)
	}
}

// note logs an outage's beginning and end, not what happens in between.
func (o *outage) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err != nil:
		o.errors.Inc()
		if o.err == nil {
			o.since = time.Now()
			o.log.Warn("Redis is away, trying again until it is back", "error", err)
		}
	case o.err != nil:
		o.log.Info("Redis is back", "after", time.Since(o.since).Round(time.Millisecond))
	}
	o.err = err
}

func (o *outage) current() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		return nil
	}
	return fmt.Errorf("without Redis: %w", o.err)
}
