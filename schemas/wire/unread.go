package wire

import (
	"errors"
	"log/slog"
	"sync"
	"time"
)

// tellInterval is how often it is said that values are left out for want of a
// registry.
const tellInterval = time.Minute

// Unread tells now and then of values in Avro that a component without a registry
// leaves out: one of a foreign program, or all since teams have changed over to it.
// The zero value is ready.
type Unread struct {
	mu   sync.Mutex // guards what follows
	n    int        // not told of yet
	told time.Time
}

// Note counts a value that could not be decoded for err, and says whether it was one
// that a registry might have told how to read. then is what to do once there is one.
func (u *Unread) Note(log *slog.Logger, now time.Time, topic, then string, err error) bool {
	if !errors.Is(err, ErrNoRegistry) {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n++
	if u.told.IsZero() || now.Sub(u.told) >= tellInterval {
		log.Warn("values in Avro are left out; to read them, set --schema-registry", "topic", topic, "values", u.n, "then", then)
		u.n, u.told = 0, now
	}
	return true
}
