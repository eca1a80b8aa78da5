package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// memoryLog keeps what is published.
type memoryLog struct {
	mu      sync.Mutex
	records []schemas.Prediction
	// What retention has left, and whether anything can be read.
	begin      int64
	unreadable bool
	fail       func(i int, p *schemas.Prediction) error // nil: nothing fails
	unheard    func(i int) error                        // of what the log has: what its writer is told; nil: that it has
	since      []time.Time                              // from when on Since was asked to look
	enter      func(ctx context.Context) error          // called first; its error fails all
}

func (l *memoryLog) Publish(ctx context.Context, predictions []schemas.Prediction, at []Position, errs []error) {
	if l.enter != nil {
		if err := l.enter(ctx); err != nil {
			for i := range errs {
				errs[i] = err
			}
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range predictions {
		errs[i] = nil
		if l.fail != nil {
			if errs[i] = l.fail(i, &predictions[i]); errs[i] != nil {
				continue
			}
		}
		var p schemas.Prediction
		if err := schemas.DecodePrediction(schemas.AppendPrediction(nil, &predictions[i]), &p); err != nil {
			panic(err)
		}
		at[i] = Position{7, int64(len(l.records))}
		l.records = append(l.records, p)
		if l.unheard != nil {
			errs[i] = l.unheard(i)
		}
	}
}

// Since is part of Recorded.
func (l *memoryLog) Since(_ context.Context, since time.Time, applications []schemas.Application) ([]*Published, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = append(l.since, since)
	if l.unreadable {
		return nil, errAway
	}
	found := make([]*Published, len(applications))
	for i, a := range applications {
		for offset, p := range l.records {
			if p.ApplicationID == a.ApplicationID && p.AppliedAt == a.AppliedAt && p.Features == a.Features {
				found[i] = &Published{Position{7, int64(offset)}, p}
			}
		}
	}
	return found, nil
}

// Predictions is part of Recorded.
func (l *memoryLog) Predictions(_ context.Context, at []Position) (predictions []schemas.Prediction, found []bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unreadable {
		return nil, nil, errAway
	}
	for _, p := range at {
		if p.Partition != 7 {
			panic("no such partition")
		}
		found = append(found, p.Offset >= l.begin)
		predictions = append(predictions, l.records[p.Offset])
	}
	return predictions, found, nil
}

func (l *memoryLog) all() []schemas.Prediction {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]schemas.Prediction(nil), l.records...)
}

type memoryLookup map[string]string

var errAway = errors.New("dial tcp 10.1.2.3:6379: connection refused")

func (l memoryLookup) Prediction(_ context.Context, id string) ([]byte, bool, error) {
	if id == "away" {
		return nil, false, errAway
	}
	v, ok := l[id]
	return []byte(v), ok, nil
}

// memoryKeys is an Idempotency whose claims lapse when the test says so.
type memoryKeys struct {
	mu     sync.Mutex
	held   map[string]*heldKey
	away   bool
	full   bool
	tokens int
	// accounts are those that keys were claimed for.
	accounts []string
}

type heldKey struct {
	token        string // "": nobody works on it
	digest, note []byte
	size         int
	whole        bool
}

func (m *memoryKeys) Claim(_ context.Context, key IdempotencyKey, digest, note []byte, size int) (Claimed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return Claimed{}, errAway
	}
	m.tokens++
	m.accounts = append(m.accounts, key.Account)
	h := m.held[key.Scope+"/"+key.Key]
	switch {
	case h == nil && m.full:
		return Claimed{Full: true}, nil
	case h == nil:
		h = &heldKey{token: strconv.Itoa(m.tokens), digest: bytes.Clone(digest), note: bytes.Clone(note), size: size}
		m.held[key.Scope+"/"+key.Key] = h
		return Claimed{Token: h.token}, nil
	case !bytes.Equal(h.digest, digest):
		return Claimed{Other: true}, nil
	case h.whole:
		return Claimed{Whole: true, Note: bytes.Clone(h.note)}, nil
	case h.token != "":
		return Claimed{}, nil
	}
	h.token = strconv.Itoa(m.tokens)
	return Claimed{Token: h.token, Note: bytes.Clone(h.note)}, nil
}

