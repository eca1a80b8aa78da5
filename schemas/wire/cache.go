package wire

import (
	"maps"
	"slices"
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

// last is what was known of a schema, though it may be forgotten by now.
func (c *cache) last(k key) (known, bool) {
	all := c.all.Load()
	if all == nil {
		return known{}, false
	}
	found, ok := (*all)[k]
	return found, ok
}

// readable is a schema that can be read and that suits.
func (c *cache) readable(suits func(key) bool) (k key, ok bool) {
	if all := c.all.Load(); all != nil {
		for k, found := range *all {
			if found.reader != nil && suits(k) {
				return k, true
			}
		}
	}
	return key{}, false
}

// put remembers, and returns how many there are. Where there is no room, the older
// half of unknown ids is forgotten first, then whatever comes first.
func (c *cache) put(k key, found known) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[key]known{}
	if all := c.all.Load(); all != nil {
		next = maps.Clone(*all)
	}
	if len(next) >= maxCached {
		forgetOlder(next)
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

// forgetOlder forgets the older half of what is known for a time only: the younger
// may not have been used yet.
func forgetOlder(all map[key]known) {
	var untils []time.Time
	for _, old := range all {
		if !old.until.IsZero() {
			untils = append(untils, old.until)
		}
	}
	if len(untils) == 0 {
		return
	}
	slices.SortFunc(untils, time.Time.Compare)
	middle := untils[len(untils)/2]
	older := 1 + len(untils)/2
	maps.DeleteFunc(all, func(_ key, old known) bool {
		if older == 0 || old.until.IsZero() || old.until.After(middle) {
			return false
		}
		older--
		return true
	})
}
