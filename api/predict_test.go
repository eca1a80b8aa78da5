package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

func TestPredictAnswersWhatItRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.answer(w.post("/predict", request(example)))
	records := w.log.all()
	require.Len(t, records, 1)
	p := records[0]
	require.Equal(t, p.ApplicationID, a.ApplicationID)
	require.Equal(t, p.DefaultProbability, a.Probability)
	require.Equal(t, p.DefaultPrediction, a.Prediction)
	require.Equal(t, p.Decision, a.Decision)
	require.Equal(t, p.Points, a.Points)
	require.Equal(t, p.ModelVersion, a.ModelVersion)
	require.Equal(t, p.Route, a.Route)
	require.Equal(t, p.PolicyVersion, a.PolicyVersion)
	require.Equal(t, p.DecidedAt, a.DecidedAt)
	require.Len(t, a.Reasons, len(p.Reasons))
	set, err := shippedSet()
	require.NoError(t, err)
	for i, r := range p.Reasons {
		require.Equal(t, r.Code, a.Reasons[i].Code)
		require.Equal(t, r.Contribution, a.Reasons[i].Contribution)
		require.Equal(t, set.Champion.ReasonText(r.Code), a.Reasons[i].Text)
		require.NotEqual(t, r.Code, a.Reasons[i].Text)
	}
	require.Equal(t, schemas.ChannelAPI, p.Channel)
	require.Equal(t, example, p.Features)
	require.Equal(t, schemas.At(w.now), p.AppliedAt)
	require.Equal(t, schemas.At(w.now), p.DecidedAt)
	id, err := uuid.Parse(a.ApplicationID)
	require.NoError(t, err)
	require.EqualValues(t, 7, id.Version())
	require.Equal(t, 1.0, testutil.ToFloat64(w.server.metrics.decisions.WithLabelValues(p.Decision)))
	require.Equal(t, 1.0, testutil.ToFloat64(w.server.metrics.requests.WithLabelValues("/predict", "POST", "200")))
}

func TestPredictTakesWhatIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.answer(w.post("/predict", `{"application_id":"A-1","applied_at":"2026-11-20T00:00:00Z","features":`+featuresJSON(example)+`}`))
	require.Equal(t, "A-1", a.ApplicationID)
	require.Equal(t, "2026-11-20T00:00:00Z", w.log.all()[0].AppliedAt.String())
	bare := w.answer(w.post("/predict", featuresJSON(example), "Content-Type", "application/json; charset=utf-8"))
	require.Equal(t, a.Probability, bare.Probability)
	missing := example
	missing[5] = schemas.Missing
	require.NotEqual(t, a.Probability, w.answer(w.post("/predict", request(missing))).Probability)
	for _, body := range []string{request(example), featuresJSON(missing)} {
		require.NoError(t, w.doc.valid(t, "PredictRequest", body))
	}
	require.Error(t, w.doc.valid(t, "PredictRequest", `{"features":{}}`))
	require.Error(t, w.doc.valid(t, "PredictRequest", `{"limit_bal":1}`))
}

func TestContributionsSumToTheLogOdds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.answer(w.post("/predict?detail=contributions", request(example)))
	require.NotEmpty(t, a.Contributions)
	sum := a.Base
	for _, c := range a.Contributions {
		sum += c.Value
	}
	p := float64(a.Probability)
	require.InDelta(t, math.Log(p/(1-p)), sum, 1e-5)
	p2 := w.problem(w.post("/predict?detail=everything", request(example)), http.StatusUnprocessableEntity, "contract")
	require.Equal(t, []schemas.Violation{{Field: "detail", Value: "everything", Rule: "must be contributions"}}, p2.Errors)
}

func TestPredictRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const secret = "7654321"
	f := func(status int, name, body string, headers ...string) problem {
		rec := w.post("/predict", body, headers...)
		require.NotContains(t, rec.Body.String(), secret, "a problem does not echo what is right")
		return w.problem(rec, status, name)
	}
	good := request(example)
	f(http.StatusBadRequest, "json", `[]`)
	f(http.StatusBadRequest, "json", good+`{}`)
	f(http.StatusBadRequest, "json", good[:40])
	f(http.StatusBadRequest, "json", ``, "Content-Type", "application/json")
	p := f(http.StatusUnprocessableEntity, "contract", `{"application_id":"","x":`+secret+`,"features":{"limit_bal":0,"sex":"m"}}`)
	require.Len(t, p.Errors, 1+schemas.NumFeatures, "all at once")
	require.Equal(t, schemas.Violation{Field: "features.limit_bal", Value: "0", Rule: "must be a whole number, 1 … 2796202, or null"}, p.Errors[1])
	f(http.StatusUnsupportedMediaType, "content-type", good, "Content-Type", "text/plain")
	f(http.StatusUnsupportedMediaType, "content-type", good, "Content-Type", "application/x-www-form-urlencoded")
	f(http.StatusUnsupportedMediaType, "content-type", good, "Content-Type", "application/json; charset=latin1")
	f(http.StatusUnsupportedMediaType, "content-encoding", good, "Content-Encoding", "gzip")
	f(http.StatusRequestEntityTooLarge, "too-large", good+strings.Repeat(" ", maxBody))
	f(http.StatusForbidden, "cross-origin", good, "Sec-Fetch-Site", "cross-site")
	f(http.StatusForbidden, "cross-origin", good, "Origin", "https://elsewhere.example")
	f(http.StatusBadRequest, "idempotency-key", good, "Idempotency-Key", "a b")
	f(http.StatusBadRequest, "idempotency-key", good, "Idempotency-Key", strings.Repeat("k", 256))
	w.problem(w.post("/predict?%zz", good), http.StatusBadRequest, "query")
	require.Empty(t, w.log.all())

	w.problem(w.get("/nothing"), http.StatusNotFound, "no-such-path")
	rec := w.do(http.MethodPut, "/predict", good)
	w.problem(rec, http.StatusMethodNotAllowed, "method")
	require.Equal(t, "POST", rec.Header().Get("Allow"))
	require.Equal(t, "GET, HEAD", w.do(http.MethodDelete, "/predictions/x", "").Header().Get("Allow"))
}