func (m *memoryKeys) Keep(_ context.Context, key IdempotencyKey, token string, digest, note []byte, whole bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return errAway
	}
	h := m.held[key.Scope+"/"+key.Key]
	if h == nil || h.token != token || !bytes.Equal(h.digest, digest) {
		return errors.New("not this claim's")
	}
	*h = heldKey{digest: h.digest, note: bytes.Clone(note), size: h.size, whole: whole}
	return nil
}

func (m *memoryKeys) Release(_ context.Context, key IdempotencyKey, token string, forget bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.held[key.Scope+"/"+key.Key]; h != nil && h.token == token {
		if h.token = ""; forget {
			delete(m.held, key.Scope+"/"+key.Key)
		}
	}
	return nil
}

// lapse lets every claim lapse whose holder died.
func (m *memoryKeys) lapse() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.held {
		h.token = ""
	}
}

// kept is what is kept under a caller's key; nil: nothing.
func (m *memoryKeys) kept(scopeAndKey string) *heldKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held[scopeAndKey]
}

var shippedSet = sync.OnceValues(func() (*model.LiveSet, error) {
	return model.Fixed(shipped.Bundle, model.EngineNative, policy.DefaultText)
})

// world is a server without Kafka and Redis, at a time of the test's choosing.
type world struct {
	t      testing.TB
	server *Server
	log    *memoryLog
	keys   *memoryKeys
	lookup memoryLookup
	now    time.Time
	logged *bytes.Buffer
	doc    *contractDocument
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	set, err := shippedSet()
	require.NoError(t, err)
	w := &world{
		t: t, log: &memoryLog{}, keys: &memoryKeys{held: map[string]*heldKey{}}, lookup: memoryLookup{},
		now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), logged: &bytes.Buffer{},
	}
	c := Config{
		Live: func() *model.LiveSet { return set }, Publisher: w.log, Recorded: w.log, Lookup: w.lookup, Idempotency: w.keys,
		Drift: &fakeDrift{}, Replicas: &fakeReplicas{},
		Limits:  Limits{InFlight: 100, Publish: 5 * time.Second},
		Metrics: http.NotFoundHandler(), Ready: func() error { return nil }, Pending: func() error { return nil },
		Version: "test", Log: slog.New(slog.NewTextHandler(w.logged, nil)), Registerer: prometheus.NewRegistry(),
		Now: func() time.Time { return w.now },
	}
	for _, f := range change {
		f(&c)
	}
	w.server, err = New(c)
	require.NoError(t, err)
	w.doc = newContractDocument(t, w.server)
	return w
}

// do asks and holds the answer to the OpenAPI document.
func (w *world) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	w.doc.check(w.t, method, r.URL.EscapedPath(), rec)
	return rec
}

func (w *world) post(path, body string, headers ...string) *httptest.ResponseRecorder {
	return w.do(http.MethodPost, path, body, headers...)
}

func (w *world) get(path string, headers ...string) *httptest.ResponseRecorder {
	return w.do(http.MethodGet, path, "", headers...)
}

// problem reads a problem document and holds it to its status.
func (w *world) problem(rec *httptest.ResponseRecorder, status int, name string) problem {
	var p problem
	require.Equal(w.t, status, rec.Code, rec.Body.String())
	require.Equal(w.t, "application/problem+json", rec.Header().Get("Content-Type"))
	require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), &p))
	require.Equal(w.t, status, p.Status)
	require.Equal(w.t, problemType+name, p.Type)
	require.NotEmpty(w.t, p.Title)
	return p
}

type answered struct {
	ApplicationID string  `json:"application_id"`
	Probability   float32 `json:"default_probability"`
	Prediction    uint8   `json:"default_prediction"`
	Decision      string  `json:"decision"`
	Points        int32   `json:"points"`
	Reasons       []struct {
		Code, Text   string
		Contribution float32
	} `json:"reasons"`
	ModelVersion  string               `json:"model_version"`
	Route         string               `json:"route"`
	PolicyVersion string               `json:"policy_version"`
	DecidedAt     schemas.Timestamp    `json:"decided_at"`
	Base          float64              `json:"base"`
	Contributions []model.Contribution `json:"contributions"`
	Index         int                  `json:"index"`
	Problem       *problem             `json:"problem"`
}

