package reports

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// silence is how long a name must not have been reported under before another
	// process takes it: a replica that runs reports every second.
	silence = 3 * time.Second
	// look is how far back reports are looked for: much more than silence, as the clocks
	// of this process, of the one that reports and of the brokers may differ.
	look = time.Minute
)

// Claim is a name that a process is about to report under, and to work under: two
// that do so fence each other.
type Claim struct {
	kafka  kafka.Config
	topics schemas.Topics
	name   string
	log    *slog.Logger
	now    func() time.Time // this machine's clock
	quiet  time.Duration    // silence
	held   atomic.Bool
}

// NewClaim is the claim to a component's name; it is not held yet.
func NewClaim(c kafka.Config, topics schemas.Topics, component, instance string, log *slog.Logger) *Claim {
	return &Claim{kafka: c, topics: topics, name: schemas.ReplicaKey(component, instance), log: log, now: time.Now, quiet: silence}
}

// Held says whether nobody else works under the name, as far as is known.
func (c *Claim) Held() bool { return c.held.Load() }

// TakenError says that another process reports under the name.
type TakenError struct {
	Holder replica.State
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("another process runs as %s: on host %s, started %s, and it has just reported; give each process its own --instance",
		e.Holder.Name(), e.Holder.Host, e.Holder.Started)
}

// Take waits, where the name has been reported under within a minute and its process
// has not stopped by itself, until three seconds have gone by without a report. It
// fails with a *TakenError where it is reported under again. Where the reports cannot
// be read it holds the name and says so: that two work under it is then noticed when
// one fences the other.
func (c *Claim) Take(ctx context.Context) error {
	if c.Held() {
		return nil
	}
	err := c.wait(ctx)
	_, missing := errors.AsType[*kafka.MissingTopicsError](err)
	if missing || kafka.Refused(err) {
		c.log.Warn("cannot look whether another process runs under this name", "replica", c.name, "error", err)
		err = nil
	}
	if err == nil {
		c.held.Store(true)
	}
	return err
}

func (c *Claim) wait(ctx context.Context) error {
	l, err := openLog(ctx, c.kafka, c.topics, c.now().Add(-look))
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.ReadToEnd(ctx); err != nil {
		return err
	}
	before := l.Board.Processes(c.name)
	if len(before) == 0 {
		return nil
	}
	// How old a report is cannot be told: it has another machine's time.
	c.log.Info("waiting until nobody reports under this name", "replica", c.name, "host", newest(before).Host, "silence", c.quiet)
	began := time.Now()
	for left := c.quiet; left > 0; left = c.quiet - time.Since(began) {
		if err := l.Follow(ctx, left); err != nil {
			return err
		}
		now := l.Board.Processes(c.name)
		if len(now) == 0 {
			return nil // it has stopped by itself
		}
		for started, s := range now {
			if was, ok := before[started]; !ok || !s.Seen.Equal(was.Seen) {
				return &TakenError{s}
			}
		}
	}
	return nil
}

// newest is the process that was started last.
func newest(of map[schemas.Timestamp]replica.State) replica.State {
	return of[slices.Max(slices.Collect(maps.Keys(of)))]
}