// chunked hides a body's length, as a client that does not know it does.
type chunked struct{ *strings.Reader }

func TestBodyOfUnknownLengthIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/predict", chunked{strings.NewReader(strings.Repeat(" ", maxBody+1))})
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	w.problem(rec, http.StatusRequestEntityTooLarge, "too-large")
}

func TestNoModelServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Live = func() *model.LiveSet { return nil } })
	for _, rec := range []*httptest.ResponseRecorder{
		w.post("/predict", request(example)), w.post("/predict/batch", `{"applications":[`+request(example)+`]}`), w.get("/model"),
	} {
		w.problem(rec, http.StatusServiceUnavailable, "no-model")
		require.Equal(t, "1", rec.Header().Get("Retry-After"))
	}
}

func TestDecisionThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log.fail = func(int, *schemas.Prediction) error { return errors.New("broker 10.9.8.7 is not the leader") }
	rec := w.post("/predict", `{"application_id":"A-7","features":`+featuresJSON(example)+`}`)
	p := w.problem(rec, http.StatusServiceUnavailable, "unrecorded")
	require.Equal(t, "A-7", p.ApplicationID)
	require.Equal(t, "unknown", p.Recorded)
	require.Equal(t, "1", rec.Header().Get("Retry-After"))
	require.NotContains(t, rec.Body.String(), "10.9.8.7")
	require.Equal(t, 1.0, testutil.ToFloat64(w.server.metrics.unrecorded))
}

func TestLogThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.enter = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		began := time.Now()
		w.problem(w.post("/predict", request(example)), http.StatusServiceUnavailable, "unrecorded")
		require.Equal(t, w.server.config.Limits.Publish, time.Since(began))
	})
}

func TestClientThatLeavesDoesNotUndoADecision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, leave := context.WithCancel(t.Context())
	w.log.enter = func(ctx context.Context) error { leave(); return ctx.Err() }
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/predict", strings.NewReader(request(example)))
	w.server.ServeHTTP(httptest.NewRecorder(), r)
	require.Len(t, w.log.all(), 1)
}

func TestPanicIsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log.enter = func(context.Context) error { panic("the roof is on fire") }
	rec := w.post("/predict", request(example))
	w.problem(rec, http.StatusInternalServerError, "internal")
	require.NotContains(t, rec.Body.String(), "roof")
	require.Contains(t, w.logged.String(), "roof")
	require.Contains(t, w.logged.String(), "route=/predict")
	w.log.enter = nil
	w.answer(w.post("/predict", request(example)))
	require.Zero(t, testutil.ToFloat64(w.server.metrics.inFlight))
	require.Empty(t, w.server.slots)
}

func batch(w *world, rec *httptest.ResponseRecorder) []answered {
	var b struct {
		Predictions []answered `json:"predictions"`
	}
	require.Equal(w.t, http.StatusOK, rec.Code, rec.Body.String())
	require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), &b))
	return b.Predictions
}

func TestBatchAnswersInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var items []string
	for i := range 20 {
		f := example
		f[4] = int32(20 + i)
		items = append(items, fmt.Sprintf(`{"application_id":"A-%d","features":%s}`, i/2, featuresJSON(f)))
	}
	items[3], items[11] = `{"features":{}}`, `"nonsense"`
	w.log.fail = func(i int, _ *schemas.Prediction) error {
		if i == 5 { // the sixth that is right: index 6
			return errors.New("no leader")
		}
		return nil
	}
	body := `{"applications":[` + strings.Join(items, ",") + `]}`
	require.NoError(t, w.doc.valid(t, "BatchRequest", body))
	got := batch(w, w.post("/predict/batch", body))
	require.Len(t, got, 20)
	for i, a := range got {
		switch i {
		case 3:
			require.Equal(t, i, a.Index)
			require.Equal(t, http.StatusUnprocessableEntity, a.Problem.Status)
			require.Len(t, a.Problem.Errors, schemas.NumFeatures)
		case 6:
			require.Equal(t, i, a.Index)
			require.Equal(t, "unknown", a.Problem.Recorded)
			require.Equal(t, "A-3", a.Problem.ApplicationID)
		case 11:
			require.Equal(t, i, a.Index)
			require.Equal(t, http.StatusUnprocessableEntity, a.Problem.Status)
		default:
			require.Nil(t, a.Problem, i)
			require.Equal(t, fmt.Sprintf("A-%d", i/2), a.ApplicationID)
		}
	}
	records := w.log.all()
	require.Len(t, records, 17)
	for _, p := range records {
		require.Equal(t, records[0].DecidedAt, p.DecidedAt)
	}
	// What is decided together is decided as if alone.
	w.log.fail = nil
	alone := w.answer(w.post("/predict", items[0]))
	require.Equal(t, alone.Probability, got[0].Probability)
}

func TestBatchRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	many := func(n int) string {
		return `{"applications":[` + strings.Repeat(request(example)+",", n-1) + request(example) + `]}`
	}
	require.Len(t, batch(w, w.post("/predict/batch", many(maxBatch))), maxBatch)
	p := w.problem(w.post("/predict/batch", many(maxBatch+1)), http.StatusUnprocessableEntity, "contract")
	require.Equal(t, []schemas.Violation{{Field: "applications", Value: "1001 items", Rule: "must have at most 1000 items"}}, p.Errors)
	w.problem(w.post("/predict/batch", request(example)), http.StatusUnprocessableEntity, "contract")
	w.problem(w.post("/predict/batch", `{"applications":[`), http.StatusBadRequest, "json")
	w.problem(w.post("/predict/batch", strings.Repeat(" ", maxBatchBody+1)), http.StatusRequestEntityTooLarge, "too-large")
	require.Empty(t, batch(w, w.post("/predict/batch", `{"applications":[]}`)))
	require.Len(t, w.log.all(), maxBatch)
}

func TestPredictionIsLookedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.answer(w.post("/predict", request(example)))
	p := w.log.all()[0]
	p.ApplicationID = "a/b ü?"
	value := string(schemas.AppendPrediction(nil, &p))
	w.lookup["a/b ü?"] = value
	rec := w.get("/predictions/a%2Fb%20%C3%BC%3F")
	require.Equal(t, http.StatusOK, rec.Code)
	require.Equal(t, value, rec.Body.String())

	rec = w.get("/predictions/unknown")
	require.Equal(t, "unknown", w.problem(rec, http.StatusNotFound, "no-prediction").ApplicationID)
	require.Equal(t, "1", rec.Header().Get("Retry-After"))
	rec = w.get("/predictions/away")
	w.problem(rec, http.StatusServiceUnavailable, "lookup")
	require.NotContains(t, rec.Body.String(), "10.1.2.3")
	w.problem(w.get("/predictions/"+strings.Repeat("x", 129)), http.StatusUnprocessableEntity, "contract")
	w.problem(w.get("/predictions/a%0Ab"), http.StatusUnprocessableEntity, "contract")
	w.problem(w.get("/predictions/%FF"), http.StatusUnprocessableEntity, "contract")
}

func TestModelIsDescribed(t *testing.T) {
	t.Parallel()
	set, err := shippedSet()
	require.NoError(t, err)
	both := *set
	both.Canary, both.CanaryShare, both.Shadow, both.Revision = set.Champion, 1000, set.Champion, 4
	w := newWorld(t, func(c *Config) { c.Live = func() *model.LiveSet { return &both } })
	var d modelDocument
	rec := w.get("/model")
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &d))
	require.Equal(t, set.Champion.Version, d.ModelVersion)
	require.Equal(t, set.Champion.Digest, d.Digest)
	require.Equal(t, set.Champion.Groups, d.ReasonGroups)
	require.Len(t, d.Inputs, schemas.NumFeatures)
	require.NotContains(t, d.UsedInputs, "sex")
	require.Equal(t, set.Policy.Version, d.Policy.Version)
	require.EqualValues(t, 4, d.RouteRevision)
	require.Equal(t, 0.1, *d.Canary.Share)
	require.Nil(t, d.Shadow.Share)
}

func BenchmarkPredict(b *testing.B) {
	w := newWorld(b)
	w.server.config.Now = time.Now
	w.server.config.Publisher = noLog{}
	body := request(example)
	b.ReportAllocs()
	rec := &discard{header: http.Header{}}
	for b.Loop() {
		r, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, "/predict", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		clear(rec.header)
		w.server.ServeHTTP(rec, r)
	}
	require.Equal(b, http.StatusOK, rec.status)
}

type noLog struct{}

func (noLog) Publish(_ context.Context, _ []schemas.Prediction, _ []Position, errs []error) {
	clear(errs)
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { d.status = http.StatusOK; return len(b), nil }
