package wire

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

const (
	// How many schemas are remembered. A topic has a handful; ids that nobody knows
	// could be any number.
	maxCached = 1024
	// How long an id stays unknown before it is asked for again.
	unknownTime = time.Minute
)

// key is an id as the schema of one kind of event.
type key struct {
	event schemas.Event
	id    uint32
}

// known is what is known of a schema.
type known struct {
	reader *schemas.AvroReader
	err    error     // why there is no reader
	until  time.Time // when that is forgotten; zero: what an id stands for never changes
}

// cache is read for every record and written for every schema: readers take no
// lock.
type cache struct {
	mu  sync.Mutex // of writers
	all atomic.Pointer[map[key]known]
}

func (c *cache) get(k key) (known, bool) {
	all := c.all.Load()
	if all == nil {
		return known{}, false
	}
	found, ok := (*all)[k]
	if ok && !found.until.IsZero() && time.Now().After(found.until) {
		return known{}, false
	}
	return found, ok
}

// put remembers, and returns how many there are. Where there is no room, unknown
// ids are forgotten first, then whatever comes first.
func (c *cache) put(k key, found known) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[key]known{}
	if all := c.all.Load(); all != nil {
		next = maps.Clone(*all)
	}
	if len(next) >= maxCached {
		maps.DeleteFunc(next, func(_ key, old known) bool { return !old.until.IsZero() })
	}
	for old := range next {
		if len(next) < maxCached {
			break
		}
		delete(next, old)
	}
	next[k] = found
	c.all.Store(&next)
	return len(next)
}
