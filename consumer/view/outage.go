package view

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/internal/retry"
)

// outage makes every attempt to use Redis again until it succeeds, and knows what
// is wrong meanwhile. Several attempts may be under way at once: Redis is back when
// none of them fails any more.
type outage struct {
	log    *slog.Logger
	errors prometheus.Counter
	// once ends retry, too, where Redis does not have the database that is asked for.
	once bool

	mu      sync.Mutex // guards what follows
	failing int        // attempts under way that have failed at least once
	err     error      // nil: Redis answers
	since   time.Time
}

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// retry calls f until it succeeds, Redis says that it may not be done, or ctx
// ends. f asks Redis something: success without a question would say that Redis is
// there. Pauses double and are spread, so that replicas do not come back all at
// once.
func (o *outage) retry(ctx context.Context, f func(context.Context) error) error {
	failed := false
	defer func() {
		if failed {
			o.mu.Lock()
			o.failing--
			o.mu.Unlock()
		}
	}()
	pause := retry.Pause{First: firstPause, Max: lastPause}
	for {
		// What has begun is finished, or found to have failed: SIGTERM ends the
		// retrying only.
		err := f(context.WithoutCancel(ctx))
		if err == nil {
			o.succeeded(failed)
			failed = false
			return nil
		}
		final := redisconn.Refused(err) || o.once && redisconn.IsPermanent(err)
		o.fails(err, failed, final)
		failed = true
		if final {
			return err
		}
		if !pause.Wait(ctx) {
			return ctx.Err()
		}
	}
}

// fails notes an attempt that failed, and logs where an outage begins. again: it
// has failed before. final: it is not tried again, and whoever asked says so.
func (o *outage) fails(err error, again, final bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.errors.Inc()
	if !again {
		o.failing++
	}
	if o.err == nil {
		o.since = time.Now()
	}
	if o.err == nil && !final {
		o.log.Warn("cannot use Redis; retrying", "error", redisconn.Explain(err))
	}
	o.err = err
}

// succeeded notes an attempt that succeeded, after it had failed or at once, and
// logs the end of an outage.
func (o *outage) succeeded(afterwards bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if afterwards {
		o.failing--
	}
	if o.err == nil || o.failing > 0 {
		return
	}
	o.log.Info("Redis is back", "after", time.Since(o.since).Round(time.Millisecond))
	o.err = nil
}

func (o *outage) current() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		return nil
	}
	return fmt.Errorf("without Redis: %w", redisconn.Explain(o.err))
}
