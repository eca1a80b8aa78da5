package wire

import (
	"context"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/creditstream/creditstream/schemas"
)

const (
	// maxQuestions are asked at once.
	maxQuestions = 8
	// questionRate and questionBurst bound how often the registry is asked, a second.
	questionRate  = 200
	questionBurst = 100
)

// LearnWindow is how many values one Learn may take: their schemas are all
// remembered until the values are read.
const LearnWindow = 256

// Learn asks for the schemas that values of an event name and that are not in memory,
// several at once, so that reading the values does not ask for one after the other.
// It waits as reading does, and while it does, Ready and the log name the first value
// that waits by its source. Its errors are those of reading that are not the value's
// own.
func (c *Codec) Learn(ctx context.Context, e schemas.Event, values iter.Seq2[schemas.Source, []byte]) error {
	if c == nil {
		return nil
	}
	var (
		unknown map[key]schemas.Source // the first value that names it
		last    key
		known   bool // last is
	)
	for at, value := range values {
		if !schemas.IsAvro(value) {
			continue
		}
		id, _, err := schemas.CutAvroHeader(value)
		k := key{e, id}
		if err != nil || known && k == last {
			continue
		}
		last, known = k, true
		if _, ok := c.cache.get(k); ok {
			continue
		}
		if unknown == nil {
			unknown = map[key]schemas.Source{}
		}
		if _, again := unknown[k]; !again {
			unknown[k] = at
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	group, all := errgroup.WithContext(ctx)
	for k, at := range unknown {
		group.Go(func() error {
			if _, err := c.find(all, k, at); err != nil {
				return fmt.Errorf("reading %s: %w", at, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// limit asks the registry when it is this question's turn.
func (c *Codec) limit(ctx context.Context, ask func(context.Context) error) error {
	select {
	case c.questions <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.questions }()
	if d := c.rate.Reserve().Delay(); !sleep(ctx, d) {
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return ask(ctx)
}

// question asks for one schema.
func (c *Codec) question(ctx context.Context, id uint32) (text string, there bool, err error) {
	err = c.limit(ctx, func(ctx context.Context) (err error) {
		text, there, err = c.config.Registry.Schema(ctx, id)
		return err
	})
	return text, there, err
}

// since is how long ago the first of several things was, and notes it where this is
// the first.
func since(first *time.Time) time.Duration {
	now := time.Now()
	if first.IsZero() {
		*first = now
	}
	return now.Sub(*first)
}
