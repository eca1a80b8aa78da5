// Package retry waits between one attempt and the next: longer after each failure, and
// not as long as anyone else, so that those that failed together do not come back
// together.
package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Pause is how long to wait after a failure. It serves one goroutine at a time.
type Pause struct {
	First time.Duration // at most, after the first failure; at least a nanosecond
	Max   time.Duration // at most, after any

	next time.Duration
}

// Next is the pause after one more failure: at most twice as long as the one before,
// and of that at least half.
func (p *Pause) Next() time.Duration {
	most := min(max(p.next, p.First), p.Max)
	p.next = 2 * most
	return most - rand.N(most/2+1)
}

// Reset begins anew: something has succeeded.
func (p *Pause) Reset() { p.next = 0 }

// Wait waits as long as Next says, and says false when ctx ended first.
func (p *Pause) Wait(ctx context.Context) bool { return Sleep(ctx, p.Next()) }

// Sleep waits, and says false when ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Until attempts something until it succeeds, ctx ends, or failed returns an error: that
// no further attempt would help. failed is told how long the pause will be: 0 where ctx
// has ended, so that there is none. An attempt that got somewhere before it failed makes
// its pause a first one.
func Until(
	ctx context.Context, p Pause, attempt func(context.Context) (got bool, err error), failed func(err error, in time.Duration) error,
) error {
	for ctx.Err() == nil {
		got, err := attempt(ctx)
		if err == nil {
			return nil
		}
		if got {
			p.Reset()
		}
		in := p.Next()
		if ctx.Err() != nil {
			in = 0
		}
		if err := failed(err, in); err != nil {
			return err
		}
		Sleep(ctx, in)
	}
	return nil
}

// IsPermanent says whether trying again would not help: something in the error's tree
// has a method Permanent that says true.
func IsPermanent(err error) bool {
	p, ok := errors.AsType[interface {
		error
		Permanent() bool
	}](err)
	return ok && p.Permanent()
}
