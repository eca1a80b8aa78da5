package judging

import (
	"cmp"
	"slices"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/schemas"
)

const (
	runbook = "docs/runbook.md#drift"
	// noDecisions is the alert that says that nothing is decided.
	noDecisions = "no-decisions"
	// How long, and how many at most, alerts that are over are shown in the status.
	keepResolved = time.Hour
	mostResolved = 20
	// mostContributors is how many features an alert names at most.
	mostContributors = 5
)

func driftAlert(feature string) string       { return "drift/" + feature }
func performanceAlert(version string) string { return "performance/" + version }
func fairnessAlert(group string) string      { return "fairness/" + group }

// alerts are those that were told and are remembered, by name.
type alerts map[string]*drift.AlertStatus

// firing says whether an alert was told and not taken back.
func (a alerts) firing(name string) bool {
	s := a[name]
	return s != nil && s.State == schemas.AlertFiring
}

// look is what a look found of an alert.
type look struct {
	fires, ends   schemas.Alert                    // what is told when it fires, and when it is over: what decided that
	shifted, gone bool                             // whether there is a shift, and whether nothing of one is left
	over          func(firing *schemas.Alert) bool // whether it has lasted long enough to end; nil: it has
}

// look takes what a look found. It returns the alert to tell, nil where nothing
// changed.
func (a alerts) look(l look) *schemas.Alert {
	alarm := sequential.Alarm{}
	before := a[l.fires.Alert]
	if before != nil {
		alarm = sequential.Alarm{Firing: before.State == schemas.AlertFiring, Calm: before.Calm}
	}
	change := alarm.Look(l.shifted, l.gone, before == nil || l.over == nil || l.over(&before.Alert))
	switch change {
	case sequential.Fires:
		return a.set(l.fires, schemas.AlertFiring)
	case sequential.Resolves:
		return a.set(l.ends, schemas.AlertResolved)
	case sequential.Same:
		if before == nil {
			break
		}
		before.Calm = alarm.Calm
		if before.State == schemas.AlertFiring {
			now := &l.fires
			if now.Statistic != before.Statistic {
				now = &l.ends // which is about what fired it
			}
			before.Now = figuresOf(now)
		}
	}
	return nil
}

func figuresOf(a *schemas.Alert) *drift.AlertFigures {
	return &drift.AlertFigures{EvaluatedAt: a.EvaluatedAt, Statistic: a.Statistic, Value: a.Value, Threshold: a.Threshold}
}

// set stores an alert in the state that is published now.
func (a alerts) set(figures schemas.Alert, state string) *schemas.Alert {
	figures.State, figures.Since, figures.Runbook = state, figures.EvaluatedAt, runbook
	a[figures.Alert] = &drift.AlertStatus{Alert: figures}
	return &figures
}

// resolve takes back an alert whose subject is no longer there.
func (a alerts) resolve(name string, now schemas.Timestamp) *schemas.Alert {
	if !a.firing(name) {
		return nil
	}
	figures := a[name].Alert
	figures.EvaluatedAt = now
	return a.set(figures, schemas.AlertResolved)
}

// list is what the status shows: those that fire by name, then those resolved
// lately, the newest first. What is too old is forgotten.
func (a alerts) list(now schemas.Timestamp) []drift.AlertStatus {
	firing, resolved := []drift.AlertStatus{}, []drift.AlertStatus{}
	for _, s := range a {
		if s.State == schemas.AlertFiring {
			firing = append(firing, *s)
		} else {
			resolved = append(resolved, *s)
		}
	}
	byName := func(x, y drift.AlertStatus) int { return cmp.Compare(x.Alert.Alert, y.Alert.Alert) }
	slices.SortFunc(firing, byName)
	slices.SortFunc(resolved, func(x, y drift.AlertStatus) int { return cmp.Or(cmp.Compare(y.Since, x.Since), byName(x, y)) })
	for i := len(resolved) - 1; i >= 0; i-- {
		if i < mostResolved && now-resolved[i].Since < schemas.Timestamp(keepResolved.Microseconds()) {
			break
		}
		delete(a, resolved[i].Alert.Alert)
		resolved = resolved[:i]
	}
	return append(firing, resolved...)
}
