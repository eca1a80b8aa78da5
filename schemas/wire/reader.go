package wire

import (
	"cmp"
	"context"
	"errors"
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
		if found, err = c.find(ctx, key{e, id}, schemas.Source{}); err != nil {
			return nil, nil, err
		}
	}
	return found.reader, body, found.err
}

// find asks the registry until it answers. at is the value's source, zero where that
// is not known. Only silence is waited out: what the registry says instead of a
// schema is an answer in the end, see refuse.
func (c *Codec) find(ctx context.Context, k key, at schemas.Source) (found known, err error) {
	patience := ctx
	if c.config.Patience > 0 {
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(ctx, c.config.Patience)
		defer cancel()
	}
	w := &waiter{id: k.id, at: at}
	defer func() { c.settled(w, err == nil) }()
	var refused time.Time // since when, without a pause; zero: not
	doubt, later := c.doubt(k)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		found, err := c.ask(patience, k)
		refusal, answered := errors.AsType[refusalError](err)
		wait := doubt
		if answered && refusal.Later() {
			wait = later
		}
		switch {
		case !answered:
			refused = time.Time{}
		case since(&refused) >= wait:
			found, err = c.refuse(patience, k, at.Topic, refusal)
		default:
			if refusal.Later() { // of everything, perhaps, and for long
				c.wait(w, err)
			} else {
				c.metrics.errors.Inc()
			}
			if sleep(patience, min(pause, wait)) {
				continue
			}
		}
		if err == nil {
			return found, nil
		}
		if ctx.Err() != nil {
			return known{}, ctx.Err()
		}
		if patience.Err() == nil {
			c.wait(w, err)
		}
		if !sleep(patience, pause) {
			if ctx.Err() != nil {
				return known{}, ctx.Err()
			}
			return known{}, fmt.Errorf("given up after %s: %w", c.config.Patience, cmp.Or(w.err, err))
		}
	}
}

// ask asks the registry once for everyone who wants to know. The question does not
// end with the one that came first.
func (c *Codec) ask(ctx context.Context, k key) (known, error) {
	answer := c.asking.DoChan(strconv.Itoa(int(k.event))+"/"+strconv.FormatUint(uint64(k.id), 10), func() (any, error) {
		return c.fetch(context.WithoutCancel(ctx), k)
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
	if found, ok := c.cache.get(k); ok {
		return found, nil // somebody else has asked by now
	}
	text, there, err := c.question(ctx, k.id)
	if err == nil && !there && c.doubts() && sleep(ctx, doubtPause) {
		text, there, err = c.question(ctx, k.id)
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
