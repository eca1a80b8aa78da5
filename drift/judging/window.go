package judging

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// A window of time is this many slots of whole buckets at most, one of a number
	// of decisions this many chunks: what bounds the memory is neither the stream's
	// rate nor its length.
	timeSlots   = 240
	countChunks = 50
)

// Window is how much of the stream is looked at: a time or a number of decisions.
type Window struct {
	Name      string
	Time      time.Duration // 0: Decisions
	Decisions int64
}

// DefaultWindows are those of --windows.
const DefaultWindows = "1000,10000,1h,24h"

// longestTime is half of what panes are kept for: an evaluator that was away for a
// whole window still finds it complete.
const longestTime = 24 * time.Hour

// ParseWindows reads "1000,10000,1h,24h": numbers of decisions and times. Those of
// decisions come first, each kind shortest first.
func ParseWindows(text string) ([]Window, error) {
	var windows []Window
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		w := Window{Name: name}
		if n, err := strconv.ParseInt(name, 10, 64); err == nil {
			w.Decisions = n
		} else if d, err := time.ParseDuration(name); err == nil {
			w.Time = d
		}
		switch {
		case w.Decisions == 0 && w.Time == 0:
			return nil, fmt.Errorf("window %q: expected a number of decisions, as 10000, or a time, as 1h", name)
		case w.Time == 0 && (w.Decisions < 100 || w.Decisions > 10_000_000):
			return nil, fmt.Errorf("window %q: expected 100 … 10000000 decisions", name)
		case w.Decisions == 0 && (w.Time < 10*time.Second || w.Time > longestTime):
			return nil, fmt.Errorf("window %q: expected 10s … %s", name, longestTime)
		case slices.ContainsFunc(windows, func(o Window) bool { return o.Name == name }):
			return nil, fmt.Errorf("window %q is named twice", name)
		}
		windows = append(windows, w)
	}
	slices.SortStableFunc(windows, func(a, b Window) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Decisions, b.Decisions))
	})
	return windows, nil
}

// span is a part of a window.
type span struct {
	first int64 // offset of its first pane
	start schemas.Timestamp
	tally *Tally
}

// view is a window as it slides. Its spans are in the order of time (a window of
// time) or of the log (a window of decisions).
type view struct {
	Window
	champion *drift.Champion
	spans    []span
}

func newView(w Window, c *drift.Champion) *view { return &view{Window: w, champion: c} }

// slot is how long a span of a window of time is, in microseconds: whole buckets.
func (v *view) slot(width int64) schemas.Timestamp {
	least := max(1, v.Time.Microseconds()/timeSlots)
	bucket := max(1, width*1e6)
	return schemas.Timestamp((least + bucket - 1) / bucket * bucket)
}

// add counts a pane. What the window has left behind goes.
func (v *view) add(p *drift.Pane, offset int64, now schemas.Timestamp) {
	if v.Time > 0 {
		v.forget(now)
		v.addTimed(p, offset, now)
		return
	}
	last := len(v.spans) - 1
	if last < 0 || v.spans[last].tally.Decisions*countChunks >= v.Decisions {
		v.spans = append(v.spans, span{first: offset, tally: NewTally(v.champion.Reference)})
		last++
	}
	v.spans[last].tally.Add(p, v.champion)
	total := int64(0)
	for _, s := range v.spans {
		total += s.tally.Decisions
	}
	for total-v.spans[0].tally.Decisions >= v.Decisions {
		total -= v.spans[0].tally.Decisions
		v.spans = v.spans[1:]
	}
}

func (v *view) addTimed(p *drift.Pane, offset int64, now schemas.Timestamp) {
	slot := v.slot(p.Width)
	// A clock that runs ahead does not make the window longer.
	start := min(p.Bucket, now) / slot * slot
	if start < v.begin(now) {
		return
	}
	at, there := slices.BinarySearchFunc(v.spans, start, func(s span, t schemas.Timestamp) int { return cmp.Compare(s.start, t) })
	if !there {
		v.spans = slices.Insert(v.spans, at, span{first: offset, start: start, tally: NewTally(v.champion.Reference)})
	}
	v.spans[at].tally.Add(p, v.champion)
}

func (v *view) begin(now schemas.Timestamp) schemas.Timestamp {
	return now - schemas.Timestamp(v.Time.Microseconds())
}

// forget drops the slots that a window of time has left behind: those that began
// before it.
func (v *view) forget(now schemas.Timestamp) {
	n := 0
	for n < len(v.spans) && v.spans[n].start < v.begin(now) {
		n++
	}
	v.spans = v.spans[n:]
}

// sum is what the window holds.
func (v *view) sum(now schemas.Timestamp) *Tally {
	if v.Time > 0 {
		v.forget(now)
	}
	t := NewTally(v.champion.Reference)
	for _, s := range v.spans {
		t.Merge(s.tally)
	}
	return t
}

// oldest is the offset of the first pane that the window needs, next where none.
func (v *view) oldest(next int64) int64 {
	for _, s := range v.spans {
		next = min(next, s.first)
	}
	return next
}
