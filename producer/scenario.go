package producer

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// Scenarios: what happens to the population, or to the feed, as the stream goes on.
const (
	// Steady changes nothing.
	Steady = "steady"
	// Recession moves everybody: payment delays up, payments down, bills up a
	// little, and the same applicant defaults more often.
	Recession = "recession"
	// NewSegment lets a growing share, up to six in ten, of the applicants be
	// young, with low limits and hardly any history.
	NewSegment = "new-segment"
	// BrokenFeed leaves the applicants alone and breaks what is handed in: one
	// feature after another is null, constant, out of range, a hundred times too
	// large, with malformed records mixed in; then the feed is clean for as long,
	// and it begins anew.
	BrokenFeed = "broken-feed"
)

// Scenarios lists the scenarios there are.
func Scenarios() []string { return []string{Steady, Recession, NewSegment, BrokenFeed} }

func checkScenario(name string) error {
	if slices.Contains(Scenarios(), name) {
		return nil
	}
	return fmt.Errorf("scenario %q: must be one of %s", name, strings.Join(Scenarios(), ", "))
}

// How far a scenario goes at full strength: shifts of the latent normal
// variables in standard deviations, and of the log-odds of default.
const (
	recessionDelays   = 0.9
	recessionPayments = -0.6
	recessionBills    = 0.25
	recessionLogOdds  = 0.7
	newcomerShare     = 0.6
)

// weather is a scenario's state at one application.
type weather struct {
	delays, payments, bills float64 // shifts of latent variables
	logOdds                 float64 // added to the default rule
	newcomers               float64 // share of the new segment
	fault                   fault   // of the feed
}

func (w *weather) shift(feature int) float64 {
	switch {
	case feature >= payAmt:
		return w.payments
	case feature >= billAmt:
		return w.bills
	case feature >= payStatus:
		return w.delays
	}
	return 0
}

// script is a scenario with its time course, counted in applications: nothing
// before `from`, then growing linearly over `ramp` to full strength. The broken
// feed has no ramp: each of its faults lasts `ramp` applications.
type script struct {
	name string
	from uint64
	ramp uint64
}

// at is the weather at application number n.
func (s *script) at(n uint64) weather {
	if n < s.from || s.name == Steady {
		return weather{}
	}
	t := 1.0
	if passed := n - s.from; passed < s.ramp {
		t = float64(passed+1) / float64(s.ramp)
	}
	switch s.name {
	case Recession:
		return weather{delays: recessionDelays * t, payments: recessionPayments * t, bills: recessionBills * t, logOdds: recessionLogOdds * t}
	case NewSegment:
		return weather{newcomers: newcomerShare * t}
	case BrokenFeed:
		return weather{fault: faultAt(n-s.from, s.ramp)}
	}
	return weather{}
}

// director hands the emitting goroutine the script in force, and lets others
// change it while the stream runs.
type director struct {
	asked  atomic.Pointer[string] // scenario to begin with the next application; nil: none new
	name   atomic.Pointer[string] // in force, for display
	script script                 // the emitting goroutine's own
}

func newDirector(name string, from, ramp uint64) *director {
	d := &director{script: script{name, from, ramp}}
	d.name.Store(&name)
	return d
}

func (d *director) set(name string) {
	d.name.Store(&name)
	d.asked.Store(&name)
}

// at is the weather at application number n; only the emitting goroutine calls it.
func (d *director) at(n uint64) weather {
	if d.asked.Load() != nil {
		if name := d.asked.Swap(nil); name != nil {
			d.script.name, d.script.from = *name, n
		}
	}
	return d.script.at(n)
}
