package api

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// parts are the elements of a batch's answer, as they are.
func parts(t *testing.T, body string) (all []string) {
	var b struct {
		Predictions []json.RawMessage `json:"predictions"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &b))
	for _, p := range b.Predictions {
		all = append(all, string(p))
	}
	return all
}

// fiveApplications are a batch whose third is wrong.
func fiveApplications() string {
	wrong := strings.Replace(request(example), `"age":37`, `"age":7`, 1)
	return `{"applications":[` + strings.Join([]string{request(example), request(example), wrong, request(example), request(example)}, ",") + `]}`
}

func TestRetries_DecideOnlyWhatWasNotRecorded(t *testing.T) {
	t.Parallel()
	set, err := shippedSet()
	require.NoError(t, err)
	live := set
	w := newWorld(t, func(c *Config) { c.Live = func() *model.LiveSet { return live } })
	w.log.fail = func(i int, _ *schemas.Prediction) error {
		if i == 1 || i == 3 {
			return errors.New("no leader")
		}
		return nil
	}
	began := schemas.At(w.now)
	first := w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "k")
	require.Len(t, w.log.all(), 2)

	// By the time of the retry another policy serves: everybody is approved.
	w.log.fail = nil
	w.now = w.now.Add(5 * time.Minute)
	live = anotherPolicy(t)
	require.NotEqual(t, set.Policy.Version, live.Policy.Version)
	second := w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "k")
	require.Empty(t, second.Header().Get("Idempotency-Replayed"), "not all of it")
	before, after := parts(t, first.Body.String()), parts(t, second.Body.String())
	for i, same := range []bool{true, false, true, true, false} {
		require.Equal(t, same, before[i] == after[i], "%d: %s, then %s", i, before[i], after[i])
	}
	require.NotContains(t, second.Body.String(), "unrecorded")
	records := w.log.all()
	require.Len(t, records, 4, "each once")
	for i, r := range records {
		require.Equal(t, began, r.AppliedAt, "applied for at the first attempt")
		require.Equal(t, i >= 2, r.PolicyVersion == live.Policy.Version)
	}
	third := w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "k")
	require.Equal(t, "true", third.Header().Get("Idempotency-Replayed"))
	require.Equal(t, second.Body.String(), third.Body.String())
	require.Len(t, w.log.all(), 4)
}

// anotherPolicy is the shipped model under a policy that approves everybody.
func anotherPolicy(t *testing.T) *model.LiveSet {
	set, err := model.Fixed(shipped.Bundle, model.EngineNative, strings.NewReplacer("approve_below: 0.20", "approve_below: 0.998", "decline_from: 0.45", "decline_from: 0.999").Replace(policy.DefaultText))
	require.NoError(t, err)
	return set
}

// What the log has taken and not acknowledged is a retry's answer as it was, whatever
// serves by then.
func TestRetries_FindWhatWasRecordedAndNotAcknowledged(t *testing.T) {
	t.Parallel()
	live := mustSet(t)
	w := newWorld(t, func(c *Config) { c.Live = func() *model.LiveSet { return live } })
	w.log.unheard = func(int) error { return errors.New("not acknowledged in time") }
	began := w.now
	failed := w.problem(w.post("/predict", request(example), "Idempotency-Key", "k"), http.StatusServiceUnavailable, "unrecorded")
	w.log.unheard, live, w.now = nil, anotherPolicy(t), w.now.Add(2*time.Minute)

	// Nothing is decided as long as nobody can say whether it is there.
	w.log.unreadable = true
	w.problem(w.post("/predict", request(example), "Idempotency-Key", "k"), http.StatusServiceUnavailable, "unreadable")
	w.log.unreadable = false
	second := w.post("/predict", request(example), "Idempotency-Key", "k")
	a := w.answer(second)
	require.Equal(t, failed.ApplicationID, a.ApplicationID)
	require.Equal(t, schemas.Decline, a.Decision, "as it was")
	require.Equal(t, "true", second.Header().Get("Idempotency-Replayed"))
	require.Len(t, w.log.all(), 1, "decided once")
	require.Equal(t, began.Add(-clockSlack), w.log.since[0], "since the first attempt")

	looked := len(w.log.since)
	require.Equal(t, second.Body.String(), w.post("/predict", request(example), "Idempotency-Key", "k").Body.String())
	require.Len(t, w.log.since, looked, "its place is noted")
	require.JSONEq(t, `{"applied_at":"2026-11-23T10:00:00Z","at":[[7,0]]}`, string(w.keys.kept("/k").note))
}

func TestRetries_DecideOfABatchOnlyWhatTheLogHasNot(t *testing.T) {
	t.Parallel()
	live := mustSet(t)
	w := newWorld(t, func(c *Config) { c.Live = func() *model.LiveSet { return live } })
	w.log.unheard = func(i int) error { // of the four that are right the second, and the third
		if i == 1 || i == 2 {
			return errors.New("not acknowledged in time")
		}
		return nil
	}
	w.log.fail = func(i int, _ *schemas.Prediction) error {
		if i == 2 {
			return errors.New("no leader")
		}
		return nil
	}
	first := w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "k")
	recorded := w.log.all()
	require.Len(t, recorded, 3)
	w.log.unheard, w.log.fail, live = nil, nil, anotherPolicy(t)
	second := batch(w, w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "k"))
	require.Equal(t, batch(w, first)[0], second[0])
	require.Equal(t, recorded[1].ApplicationID, second[1].ApplicationID)
	require.Equal(t, schemas.Decline, second[1].Decision, "found")
	require.Equal(t, schemas.Approve, second[3].Decision, "decided now")
	require.Equal(t, batch(w, first)[4], second[4])
	require.Len(t, w.log.all(), 4, "each once")
	again := w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "k")
	require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
	require.Equal(t, second, batch(w, again))

	// Where all of it is found nothing is left to be decided.
	w.log.unheard = func(int) error { return errors.New("not acknowledged in time") }
	w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "all")
	w.log.unheard = nil
	again = w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "all")
	require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
	require.NotContains(t, again.Body.String(), "unrecorded")
	require.Len(t, w.log.all(), 8)
	require.True(t, w.keys.kept("/all").whole)
}

// So is what a process recorded that died before it could note where.
func TestRetries_FindWhatWasRecordedBeforeACrash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log.unheard = func(int) error { panic("killed") }
	require.Equal(t, http.StatusInternalServerError, w.post("/predict", request(example), "Idempotency-Key", "k").Code)
	w.log.unheard = nil
	w.keys.lapse()
	w.now = w.now.Add(time.Minute)
	a := w.answer(w.post("/predict", request(example), "Idempotency-Key", "k"))
	require.Len(t, w.log.all(), 1, "decided once")
	require.Equal(t, w.log.all()[0].ApplicationID, a.ApplicationID)
}

func TestRetries_OnlyPositionsAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.post("/predict", request(example), "Idempotency-Key", "one")
	require.JSONEq(t, `{"applied_at":"2026-11-23T10:00:00Z","at":[[7,0]]}`, string(w.keys.kept("/one").note))
	w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "five")
	require.JSONEq(t, `{"applied_at":"2026-11-23T10:00:00Z","at":[[7,1],[7,2],null,[7,3],[7,4]]}`, string(w.keys.kept("/five").note))
	for _, key := range []string{"/one", "/five"} {
		require.GreaterOrEqual(t, w.keys.kept(key).size, len(w.keys.kept(key).note), "as announced")
	}

	largest := &claim{note: note{AppliedAt: schemas.At(w.now)}}
	for i := range maxBatch {
		largest.record(i, Position{math.MaxInt32, math.MaxInt64})
	}
	require.LessOrEqual(t, len(largest.note.json()), 64<<10)
}

func TestRetries_NothingDecidedNothingKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keys.away = true // it is not even asked
	wrong := `{"applications":[{},` + strings.Replace(request(example), `"age":37`, `"age":7`, 1) + `]}`
	for range 2 {
		rec := w.post("/predict/batch", wrong, "Idempotency-Key", "k")
		require.Equal(t, http.StatusOK, rec.Code)
		require.Empty(t, rec.Header().Get("Idempotency-Replayed"))
	}
	w.problem(w.post("/predict", `{}`, "Idempotency-Key", "k"), http.StatusUnprocessableEntity, "contract")
	w.keys.away = false
	require.Empty(t, w.keys.held)
	w.answer(w.post("/predict", request(example), "Idempotency-Key", "k"))
}

func mustSet(t *testing.T) *model.LiveSet {
	set, err := shippedSet()
	require.NoError(t, err)
	return set
}

func TestRetries_SayWhatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.post("/predict", `{"application_id":"A-1","features":`+featuresJSON(example)+`}`, "Idempotency-Key", "one")
	first := w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "five")
	w.log.begin = 3 // retention
	p := w.problem(w.post("/predict", `{"application_id":"A-1","features":`+featuresJSON(example)+`}`, "Idempotency-Key", "one"), http.StatusGone, "gone")
	require.Equal(t, "A-1", p.ApplicationID)
	second := w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "five")
	before, after := parts(t, first.Body.String()), parts(t, second.Body.String())
	require.Equal(t, before[2:], after[2:])
	for i, a := range batch(w, second)[:2] {
		require.Equal(t, problemType+"gone", a.Problem.Type)
		require.Equal(t, batch(w, first)[i].ApplicationID, a.Problem.ApplicationID)
	}
	require.Len(t, w.log.all(), 5, "nothing is decided again")

	// Another decision at that place is not taken for it.
	w.log.begin = 0
	w.log.records[0].ApplicationID = "A-2"
	w.problem(w.post("/predict", `{"application_id":"A-1","features":`+featuresJSON(example)+`}`, "Idempotency-Key", "one"), http.StatusGone, "gone")
}

func TestRetries_WaitForTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log.fail = func(i int, _ *schemas.Prediction) error {
		if i == 1 {
			return errors.New("no leader")
		}
		return nil
	}
	w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "k")
	w.log.fail, w.log.unreadable = nil, true
	for range 2 { // the key stays free
		w.problem(w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "k"), http.StatusServiceUnavailable, "unreadable")
	}
	require.Len(t, w.log.all(), 3, "nothing more is decided")
	require.Contains(t, w.logged.String(), "cannot be read back")
	w.log.unreadable = false
	require.NotContains(t, w.post("/predict/batch", fiveApplications(), "Idempotency-Key", "k").Body.String(), "unrecorded")
	require.Len(t, w.log.all(), 4)
}

// What may be on the topic is decided again for the same request only, and as if
// it were then.
func TestRetries_AnUnrecordedDecisionKeepsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log.fail = func(int, *schemas.Prediction) error { return errors.New("no leader") }
	w.problem(w.post("/predict", request(example), "Idempotency-Key", "k"), http.StatusServiceUnavailable, "unrecorded")
	w.log.fail = nil
	began := schemas.At(w.now)
	w.now = w.now.Add(time.Minute)
	other := example
	other[4]++
	w.problem(w.post("/predict", request(other), "Idempotency-Key", "k"), http.StatusUnprocessableEntity, "idempotency-reuse")
	w.answer(w.post("/predict", request(example), "Idempotency-Key", "k"))
	require.Equal(t, began, w.log.all()[0].AppliedAt)
}

func TestRetries_TellDetailsAgain(t *testing.T) {
	t.Parallel()
	set := mustSet(t)
	live := set
	w := newWorld(t, func(c *Config) { c.Live = func() *model.LiveSet { return live } })
	first := w.post("/predict?detail=contributions", request(example), "Idempotency-Key", "k")
	require.NotEmpty(t, w.answer(first).Contributions)
	require.Equal(t, first.Body.String(), w.post("/predict?detail=contributions", request(example), "Idempotency-Key", "k").Body.String())
	// The model has gone: what it decided is told, its inner workings are not.
	champion := *set.Champion
	champion.Version = "another"
	live = &model.LiveSet{Champion: &champion, Policy: set.Policy, Revision: 1}
	again := w.answer(w.post("/predict?detail=contributions", request(example), "Idempotency-Key", "k"))
	want := w.answer(first)
	want.Base, want.Contributions = 0, nil
	require.Equal(t, want, again)
}

func TestRetries_ACallerKeepsNotMoreThanItMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keys.full = true
	rec := w.post("/predict", request(example), "Idempotency-Key", "k")
	w.problem(rec, http.StatusTooManyRequests, "too-many-keys")
	require.Equal(t, "60", rec.Header().Get("Retry-After"))
	require.Empty(t, w.log.all())
	w.answer(w.post("/predict", request(example)))
}

// Without API keys a client finds its key again from wherever it asks, and what is
// kept counts for where it asks from.
func TestRetries_WithoutAPIKeysCountForTheAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Proxies = parsedProxies(t, "127.0.0.1") })
	ask := func(key, client string) *httptest.ResponseRecorder {
		return w.ask("127.0.0.1:1", "/predict", "X-Forwarded-For", client, "Idempotency-Key", key)
	}
	first := ask("k", "203.0.113.9")
	require.Equal(t, http.StatusOK, first.Code)
	again := ask("k", "2001:db8:1:2::7")
	require.Equal(t, first.Body.String(), again.Body.String())
	require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
	require.Equal(t, []string{"203.0.113.9", "2001:db8:1:2::/64"}, w.keys.accounts)

	w = newWorld(t, func(c *Config) { c.Keys = twoKeys(t) })
	require.Equal(t, http.StatusOK, w.ask("127.0.0.1:1", "/predict", "Idempotency-Key", "k", "X-API-Key", shopKey).Code)
	require.Equal(t, []string{""}, w.keys.accounts, "a caller's own")
}