func (w *world) answer(rec *httptest.ResponseRecorder) (a answered) {
	require.Equal(w.t, http.StatusOK, rec.Code, rec.Body.String())
	require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), &a))
	return a
}

func featuresJSON(f schemas.Features) string {
	var b strings.Builder
	for i, rule := range schemas.FeatureRules {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		v := strconv.Itoa(int(f[i]))
		if f[i] == schemas.Missing {
			v = "null"
		}
		b.WriteString(sep + strconv.Quote(rule.Name) + ":" + v)
	}
	return b.String() + "}"
}

func request(f schemas.Features) string { return `{"features":` + featuresJSON(f) + `}` }

// contractDocument is the served OpenAPI document as a judge of answers.
type contractDocument struct {
	routes   chi.Routes
	paths    map[string]map[string]operation
	shared   map[string]response
	compiler *jsonschema.Compiler
}

type operation struct {
	Responses map[string]response `json:"responses"`
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct {
		Schema struct {
			Ref string `json:"$ref"`
		} `json:"schema"`
	} `json:"content"`
}

// ecmaRegexp compiles a pattern of JSON Schema, whose \uXXXX Go writes otherwise.
func ecmaRegexp(pattern string) (jsonschema.Regexp, error) {
	return regexp.Compile(regexp.MustCompile(`\\u([0-9a-fA-F]{4})`).ReplaceAllString(pattern, `\x{$1}`))
}

const documentURL = "http://test/openapi.json"

func newContractDocument(t testing.TB, s *Server) *contractDocument {
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/openapi.json", http.NoBody))
	var doc struct {
		Paths      map[string]map[string]operation `json:"paths"`
		Components struct {
			Responses map[string]response `json:"responses"`
		} `json:"components"`
	}
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &doc))
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(rec.Body.Bytes()))
	require.NoError(t, err)
	d := &contractDocument{routes: s.handler.(chi.Routes), paths: doc.Paths, shared: doc.Components.Responses, compiler: jsonschema.NewCompiler()}
	d.compiler.AssertFormat()
	d.compiler.UseRegexpEngine(ecmaRegexp)
	require.NoError(t, d.compiler.AddResource(documentURL, plain))
	return d
}

// check holds one answer to the document: its status and type are there, and its
// body is as the schema says. What has no route must not be answered at all.
func (d *contractDocument) check(t testing.TB, method, path string, rec *httptest.ResponseRecorder) {
	ctx := chi.NewRouteContext()
	if !d.routes.Match(ctx, method, path) {
		require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, rec.Code)
		return
	}
	op, ok := d.paths[ctx.RoutePattern()][strings.ToLower(method)]
	if !ok {
		return // pages are no part of the API; TestOpenAPIHasEveryRoute says which
	}
	r, ok := op.Responses[strconv.Itoa(rec.Code)]
	require.True(t, ok, "%s %s answers %d, which is not documented", method, ctx.RoutePattern(), rec.Code)
	if r.Ref != "" {
		r = d.shared[r.Ref[strings.LastIndexByte(r.Ref, '/')+1:]]
	}
	media, _, _ := strings.Cut(rec.Header().Get("Content-Type"), ";")
	content, ok := r.Content[media]
	require.True(t, ok, "%s %s answers %d as %s, which is not documented", method, ctx.RoutePattern(), rec.Code, media)
	if content.Schema.Ref == "" {
		return
	}
	schema, err := d.compiler.Compile(documentURL + content.Schema.Ref)
	require.NoError(t, err)
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(rec.Body.Bytes()))
	require.NoError(t, err, rec.Body.String())
	require.NoError(t, schema.Validate(body), rec.Body.String())
}

// valid says whether a text is what a schema of the document allows.
func (d *contractDocument) valid(t testing.TB, schema, text string) error {
	s, err := d.compiler.Compile(documentURL + "#/components/schemas/" + schema)
	require.NoError(t, err)
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	return s.Validate(v)
}

func readAll(t testing.TB, r io.Reader) string {
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}

func itoa(n int) string { return strconv.Itoa(n) }
