package producer

import (
	"context"
	"sync"
	"time"
)

// outcome is what became of one application, not yet told.
type outcome struct {
	id        string
	due       time.Time
	number    uint64 // of applications until then
	defaulted uint8
	state     outcomeState
}

type outcomeState uint8

const (
	undecided outcomeState = iota
	approved
	closed // told, or never to be
)

// outcomes holds what becomes of applications until it is due, in the order
// they were emitted; it is safe for concurrent use. For approved applications
// only, one whose decision is not known when it is due waits for it.
//
// At most `limit` are held: past it the oldest are given up and counted.
type outcomes struct {
	after        time.Duration
	within       uint64  // more applications, after which one is due early; 0: never
	rate         float64 // of applications a second taken note of; 0: of all
	approvedOnly bool
	limit        int

	mu      sync.Mutex // guards what follows
	queue   []outcome  // queue[i] has the serial first+i
	first   uint64
	due     uint64            // serial of the first that is not due yet
	open    int               // in queue and not closed
	serial  map[string]uint64 // of the undecided, by id; approvedOnly
	ready   []outcome         // to be told now
	ended   bool              // nothing more is added
	made    uint64            // applications, taken note of or not
	paced   time.Time         // up to when the rate is used up
	dropped int64             // given up: too many held, or never decided
	wake    chan struct{}     // holds a token when there is news
}

func newOutcomes(after time.Duration, approvedOnly bool, limit int) *outcomes {
	return &outcomes{after: after, approvedOnly: approvedOnly, limit: limit, serial: map[string]uint64{}, wake: make(chan struct{}, 1)}
}

// add takes note of an application emitted at a time.
func (o *outcomes) add(id string, defaulted uint8, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.made++
	if !o.takes(at) {
		if o.overtaken() {
			o.news()
		}
		return
	}
	if len(o.queue) >= o.limit {
		o.giveUp()
	}
	if o.approvedOnly {
		o.serial[id] = o.first + uint64(len(o.queue))
	}
	o.queue = append(o.queue, outcome{id: id, due: at.Add(o.after), number: o.made, defaulted: defaulted})
	o.open++
	if o.first+uint64(len(o.queue))-1 == o.due || o.overtaken() { // the next to fall due is it, or due by now
		o.news()
	}
}

// overtaken says whether so many applications came after the next to fall due that
// it is.
func (o *outcomes) overtaken() bool {
	next := int(o.due - o.first)
	return o.within > 0 && next < len(o.queue) && o.made-o.queue[next].number >= o.within
}

// burst is how much of a rate may come at once.
const burst = time.Second

// takes says whether the rate allows for one more.
func (o *outcomes) takes(at time.Time) bool {
	if o.rate == 0 {
		return true
	}
	if o.paced.Before(at) {
		o.paced = at
	}
	if o.paced.Sub(at) > burst {
		return false
	}
	o.paced = o.paced.Add(time.Duration(float64(time.Second) / o.rate))
	return true
}

// giveUp closes the oldest.
func (o *outcomes) giveUp() {
	e := &o.queue[0]
	if e.state != closed {
		o.close(e)
		o.dropped++
	}
	o.trim()
}

func (o *outcomes) close(e *outcome) {
	delete(o.serial, e.id)
	e.state = closed
	o.open--
}

// trim drops what is closed from the front.
func (o *outcomes) trim() {
	n := 0
	for n < len(o.queue) && o.queue[n].state == closed {
		o.queue[n].id = ""
		n++
	}
	o.queue = o.queue[n:] // append moves the rest to a fitting array in time
	o.first += uint64(n)
	o.due = max(o.due, o.first)
}

// decided takes note of a decision.
func (o *outcomes) decided(id string, approve bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	serial, ok := o.serial[id]
	if !ok {
		return
	}
	delete(o.serial, id)
	e := &o.queue[serial-o.first]
	switch {
	case !approve:
		o.close(e)
	case serial < o.due:
		o.ready = append(o.ready, *e)
		o.close(e)
	default:
		e.state = approved
	}
	o.news()
}

// end says that nothing more is added.
func (o *outcomes) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.news()
}

func (o *outcomes) news() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take moves what is to be told at now to dst. wait is how long until more may
// be (negative: until there is news); done that there will never be more.
func (o *outcomes) take(dst []outcome, now time.Time) (told []outcome, wait time.Duration, done bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for int(o.due-o.first) < len(o.queue) {
		e := &o.queue[o.due-o.first]
		if e.due.After(now) && !o.overtaken() {
			break
		}
		if e.state == approved || e.state == undecided && !o.approvedOnly {
			o.ready = append(o.ready, *e)
			o.close(e)
		}
		o.due++
	}
	o.trim()
	dst = append(dst, o.ready...)
	o.ready = o.ready[:0]
	wait = -1
	if i := int(o.due - o.first); i < len(o.queue) {
		wait = o.queue[i].due.Sub(now)
	}
	return dst, wait, o.ended && o.open == 0
}

// abandon gives up what is still held.
func (o *outcomes) abandon() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropped += int64(o.open)
	o.open, o.queue = 0, nil
	clear(o.serial)
}

func (o *outcomes) counts() (held int, dropped int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open, o.dropped
}

// run tells each outcome when it is due, until the context ends or, once
// nothing more is added, all are told. When every one is due and no decision
// has come for `patience`, the rest is given up; it returns how many then.
func (o *outcomes) run(ctx context.Context, patience time.Duration, tell func([]outcome)) (undecided int) {
	defer o.abandon()
	var batch []outcome
	for {
		var (
			wait time.Duration
			done bool
		)
		batch, wait, done = o.take(batch[:0], time.Now())
		if len(batch) > 0 {
			tell(batch)
		}
		if done {
			return 0
		}
		waitsForDecisions := wait < 0 && o.isEnded()
		if waitsForDecisions {
			wait = patience
		} else if wait >= 0 {
			wait = max(wait, paceTick)
		}
		began := time.Now()
		if sleep(ctx, wait, o.wake) != nil {
			return 0
		}
		if waitsForDecisions && time.Since(began) >= patience {
			held, _ := o.counts()
			return held
		}
	}
}

func (o *outcomes) isEnded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended
}
