package kafka

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/retry"
)

const (
	// How long a broker may fail to say what is wrong before reading ends with that.
	failingPatience = 10 * time.Second
	// How long after a failure the next has nothing to do with it: longer than one attempt
	// takes.
	forgottenAfter = time.Minute
	// Between one attempt and the next: the client itself would ask again at once.
	failingPause = 100 * time.Millisecond
)

// IsFailing says whether a broker failed to answer and does not say why. That says
// nothing of what is in the log: nobody skips anything for it.
func IsFailing(err error) bool { return errors.Is(err, kerr.UnknownServerError) }

// IsPassing says whether a look at the log failed for a reason that passes by itself: the
// broker fails and does not say why, a quota holds its answer back, a leader moves, a
// connection breaks, or the client complains of what the look can read. The client retries its own fetches without a word but for the first.
func IsPassing(err error) bool {
	if _, found := errors.AsType[*UnreadableError](err); found || isDamage(err) {
		return false
	}
	_, cut := errors.AsType[*net.OpError](err)
	return cut || errors.Is(err, errQuota) || errors.Is(err, errDoubt) || IsFailing(err) || kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err)
}

// Patience is that of a reader which ends: with brokers that fail without a reason, and
// with looks that fail for one that passes. The zero value is ready to use.
type Patience struct {
	since, last time.Time        // the first failure of those that nothing came between, and the last
	now         func() time.Time // nil: time.Now
}

// Wait pauses before the next attempt. The error is err itself where it is none that
// passes, or has not passed for long. A failure long after the last is another.
func (p *Patience) Wait(ctx context.Context, err error) error {
	if !IsPassing(err) {
		return err
	}
	now := time.Now()
	if p.now != nil {
		now = p.now()
	}
	if p.since.IsZero() || now.Sub(p.last) > forgottenAfter {
		p.since = now
	}
	p.last = now
	if now.Sub(p.since) >= failingPatience {
		return err
	}
	if !retry.Sleep(ctx, failingPause) {
		return ctx.Err()
	}
	return nil
}

// Reset notes that something was read.
func (p *Patience) Reset() { p.since = time.Time{} }
