package wire

import (
	"fmt"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// waiter is one who waits for a schema that the registry does not say anything about.
type waiter struct {
	id  uint32
	at  schemas.Source // of the first value that names it; zero: not known
	err error          // why; nil: does not wait yet
}

func (w *waiter) reason() error {
	if w.at.Topic == "" {
		return fmt.Errorf("waiting for Avro schema id %d: %w", w.id, w.err)
	}
	return fmt.Errorf("%s waits for Avro schema id %d: %w", w.at, w.id, w.err)
}

// wait notes that somebody waits, and why now.
func (c *Codec) wait(w *waiter, err error) {
	c.metrics.errors.Inc()
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.err == nil {
		if len(c.waiting) == 0 {
			c.since = time.Now()
			c.config.Log.Warn("the schema registry does not say what a schema is; retrying until it does",
				"topic", w.at.Topic, "partition", w.at.Partition, "offset", w.at.Offset, "schema_id", w.id, "error", err)
		}
		c.waiting = append(c.waiting, w)
	}
	w.err = err
}

// settled notes that somebody waits no longer; answered says that this is the
// registry's doing.
func (c *Codec) settled(w *waiter, answered bool) {
	if w.err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, other := range c.waiting {
		if other == w {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			break
		}
	}
	if answered && len(c.waiting) == 0 {
		c.config.Log.Info("nothing waits for the schema registry any more", "after", time.Since(c.since).Round(time.Millisecond))
	}
}

// awaited is why reading waits, for who has done so for longest; nil where nobody
// does. Under mu.
func (c *Codec) awaited() error {
	switch n := len(c.waiting); n {
	case 0:
		return nil
	case 1:
		return c.waiting[0].reason()
	default:
		return fmt.Errorf("%w (%d more schemas are waited for)", c.waiting[0].reason(), n-1)
	}
}
