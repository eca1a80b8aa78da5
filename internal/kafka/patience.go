package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/creditstream/creditstream/internal/retry"
)

const (
	// How long a broker may fail to say what is wrong before reading ends with that.
	failingPatience = 10 * time.Second
	// Between one attempt and the next: the client itself would ask again at once.
	failingPause = 100 * time.Millisecond
)

// IsFailing says whether a broker failed to answer and does not say why. That says
// nothing of what is in the log: nobody skips anything for it.
func IsFailing(err error) bool { return errors.Is(err, kerr.UnknownServerError) }

// Patience is that of a reader which ends: with brokers that fail without a reason.
// The zero value is ready to use.
type Patience struct {
	since time.Time
	now   func() time.Time // nil: time.Now
}

// Wait pauses before the next attempt. The error is err itself where it is none that
// passes, or has not passed for long.
func (p *Patience) Wait(ctx context.Context, err error) error {
	if !IsFailing(err) {
		return err
	}
	now := time.Now
	if p.now != nil {
		now = p.now
	}
	if p.since.IsZero() {
		p.since = now()
	}
	if now().Sub(p.since) >= failingPatience {
		return err
	}
	if !retry.Sleep(ctx, failingPause) {
		return ctx.Err()
	}
	return nil
}

// Reset notes that something was read.
func (p *Patience) Reset() { p.since = time.Time{} }
