package wire

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// reader is what reads a value in Avro, and the value without its header.
func (c *Codec) reader(ctx context.Context, e schemas.Event, value []byte) (*schemas.AvroReader, []byte, error) {
	id, body, err := schemas.CutAvroHeader(value)
	if err != nil {
		return nil, nil, err
	}
	if c == nil {
		return nil, nil, &schemaError{id, ErrNoRegistry}
	}
	found, ok := c.cache.get(key{e, id})
	if !ok {
		if found, err = c.find(ctx, key{e, id}); err != nil {
			return nil, nil, err
		}
	}
	return found.reader, body, found.err
}

// find asks the registry until it answers.
func (c *Codec) find(ctx context.Context, k key) (known, error) {
	patience := ctx
	if c.config.Patience > 0 {
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(ctx, c.config.Patience)
		defer cancel()
	}
	waits := false
	defer func() {
		if waits {
			c.waits(-1)
		}
	}()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		found, err := c.ask(patience, k)
		if err == nil {
			c.note(nil)
			return found, nil
		}
		if ctx.Err() != nil {
			return known{}, ctx.Err()
		}
		if patience.Err() == nil {
			c.note(err)
			if !waits {
				waits = true
				c.waits(1)
			}
		}
		if !sleep(patience, pause) {
			if ctx.Err() != nil {
				return known{}, ctx.Err()
			}
			return known{}, fmt.Errorf("given up after %s: %w", c.config.Patience, c.lastAway(err))
		}
	}
}

func (c *Codec) waits(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting += n
}

// lastAway is why the registry is away, err where that was not noted.
func (c *Codec) lastAway(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return c.away
	}
	return err
}

// note logs an outage's beginning and end, not what happens in between.
func (c *Codec) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.metrics.errors.Inc()
		if c.away == nil {
			c.since = time.Now()
			c.config.Log.Warn("the schema registry is away, reading waits until it is back", "error", err)
		}
	case c.away != nil:
		c.config.Log.Info("the schema registry is back", "after", time.Since(c.since).Round(time.Millisecond))
	}
	c.away = err
}

// ask asks the registry once for everyone who wants to know. The question does not
// end with the one that came first.
func (c *Codec) ask(ctx context.Context, k key) (known, error) {
	answer := c.asking.DoChan(strconv.Itoa(int(k.event))+"/"+strconv.FormatUint(uint64(k.id), 10), func() (any, error) {
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
		defer cancel()
		return c.fetch(ask, k)
	})
	select {
	case <-ctx.Done():
		return known{}, ctx.Err()
	case a := <-answer:
		if a.Err != nil {
			return known{}, a.Err
		}
		return a.Val.(known), nil
	}
}

const (
	// A replica of the registry may hear of a new schema a moment after the first
	// record that was written with it.
	doubtPause = 500 * time.Millisecond
	// How often that is allowed for: garbage must not hold up every record.
	doubtInterval = 10 * time.Second
)

// fetch asks for a schema, remembers what came of it and returns that. It is not
// asked for again while it is remembered.
func (c *Codec) fetch(ctx context.Context, k key) (known, error) {
	text, there, err := c.config.Registry.Schema(ctx, k.id)
	if err == nil && !there && c.doubts() && sleep(ctx, doubtPause) {
		text, there, err = c.config.Registry.Schema(ctx, k.id)
	}
	if err != nil {
		return known{}, err
	}
	var found known
	if !there {
		c.metrics.unknown.Inc()
		found = known{err: &schemaError{k.id, errUnknownSchema}, until: time.Now().Add(unknownTime)}
	} else if found.reader, err = schemas.NewAvroReader(k.event, text); err != nil {
		found.err = &schemaError{k.id, err}
	}
	c.metrics.cached.Set(float64(c.cache.put(k, found)))
	return found, nil
}

// doubts says whether an unknown id is worth a second question.
func (c *Codec) doubts() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.doubted.IsZero() && now.Sub(c.doubted) < doubtInterval {
		return false
	}
	c.doubted = now
	return true
}
