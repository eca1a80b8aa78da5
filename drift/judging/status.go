package judging

import (
	"maps"
	"slices"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// status is everything that is known at this moment.
func (j *judge) status(views []*view, now schemas.Timestamp) *drift.Status {
	s := &drift.Status{
		EvaluatedAt: now, State: drift.Quiet,
		Reference:    j.champion.Info(),
		LastDecision: j.newest, Decisions: j.decisions, Windows: []drift.WindowStatus{},
		Outcomes: drift.OutcomeStatus{
			Read: j.read, Matched: j.matched, Unmatched: j.unmatched, Duplicate: j.repeated, Late: j.late, Declined: j.declined,
			TooOld: j.apart.TooOld, Before: j.apart.Before, KeyDiffers: j.apart.KeyDiffers, Versions: []drift.PerformanceStatus{},
		},
	}
	versions := map[string]bool{}
	for _, v := range views {
		t := v.sum(now)
		w := Compare(v.Name, t, j.champion, j.settings.Fairness)
		j.decide(&w)
		s.Windows = append(s.Windows, w)
		s.State = worse(s.State, w.State)
		for version := range t.Versions {
			versions[version] = true
		}
	}
	s.ModelVersions = slices.AppendSeq([]string{}, maps.Keys(versions))
	slices.Sort(s.ModelVersions)
	for _, version := range slices.Sorted(maps.Keys(j.performance)) {
		p := j.performance[version].status(version, j.alerts.firing(performanceAlert(version)))
		s.Outcomes.Versions = append(s.Outcomes.Versions, p)
		s.State = worse(s.State, p.State)
	}
	s.Alerts = j.alerts.list(now)
	for _, a := range s.Alerts {
		if a.State == schemas.AlertFiring {
			s.State = drift.Act
		}
	}
	return s
}

// decide puts what the tests say in place of what one look at the window says: it
// is the same in every window, whose own figures are beside it.
func (j *judge) decide(w *drift.WindowStatus) {
	w.State = drift.Quiet
	state := func(t *stream) (state string) {
		switch {
		case j.alerts.firing(driftAlert(t.name)):
			state = drift.Act
		case t.reading.Worth():
			state = drift.Watch
		default:
			state = drift.Quiet
		}
		w.State = worse(w.State, state)
		return state
	}
	decide := func(t *stream, f *drift.FeatureStatus) {
		r := &t.reading
		f.State, f.Evidence, f.Threshold, f.EvidencePSI, f.EvidenceOf = state(t), r.Evidence, r.Required, r.PSI, r.Decisions
	}
	n := len(w.Features)
	for i := range w.Features {
		decide(j.tests[i], &w.Features[i])
	}
	decide(j.tests[n], &w.Score)
	decisions := &j.tests[n+1].reading
	w.Rates.State, w.Rates.Evidence, w.Rates.Threshold = state(j.tests[n+1]), decisions.Evidence, decisions.Required
	w.Rates.EvidencePSI, w.Rates.EvidenceOf = decisions.PSI, decisions.Decisions
	for i, g := range w.Groups {
		switch {
		case j.alerts.firing(fairnessAlert(groupName(g.Attribute, g.Group))):
			w.Groups[i].State = drift.Act
		case g.State == drift.Act:
			w.Groups[i].State = drift.Watch // in this window, not in the blocks that are judged
		}
		w.State = worse(w.State, w.Groups[i].State)
	}
}
