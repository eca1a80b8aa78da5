package api

import (
	linked "container/list"
	"net/http"
	"sync"
	"time"
)

const (
	// slowBody is how long a body may take before it has to make room for another.
	slowBody = time.Second
	// openBytes is what the bodies of open requests may have together, half of it
	// those of one caller.
	openBytes = 256 << 20
	// minBytes is what a request takes at least, whatever its body has.
	minBytes = 16 << 10
)

// callers are the requests that are open: being received, or worked on. Each caller
// may have so many. Where one more would be too many, the body that has been coming
// in for longest gives way, of the same caller or, where memory is short, of any: so
// whoever sends slowly keeps out neither others nor itself.
type callers struct {
	max   int   // requests of one caller
	bytes int64 // of the bodies of all

	mu        sync.Mutex // guards what follows
	accounts  map[string]*account
	receiving linked.List // of *visit whose body is coming in, oldest first
	used      int64
}

// account is what one caller has open.
type account struct {
	open      int
	used      int64
	receiving linked.List // of *visit, oldest first
}

// visit is one open request.
type visit struct {
	account string
	began   time.Time
	bytes   int64  // its body's; 0: it has none
	cut     func() // ends its body

	all, own *linked.Element // nil once its body is there
	left     bool
}

func newCallers(most int, bytes int64) *callers {
	return &callers{max: most, bytes: bytes, accounts: map[string]*account{}}
}

// enter opens a request, or says why there is no room. leave must follow.
func (c *callers) enter(v *visit) *problem {
	if v.bytes > 0 {
		v.bytes = max(v.bytes, minBytes)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.accounts[v.account]
	if a == nil {
		a = &account{}
	}
	for a.open >= c.max || a.used+v.bytes > max(c.bytes/2, v.bytes) {
		if !c.cutOldest(&a.receiving, v.began) {
			return newProblem(http.StatusTooManyRequests, "too-many-open", "Too many requests of yours are open at once", "").after(1)
		}
	}
	for c.used+v.bytes > c.bytes {
		if !c.cutOldest(&c.receiving, v.began) {
			return newProblem(http.StatusServiceUnavailable, "busy", "Too much is being received", "").after(1)
		}
	}
	c.accounts[v.account] = a
	a.open++
	a.used += v.bytes
	c.used += v.bytes
	if v.cut != nil {
		v.all, v.own = c.receiving.PushBack(v), a.receiving.PushBack(v)
	}
	return nil
}

// cutOldest ends the oldest body of a list if it is slow.
func (c *callers) cutOldest(receiving *linked.List, now time.Time) bool {
	oldest := receiving.Front()
	if oldest == nil {
		return false
	}
	v := oldest.Value.(*visit)
	if now.Sub(v.began) < slowBody {
		return false
	}
	c.close(v)
	v.cut()
	return true
}

// cutAll ends every body that is coming in.
func (c *callers) cutAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.receiving.Len() > 0 {
		v := c.receiving.Front().Value.(*visit)
		c.close(v)
		v.cut()
	}
}

// received says that a request's body is there, or will not be.
func (c *callers) received(v *visit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled(v)
}

// leave ends a request.
func (c *callers) leave(v *visit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(v)
}

// settled takes a request out of those that are being received. The lock is held.
func (c *callers) settled(v *visit) {
	if v.all == nil {
		return
	}
	c.receiving.Remove(v.all)
	c.accounts[v.account].receiving.Remove(v.own)
	v.all, v.own = nil, nil
}

// close ends a request, once. The lock is held.
func (c *callers) close(v *visit) {
	if v.left {
		return
	}
	v.left = true
	c.settled(v)
	a := c.accounts[v.account]
	a.open--
	a.used -= v.bytes
	c.used -= v.bytes
	if a.open == 0 {
		delete(c.accounts, v.account)
	}
}
