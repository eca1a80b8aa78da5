package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/report"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Drift knows what the evaluator of drift said last, in whichever process it runs.
type Drift interface {
	// Newest is the newest status and its JSON, both nil while there is none; the
	// error says why that cannot be known.
	Newest() (status *drift.Status, document []byte, err error)
}

func (s *Server) newestDrift() (*drift.Status, []byte, *problem) {
	status, document, err := s.config.Drift.Newest()
	if err != nil {
		s.config.Log.Debug("no drift status to show", "error", err)
		return nil, nil, newProblem(http.StatusServiceUnavailable, "drift", "The drift status cannot be read now", "").after(5)
	}
	return status, document, nil
}

func noDrift() *problem {
	return newProblem(http.StatusNotFound, "no-drift", "There is no drift status yet",
		"The first comes a moment after `creditstream drift` has counted decisions.").after(5)
}

// driftStatus is GET /drift.
func (s *Server) driftStatus(w http.ResponseWriter, _ *http.Request, _ string) *problem {
	status, document, p := s.newestDrift()
	switch {
	case p != nil:
		return p
	case status == nil:
		return noDrift()
	}
	writeJSON(w, drift.WithStale(document, status.Stale(s.config.Now())))
	return nil
}

// driftReport is GET /drift/report: the same as a page.
func (s *Server) driftReport(w http.ResponseWriter, _ *http.Request, _ string) *problem {
	status, _, p := s.newestDrift()
	switch {
	case p != nil:
		return p
	case status == nil:
		return noDrift()
	}
	var page bytes.Buffer
	if err := s.report.Write(&page, status, s.edges(status.Reference.ModelVersion), s.config.Now()); err != nil {
		s.config.Log.Error("writing the drift report failed", "error", err)
		return internalProblem()
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", report.Policy)
	h["Cache-Control"] = noStore
	_, _ = w.Write(page.Bytes())
	return nil
}

// edges are those of the reference that a status compares with, as far as a model
// that serves here has it; nil otherwise.
func (s *Server) edges(modelVersion string) report.Edges {
	set := s.config.Live()
	if set == nil {
		return nil
	}
	for _, m := range []*model.Model{set.Champion, set.Canary, set.Shadow} {
		if m != nil && m.Version == modelVersion {
			return report.EdgesOf(m.Reference)
		}
	}
	return nil
}

// driftSummary is what a page that is open asks for again and again.
type driftSummary struct {
	EvaluatedAt *schemas.Timestamp `json:"evaluated_at"` // null: nothing has been evaluated yet
	AgeSeconds  int64              `json:"age_seconds"`  // of the evaluation
	Stale       bool               `json:"stale"`        // it is so old that no evaluator works
	State       string             `json:"state"`        // none while nothing has, unknown while that cannot be read
	Alerts      []shownAlert       `json:"alerts"`       // firing, and those resolved lately
	Watched     []string           `json:"watched"`      // names of alerts that do not fire and are worth a look
	Outcomes    []loansDefault     `json:"outcomes"`     // by model version
}

// shownAlert is an alert as it was told, and what the newest look says of one that
// fires.
type shownAlert struct {
	schemas.Alert
	Now *drift.AlertFigures `json:"now,omitempty"` // absent: it does not fire, or no look came since
}

// loansDefault is how often the loans that a version granted were not paid back.
type loansDefault struct {
	ModelVersion string  `json:"model_version"`
	Loans        int64   `json:"loans"`    // the last whose outcome is known
	Observed     float64 `json:"observed"` // share of them
	Lower        float64 `json:"lower"`    // 95 % interval of Observed
	Upper        float64 `json:"upper"`
	Expected     float64 `json:"expected"` // by their scores
}

// driftAlerts is GET /drift/alerts. That there is nothing yet, or that it cannot be
// read now, is an answer here and no problem: whoever asks again and again would
// only make noise.
func (s *Server) driftAlerts(w http.ResponseWriter, _ *http.Request, _ string) *problem {
	summary := driftSummary{State: "none", Alerts: []shownAlert{}, Watched: []string{}, Outcomes: []loansDefault{}}
	status, _, p := s.newestDrift()
	if p != nil {
		summary.State = "unknown"
	}
	if status != nil {
		summary.EvaluatedAt, summary.State = &status.EvaluatedAt, status.State
		now := s.config.Now()
		summary.AgeSeconds, summary.Stale = int64(status.Age(now)/time.Second), status.Stale(now)
		for i := range status.Alerts {
			summary.Alerts = append(summary.Alerts, shownAlert{wireAlert(status.Alerts[i].Alert), status.Alerts[i].Now})
		}
		summary.Watched = watched(status)
		for i := range status.Outcomes.Versions {
			if v := &status.Outcomes.Versions[i]; v.Loans > 0 {
				summary.Outcomes = append(summary.Outcomes, loansDefault{v.ModelVersion, v.Loans, v.Observed, v.Lower, v.Upper, v.Expected})
			}
		}
	}
	document, err := json.Marshal(summary)
	if err != nil {
		s.config.Log.Error("summing drift up failed", "error", err)
		return internalProblem()
	}
	writeJSON(w, document)
	return nil
}

// watched are the names that alerts would have on what is not quiet in some window
// and does not fire.
func watched(s *drift.Status) []string {
	found := []string{}
	note := func(state, name string) {
		firing := func(a drift.AlertStatus) bool { return a.Alert.Alert == name && a.State == schemas.AlertFiring }
		if state != drift.Quiet && !slices.Contains(found, name) && !slices.ContainsFunc(s.Alerts, firing) {
			found = append(found, name)
		}
	}
	for i := range s.Windows {
		w := &s.Windows[i]
		for k := range w.Features {
			note(w.Features[k].State, "drift/"+w.Features[k].Feature)
		}
		note(w.Score.State, "drift/score")
		note(w.Rates.State, "drift/decisions")
		for _, g := range w.Groups {
			note(g.State, "fairness/"+g.Attribute+"/"+g.Group)
		}
	}
	for i := range s.Outcomes.Versions {
		note(s.Outcomes.Versions[i].State, "performance/"+s.Outcomes.Versions[i].ModelVersion)
	}
	slices.Sort(found)
	return found
}

// wireAlert is an alert as the contract has it: empty lists and no null.
func wireAlert(a schemas.Alert) schemas.Alert {
	if a.Contributors == nil {
		a.Contributors = []schemas.Contributor{}
	}
	if a.ModelVersions == nil {
		a.ModelVersions = []string{}
	}
	return a
}
