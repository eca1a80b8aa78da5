package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func TestRetryGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.post("/predict", request(example), "Idempotency-Key", "k")
	require.Empty(t, first.Header().Get("Idempotency-Replayed"))
	again := w.post("/predict", request(example), "Idempotency-Key", "k")
	require.Equal(t, http.StatusOK, again.Code)
	require.Equal(t, first.Body.String(), again.Body.String())
	require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
	require.Len(t, w.log.all(), 1)

	// Another body, another question or another path is another request.
	other := example
	other[4]++
	for target, body := range map[string]string{
		"/predict":                      request(other),
		"/predict?detail=contributions": request(example),
		"/predict/batch":                `{"applications":[` + request(example) + `]}`,
	} {
		w.problem(w.post(target, body, "Idempotency-Key", "k"), http.StatusUnprocessableEntity, "idempotency-reuse")
	}
	require.Len(t, w.log.all(), 1)
}

func TestRetriesAtOnceMakeOneRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered, release := make(chan struct{}), make(chan struct{})
	w.log.enter = func(context.Context) error { close(entered); <-release; return nil }
	first := make(chan *httptest.ResponseRecorder)
	ask := func() *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/predict", strings.NewReader(request(example)))
		r.Header.Set("Idempotency-Key", "k")
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, r)
		return rec
	}
	go func() { first <- ask() }()
	<-entered
	var wg sync.WaitGroup
	retries := make([]*httptest.ResponseRecorder, 10)
	for i := range retries {
		wg.Go(func() { retries[i] = ask() })
	}
	wg.Wait()
	for _, rec := range retries {
		w.problem(rec, http.StatusConflict, "in-progress")
		require.Equal(t, "1", rec.Header().Get("Retry-After"))
	}
	close(release)
	answer := <-first
	require.Equal(t, http.StatusOK, answer.Code)
	require.Equal(t, answer.Body.String(), ask().Body.String())
	require.Len(t, w.log.all(), 1)
}

func TestCrashBetweenClaimAndAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The decision is in the log, and the process dies before it has answered.
	w.log.fail = func(_ int, p *schemas.Prediction) error { panic("killed after " + p.ApplicationID) }
	require.Equal(t, http.StatusInternalServerError, w.post("/predict", request(example), "Idempotency-Key", "k").Code)
	w.log.fail = nil
	w.problem(w.post("/predict", request(example), "Idempotency-Key", "k"), http.StatusConflict, "in-progress")
	w.keys.lapse()
	first := schemas.At(w.now)
	w.now = w.now.Add(time.Minute)
	a := w.answer(w.post("/predict", request(example), "Idempotency-Key", "k"))
	require.Equal(t, first, w.log.all()[0].AppliedAt, "applied for once")
	require.Contains(t, w.logged.String(), "killed after "+a.ApplicationID, "the same id as the first time")
	id, err := uuid.Parse(a.ApplicationID)
	require.NoError(t, err)
	require.EqualValues(t, 8, id.Version())
	require.Equal(t, uuid.RFC4122, id.Variant())

	b := w.answer(w.post("/predict", request(example), "Idempotency-Key", "another"))
	require.NotEqual(t, a.ApplicationID, b.ApplicationID)
	c := w.answer(w.post("/predict", `{"application_id":"mine","features":`+featuresJSON(example)+`}`, "Idempotency-Key", "third"))
	require.Equal(t, "mine", c.ApplicationID)
}

func TestUnrecordedDecisionMayBeRetriedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log.enter = func(context.Context) error { return errors.New("no leader") }
	failed := w.problem(w.post("/predict", request(example), "Idempotency-Key", "k"), http.StatusServiceUnavailable, "unrecorded")
	w.log.enter = nil
	a := w.answer(w.post("/predict", request(example), "Idempotency-Key", "k"))
	require.Equal(t, failed.ApplicationID, a.ApplicationID)

	body := `{"applications":[` + request(example) + `,` + request(example) + `]}`
	w.log.fail = func(i int, _ *schemas.Prediction) error {
		if i == 1 {
			return errors.New("no leader")
		}
		return nil
	}
	first := batch(w, w.post("/predict/batch", body, "Idempotency-Key", "b"))
	require.NotEqual(t, first[0].ApplicationID, first[1].Problem.ApplicationID)
	w.log.fail = nil
	second := batch(w, w.post("/predict/batch", body, "Idempotency-Key", "b"))
	require.Equal(t, first[0].ApplicationID, second[0].ApplicationID)
	require.Equal(t, first[1].Problem.ApplicationID, second[1].ApplicationID)
	rec := w.post("/predict/batch", body, "Idempotency-Key", "b")
	require.Equal(t, "true", rec.Header().Get("Idempotency-Replayed"))
	require.Len(t, w.log.all(), 1+1+1, "what was recorded is not decided again")
}

func TestStoreAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keys.away = true
	rec := w.post("/predict", request(example), "Idempotency-Key", "k")
	w.problem(rec, http.StatusServiceUnavailable, "idempotency-store")
	require.NotContains(t, rec.Body.String(), "10.1.2.3")
	require.Empty(t, w.log.all())
	w.answer(w.post("/predict", request(example)))

	// Away just when the answer should be kept: it is recorded, so it is given.
	w.keys.away = false
	w.log.enter = func(context.Context) error {
		w.keys.mu.Lock()
		defer w.keys.mu.Unlock()
		w.keys.away = true
		return nil
	}
	w.answer(w.post("/predict", request(example), "Idempotency-Key", "k"))
	require.Contains(t, w.logged.String(), "not settled")
}

func TestKeysOfCallersAreApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Keys = openKeys(t, "shop:0123456789abcdef\nbank:fedcba9876543210\n") })
	a := w.answer(w.post("/predict", request(example), "Idempotency-Key", "k", "X-API-Key", "0123456789abcdef"))
	b := w.answer(w.post("/predict", request(example), "Idempotency-Key", "k", "X-API-Key", "fedcba9876543210"))
	require.NotEqual(t, a.ApplicationID, b.ApplicationID)
	require.Len(t, w.log.all(), 2)
}
