package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/go-chi/chi/v5"
)

// routes is every path there is.
func (s *Server) routes() (http.Handler, error) {
	page, err := s.newPage()
	if err != nil {
		return nil, err
	}
	openapi, err := openAPI(s.config.Version, s.config.Demo != nil)
	if err != nil {
		return nil, err
	}
	r := chi.NewRouter()
	r.Use(s.observe)
	if s.config.Keys == nil {
		r.Use(s.unforwarded)
	}
	if s.config.LocalOnly {
		r.Use(local)
	}
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		newProblem(http.StatusNotFound, "no-such-path", "There is nothing at this path", "GET /openapi.json lists the paths.").write(w)
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		allow := allowed(r, req.URL.Path)
		w.Header().Set("Allow", allow)
		newProblem(http.StatusMethodNotAllowed, "method", "The path does not take this method", "It takes "+allow+".").write(w)
	})

	r.Post("/predict", s.guardBody(maxBody, s.predict))
	r.Post("/predict/batch", s.guardBody(maxBatchBody, s.predictBatch))
	get(r, "/predictions/{id}", s.guard(s.prediction))
	get(r, "/model", s.guard(s.model))
	get(r, "/replicas", s.guard(s.replicas))
	get(r, "/decisions", s.guard(s.decisions))
	r.Get(streamRoute, s.guardStream(s.decisionStream))
	get(r, "/drift", s.guard(s.driftStatus))
	get(r, "/drift/alerts", s.guard(s.driftAlerts))
	get(r, "/drift/report", s.guard(s.driftReport))
	if s.config.Demo != nil {
		get(r, scenarioRoute, s.guard(s.scenario))
		r.Post(scenarioRoute, s.guardBody(maxBody, s.setScenario))
	}

	get(r, "/openapi.json", asset("application/json", "", openapi))
	if err := docs(r); err != nil {
		return nil, err
	}
	page.routes(r)
	get(r, "/metrics", s.config.Metrics.ServeHTTP)
	get(r, "/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	get(r, "/readyz", s.ready)
	return r, nil
}

// get takes GET, and HEAD as net/http answers it.
func get(r chi.Router, pattern string, h http.HandlerFunc) {
	r.Get(pattern, h)
	r.Head(pattern, h)
}

// allowed are the methods a path takes.
func allowed(routes chi.Routes, path string) string {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if routes.Match(chi.NewRouteContext(), m, path) {
			methods = append(methods, m)
		}
	}
	return strings.Join(methods, ", ")
}

// ready says whether decisions can be made, and below that what is waited for all
// the same: Redis, for look-ups and idempotency keys, or a route's bundles.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.config.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ready")
	if err := s.config.Pending(); err != nil {
		_, _ = fmt.Fprintln(w, err)
	}
}

// answer is a response whose status can be seen afterwards.
type answer struct {
	http.ResponseWriter
	status int // 0: nothing written yet
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

var nosniff, noReferrer, closeConnection = []string{"nosniff"}, []string{"no-referrer"}, []string{"close"}

// observe counts and times every request, by its route and not by its path, and
// answers 500 for one that panics.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.config.Now()
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		a := &answer{ResponseWriter: w}
		h := w.Header()
		h["X-Content-Type-Options"], h["Referrer-Policy"] = nosniff, noReferrer
		select {
		case <-s.config.Stopping:
			h["Connection"] = closeConnection
		default:
		}
		defer func() {
			if v := recover(); v != nil {
				s.recovered(a, r, v)
			}
			took := s.config.Now().Sub(began)
			s.metrics.observe(r, a.status, took)
			// What is posted is to be decided.
			if s.config.Latencies != nil && r.Method == http.MethodPost && a.status == http.StatusOK {
				s.config.Latencies.Observe(took, 1)
			}
		}()
		next.ServeHTTP(a, r)
	})
}

// recovered tells the log what happened and the client only that something did.
func (s *Server) recovered(a *answer, r *http.Request, v any) {
	if v == http.ErrAbortHandler { //nolint:errorlint // a sentinel that net/http compares too
		panic(v)
	}
	s.config.Log.Error("a request panicked", "route", chi.RouteContext(r.Context()).RoutePattern(),
		slog.Any("panic", v), "stack", string(debug.Stack()))
	if a.status == 0 {
		internalProblem().write(a)
	}
}
