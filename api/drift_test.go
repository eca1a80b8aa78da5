package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/report"
	"github.com/creditstream/creditstream/schemas"
)

// fakeDrift is a Drift of the test's choosing.
type fakeDrift struct {
	status *drift.Status
	err    error
}

func (f *fakeDrift) Newest() (*drift.Status, []byte, error) {
	if f.status == nil || f.err != nil {
		return nil, nil, f.err
	}
	document, err := json.Marshal(f.status)
	return f.status, document, err
}

// someDrift is a status against the shipped model's reference, with an alert that
// fires and one that is over.
func someDrift(t *testing.T) *drift.Status {
	set, err := shippedSet()
	require.NoError(t, err)
	reference := set.Champion.Reference
	s := &drift.Status{
		EvaluatedAt: 1_764_100_000_000_000, State: drift.Act, Decisions: 5000, ModelVersions: []string{set.Champion.Version},
		Reference: drift.ReferenceInfo{Digest: "sha256:ab", ModelVersion: set.Champion.Version, Rows: reference.Rows},
		Alerts: []drift.AlertStatus{
			{Alert: schemas.Alert{Alert: "drift/limit_bal", State: schemas.AlertFiring, Statistic: "evidence", Value: 4, Threshold: 3, Contributors: []schemas.Contributor{{Feature: "limit_bal", PSI: 0.3}}}},
			{Alert: schemas.Alert{Alert: "no-decisions", State: schemas.AlertResolved, Statistic: "silence"}, Calm: 3},
		},
		Outcomes: drift.OutcomeStatus{Versions: []drift.PerformanceStatus{{ModelVersion: set.Champion.Version, State: drift.Quiet, Loans: 500, Defaulted: 60, Observed: 0.12, Lower: 0.0938, Upper: 0.1507, Expected: 0.11, Bands: []drift.BandStatus{{}}}}},
	}
	w := drift.WindowStatus{Name: "1000", Decisions: 1000, State: drift.Act, Rates: drift.RateStatus{State: drift.Quiet}, Groups: []drift.GroupStatus{{Attribute: "sex", Group: "2", State: drift.Watch}}}
	for _, f := range reference.Features {
		w.Features = append(w.Features, drift.FeatureStatus{Feature: f.Name, State: drift.Quiet, Reference: f.Counts, Current: f.Counts})
	}
	w.Score = drift.FeatureStatus{Feature: "score", State: drift.Quiet, Reference: reference.Scores.Counts, Current: reference.Scores.Counts}
	s.Windows = []drift.WindowStatus{w}
	return s
}

func TestTheDriftStatusIsHandedOnAsItIs(t *testing.T) {
	t.Parallel()
	status := someDrift(t)
	w := newWorld(t, func(c *Config) { c.Drift = &fakeDrift{status: status} })
	status.EvaluatedAt = schemas.At(w.now)
	want, err := json.Marshal(status)
	require.NoError(t, err)
	require.Equal(t, `{"stale":false,`+string(want[1:]), w.get("/drift").Body.String())

	var alerts struct {
		State  string          `json:"state"`
		Alerts []schemas.Alert `json:"alerts"`
	}
	text := w.get("/drift/alerts").Body.String()
	require.NoError(t, json.Unmarshal([]byte(text), &alerts))
	require.Equal(t, drift.Act, alerts.State)
	require.Equal(t, "drift/limit_bal", alerts.Alerts[0].Alert)
	require.Equal(t, schemas.AlertResolved, alerts.Alerts[1].State)
	require.NotContains(t, text, "calm", "the evaluator's memory is its own")
	require.NotContains(t, text, "null")
	require.Contains(t, text, `"watched":["fairness/sex/2"]`)
	require.Contains(t, text, `"outcomes":[{"model_version":"`+status.Reference.ModelVersion+`","loans":500,"observed":0.12,"lower":0.0938,"upper":0.1507,"expected":0.11}]`)

	status.Windows[0].Features[0].State, status.Windows[0].Features[5].State, status.Outcomes.Versions[0].State = drift.Act, drift.Watch, drift.Watch
	text = w.get("/drift/alerts").Body.String()
	require.Contains(t, text, `"watched":["drift/pay_0","fairness/sex/2","performance/`, "what fires is among the alerts")
}

// An evaluator that stopped says nothing, and what it said last must not look like
// the present.
func TestAStatusThatIsOldIsMarked(t *testing.T) {
	t.Parallel()
	status := someDrift(t)
	w := newWorld(t, func(c *Config) { c.Drift = &fakeDrift{status: status} })
	status.EvaluatedAt = schemas.At(w.now)
	ask := func(old bool, age string) {
		t.Helper()
		text := w.get("/drift/alerts").Body.String()
		require.Contains(t, text, `"age_seconds":`+age+`,"stale":`+strconv.FormatBool(old)+`,"state":"act"`)
		require.Contains(t, w.get("/drift").Body.String(), `{"stale":`+strconv.FormatBool(old)+`,"evaluated_at"`)
		page := w.get("/drift/report").Body.String()
		require.Equal(t, old, strings.Contains(page, "Nothing was evaluated for 31 seconds"))
		require.Equal(t, old, strings.Contains(page, "○ old"))
	}
	ask(false, "0")
	w.now = w.now.Add(drift.StaleAfter)
	ask(false, "30")
	w.now = w.now.Add(time.Second)
	ask(true, "31")
}

func TestTheDriftReportIsAPageOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Drift = &fakeDrift{status: someDrift(t)} })
	rec := w.get("/drift/report")
	require.Equal(t, http.StatusOK, rec.Code)
	require.Equal(t, report.Policy, rec.Header().Get("Content-Security-Policy"))
	require.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
	body := rec.Body.String()
	require.Contains(t, body, "drift/limit_bal")
	require.Contains(t, body, "20,000 … 29,999:", "bins are named, since the reference's model serves here")
	require.Less(t, len(body), 300_000)

	// The page's own policy lets the report keep its style when it is opened from
	// memory.
	page := w.get("/")
	hash, err := w.server.report.StyleHash()
	require.NoError(t, err)
	require.Contains(t, page.Header().Get("Content-Security-Policy"), "style-src 'self' "+hash+";")

	other := someDrift(t)
	other.Reference.ModelVersion = "another"
	w = newWorld(t, func(c *Config) { c.Drift = &fakeDrift{status: other} })
	require.Contains(t, w.get("/drift/report").Body.String(), "bin 2:")
}

func TestNoDriftStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Drift = &fakeDrift{} })
	for _, path := range []string{"/drift", "/drift/report"} {
		p := w.problem(w.get(path), http.StatusNotFound, "no-drift")
		require.Contains(t, p.Detail, "creditstream drift")
	}
	require.JSONEq(t, `{"evaluated_at": null, "age_seconds": 0, "stale": false, "state": "none", "alerts": [], "watched": [], "outcomes": []}`, w.get("/drift/alerts").Body.String())

	w = newWorld(t, func(c *Config) { c.Drift = &fakeDrift{err: errors.New("broker 10.1.2.3 is away")} })
	for _, path := range []string{"/drift", "/drift/report"} {
		rec := w.get(path)
		w.problem(rec, http.StatusServiceUnavailable, "drift")
		require.NotContains(t, rec.Body.String(), "10.1.2.3")
	}
	require.JSONEq(t, `{"evaluated_at": null, "age_seconds": 0, "stale": false, "state": "unknown", "alerts": [], "watched": [], "outcomes": []}`, w.get("/drift/alerts").Body.String())
}

func TestDriftNeedsAKeyWhereOneIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Keys, c.Drift = openKeys(t, "shop:0123456789abcdef\n"), &fakeDrift{status: someDrift(t)}
	})
	for _, path := range []string{"/drift", "/drift/alerts", "/drift/report"} {
		w.problem(w.get(path), http.StatusUnauthorized, "no-key")
		require.Equal(t, http.StatusOK, w.get(path, "X-API-Key", "0123456789abcdef").Code)
	}
}

// fakeDemo is a Demo that knows two scenarios.
type fakeDemo struct {
	scenario string
	err      error
}

func (*fakeDemo) Scenarios() []string { return []string{"steady", "recession"} }
func (f *fakeDemo) Scenario() string  { return f.scenario }
func (f *fakeDemo) SetScenario(name string) error {
	if f.err == nil {
		f.scenario = name
	}
	return f.err
}

func TestADemosScenarioCanBeChanged(t *testing.T) {
	t.Parallel()
	demo := &fakeDemo{scenario: "steady"}
	w := newWorld(t, func(c *Config) { c.Demo, c.LocalOnly = demo, true })
	ask := func(method, body string, headers ...string) (status int, answer string) {
		rec := w.do(method, "http://127.0.0.1:8000/demo/scenario", body, headers...)
		return rec.Code, rec.Body.String()
	}
	status, answer := ask(http.MethodGet, "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"scenario": "steady", "scenarios": ["steady", "recession"]}`, answer)
	status, answer = ask(http.MethodPost, `{"scenario": "recession"}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"scenario": "recession", "scenarios": ["steady", "recession"]}`, answer)
	require.Equal(t, "recession", demo.scenario)

	refused := func(want int, body string, headers ...string) {
		t.Helper()
		status, _ := ask(http.MethodPost, body, headers...)
		require.Equal(t, want, status)
		require.Equal(t, "recession", demo.scenario)
	}
	refused(http.StatusBadRequest, `recession`)
	refused(http.StatusBadRequest, `{"scenario": "steady", "speed": 2}`)
	refused(http.StatusBadRequest, `{"scenario": "steady"} {}`)
	refused(http.StatusBadRequest, `{"scenario": "steady"}]`)
	refused(http.StatusUnprocessableEntity, `{}`)
	refused(http.StatusUnprocessableEntity, `{"scenario": "nowhere"}`)
	refused(http.StatusUnsupportedMediaType, `{"scenario": "steady"}`, "Content-Type", "text/plain")
	refused(http.StatusRequestEntityTooLarge, strings.Repeat(" ", maxBody+1))
	refused(http.StatusForbidden, `{"scenario": "steady"}`, "Sec-Fetch-Site", "cross-site")
	demo.err = errors.New("no")
	refused(http.StatusInternalServerError, `{"scenario": "steady"}`)

	require.Contains(t, w.do(http.MethodGet, "http://localhost/", "").Body.String(), `<option>recession</option>`)
	require.Contains(t, w.do(http.MethodGet, "http://localhost/openapi.json", "").Body.String(), scenarioRoute)
	// Anywhere else there is no such thing.
	w = newWorld(t)
	w.problem(w.post("/demo/scenario", `{"scenario": "steady"}`), http.StatusNotFound, "no-such-path")
	require.NotContains(t, w.get("/").Body.String(), "<select")
	require.NotContains(t, w.get("/openapi.json").Body.String(), scenarioRoute)
}
