// Package judging folds panes into windows and blocks, and says what they show: a
// status, and alerts that fire and resolve. It knows no clock and no Kafka:
// drift/evaluate is the loop around it.
package judging

import (
	"cmp"
	"iter"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// Defaults of Settings.
const (
	defaultQuiet     = 5 * time.Minute
	defaultBlockTime = 5 * time.Second
	defaultMinFiring = time.Minute
	defaultFairness  = FourFifths
)

// Settings are how decisions are judged.
type Settings struct {
	Windows   []Window
	Quiet     time.Duration // without a decision, after which that is an alert
	BlockTime time.Duration // that a block of decisions takes at least
	MinFiring time.Duration // that a drift alert lasts at least, by when was decided
	Fairness  float64       // ratio of approval rates below which a group is told of
}

// WithDefaults has the default in place of everything that is 0 but Windows.
func (s Settings) WithDefaults() Settings {
	s.Quiet = cmp.Or(s.Quiet, defaultQuiet)
	s.BlockTime = cmp.Or(s.BlockTime, defaultBlockTime)
	s.MinFiring = cmp.Or(s.MinFiring, defaultMinFiring)
	s.Fairness = cmp.Or(s.Fairness, defaultFairness)
	return s
}

// Evaluation is what is known from the panes that were folded, in the order of the
// log: what fires, and what the windows show. The same panes give the same alerts,
// wherever it stopped and another went on from its State. It serves one goroutine at a
// time.
type Evaluation struct {
	settings Settings
	judge    *judge
	views    []*view
	next     int64 // offset behind the last pane that the views have
	end      int64 // where the panes ended when it began
}

// Begin knows nothing yet. Its panes are at the offsets from start on; end is where they
// end now.
func Begin(s Settings, c *drift.Champion, start, end int64, now schemas.Timestamp) *Evaluation {
	e := &Evaluation{settings: s, judge: newJudge(s, c), next: start, end: end}
	e.judge.next, e.judge.seen = start, now
	e.show()
	return e
}

// Resume goes on from a state and the alerts of the status that goes with it: what was
// told is not told again, and panes that the windows need are read again. It returns the
// alerts that another champion takes back.
func Resume(
	s Settings, c *drift.Champion, state *State, alerts []drift.AlertStatus, start, end int64, now schemas.Timestamp,
) (e *Evaluation, told []schemas.Alert) {
	e = &Evaluation{settings: s, next: max(start, min(state.Oldest, state.Next)), end: end}
	e.judge, told = resume(s, c, state, alerts, now)
	e.show()
	return e, told
}

// show begins the windows.
func (e *Evaluation) show() {
	e.views = nil
	for _, w := range e.settings.Windows {
		e.views = append(e.views, newView(w, e.judge.champion))
	}
}

// Next is the offset of the first pane that is not folded yet.
func (e *Evaluation) Next() int64 { return e.next }

// Left is how many offsets are still to be read again that were judged before.
func (e *Evaluation) Left() int64 { return max(0, min(e.end, e.judge.next)-e.next) }

// Champion is what the panes are compared with.
func (e *Evaluation) Champion() *drift.Champion { return e.judge.champion }

// Skip passes over a record that is no pane.
func (e *Evaluation) Skip(offset int64) {
	if offset >= e.next {
		e.next = offset + 1
		e.judge.next = max(e.judge.next, e.next)
	}
}

// Folded is what became of a pane.
type Folded struct {
	Told  []schemas.Alert // that it changes
	New   bool            // it was not judged before
	Known bool            // its decisions are over the champion's reference
}

// Fold takes in a pane that was appended then.
func (e *Evaluation) Fold(p *drift.Pane, offset int64, appended, now schemas.Timestamp) (f Folded) {
	if offset < e.next { // read again
		return f
	}
	e.next = offset + 1
	if p.Decisions > 0 && p.Reference == e.judge.champion.Digest {
		for _, v := range e.views {
			v.add(p, offset, now)
		}
	}
	if offset < e.judge.next {
		return f
	}
	f.New = true
	f.Told, f.Known = e.judge.fold(p, offset, appended, now)
	return f
}

// Change is what serving something else changes.
type Change int

// Changes.
const (
	Nothing     Change = iota
	NewPolicy          // what is decided is compared with what it decides
	NewChampion        // everything begins anew against its reference
)

// Serve takes up what serves now and returns the alerts that this takes back.
func (e *Evaluation) Serve(c *drift.Champion, now schemas.Timestamp) (told []schemas.Alert, change Change) {
	before := e.judge.champion
	switch {
	case before.Digest != c.Digest || before.ModelVersion != c.ModelVersion:
		change = NewChampion
	case before.Policy.Version != c.Policy.Version:
		change = NewPolicy
	default:
		return nil, Nothing
	}
	told = e.judge.serve(c, now)
	if change == NewChampion {
		e.show()
	}
	return told, change
}

// Due says whether Rest has something to say, if there are no further panes.
func (e *Evaluation) Due(now schemas.Timestamp) bool {
	return e.judge.rests(now) || e.judge.silent(now)
}

// Rest ends a full block that nothing has come to for as long as a block takes, and says
// that nothing is decided once that is so for too long. It is asked when every pane there
// is has been folded.
func (e *Evaluation) Rest(now schemas.Timestamp) (told []schemas.Alert, changed bool) {
	told, changed = e.judge.rest(now)
	if a := e.judge.silence(now); a != nil {
		told, changed = append(told, *a), true
	}
	return told, changed
}

// Status is everything that is known at this moment.
func (e *Evaluation) Status(now schemas.Timestamp) *drift.Status { return e.judge.status(e.views, now) }

// State is what another evaluation goes on from, packed.
func (e *Evaluation) State() ([]byte, error) { return e.judge.snapshot(e.oldest()).pack() }

// oldest is the offset that the windows would have to be read again from.
func (e *Evaluation) oldest() int64 {
	at := e.judge.next
	for _, v := range e.views {
		at = v.oldest(at)
	}
	return at
}

// Replay is what these settings tell of panes that were each appended when their bucket
// ended, and the status at the end: how settings are tried on a stream without Kafka.
func Replay(s Settings, c *drift.Champion, panes iter.Seq[*drift.Pane]) (told []schemas.Alert, last *drift.Status) {
	e := Begin(s.WithDefaults(), c, 0, 0, 0)
	var now schemas.Timestamp
	for p := range panes {
		now = max(now, p.End())
		told = append(told, e.Fold(p, e.next, now, now).Told...)
	}
	return told, e.Status(now)
}
