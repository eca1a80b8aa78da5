// Package api answers over HTTP what the stream answers over Kafka: the same
// scorer, the same decisions, on the same topic. It knows neither Kafka nor Redis;
// it takes small interfaces.
package api

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/api/feed"
	"github.com/creditstream/creditstream/drift/report"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Position is where a prediction is in the log.
type Position struct {
	Partition int32
	Offset    int64
}

// Publisher appends predictions to the log.
type Publisher interface {
	// Publish sets each prediction's error: nil once the log has it for good, where at
	// then says. It returns by the end of ctx and keeps nothing of the predictions.
	Publish(ctx context.Context, predictions []schemas.Prediction, at []Position, errs []error)
}

// Recorded reads predictions back.
type Recorded interface {
	// Predictions are those that were published at these positions; found says which
	// the log still has.
	Predictions(ctx context.Context, at []Position) (predictions []schemas.Prediction, found []bool, err error)
	// Since finds the decisions on applications that were published and not acknowledged,
	// among those that the log took since a time by its clock; nil where there is none.
	Since(ctx context.Context, since time.Time, applications []schemas.Application) ([]*Published, error)
}

// Published is a decision that the log has.
type Published struct {
	At         Position
	Prediction schemas.Prediction
}

// ErrOtherLog is what a Lookup fails with where what there is to be found was decided by
// another deployment.
var ErrOtherLog = errors.New("the view is of another log")

// Lookup finds what has been decided.
type Lookup interface {
	// Prediction is the JSON of an application's last prediction, and whether
	// there is one.
	Prediction(ctx context.Context, applicationID string) ([]byte, bool, error)
}

// Latencies take how long decisions took.
type Latencies interface {
	Observe(took time.Duration, n int) // n of them
}

// Limits bound what clients may ask for.
type Limits struct {
	PerSecond float64       // requests of one caller; 0: no limit
	Burst     int           // requests of one caller at once; 0: a second's worth
	InFlight  int           // requests being worked on, of all callers
	PerCaller int           // requests of one caller being received or worked on; 0: half of InFlight
	Publish   time.Duration // for the log to acknowledge
}

// perCaller leaves room for others, whatever one caller does.
func (l Limits) perCaller() int {
	if l.PerCaller > 0 {
		return l.PerCaller
	}
	return max(1, l.InFlight/2)
}

// Config is what a Server needs.
type Config struct {
	Listener    net.Listener
	TLS         *tls.Config           // nil: plain HTTP
	Live        func() *model.LiveSet // nil result: nothing serves yet
	Publisher   Publisher
	Recorded    Recorded
	Lookup      Lookup
	Idempotency Idempotency
	Feed        *feed.Feed // nil: there is no feed
	Drift       Drift
	Demo        Demo // nil: this is no demo
	Replicas    Replicas
	Latencies   Latencies // of requests that decide; nil: nobody asks
	Keys        *Keys     // nil: no key is asked for
	Proxies     Proxies   // whose word about a request's origin counts
	LocalOnly   bool      // only requests to a name of this machine are answered
	Limits      Limits
	Metrics     http.Handler // of GET /metrics
	Ready       func() error // nil result: decisions can be made
	Pending     func() error // what is waited for all the same, a line each; nil result: nothing
	// Stopping is closed when the process is about to stop: what is answered then
	// asks its connection to be closed, so that the next request goes elsewhere.
	Stopping   <-chan struct{}
	Version    string // of the program
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Times that bound one connection.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = time.Minute
	maxHeaderBytes    = 16 << 10
	// What open requests have to finish after SIGTERM.
	drainTime = 15 * time.Second
)

// Server is the component.
type Server struct {
	config  Config
	metrics *metrics
	limiter *limiter
	callers *callers
	slots   chan struct{} // one per request being worked on
	// The same of streams.
	watchers *callers
	streams  chan struct{} // one per open stream of decisions
	origins  *http.CrossOriginProtection
	jobs     sync.Pool // of *job
	bodies   sync.Pool // of *[]byte
	// What the log is told of now and then.
	refusals, unnamed seldom
	report            *report.Writer
	handler           http.Handler
	closing           chan struct{} // closed when the server stops
}

// New returns a Server that is not running yet.
func New(c Config) (*Server, error) {
	if c.Limits.InFlight < 1 || c.Limits.Publish <= 0 {
		return nil, errors.New("the API needs room for at least one request and time to publish")
	}
	s := &Server{
		config: c, metrics: newMetrics(c.Registerer), limiter: newLimiter(c.Limits.PerSecond, c.Limits.Burst),
		slots: make(chan struct{}, c.Limits.InFlight), streams: make(chan struct{}, maxStreams),
		callers:  newCallers(c.Limits.perCaller(), openBytes),
		watchers: newCallers(maxCallerStreams, openBytes),
		origins:  http.NewCrossOriginProtection(), closing: make(chan struct{}),
	}
	s.jobs.New = func() any { return newJob() }
	s.bodies.New = func() any { return new(make([]byte, 0, 2048)) }
	var err error
	if s.report, err = report.NewWriter(); err != nil {
		return nil, err
	}
	s.handler, err = s.routes()
	return s, err
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Name is part of lifecycle.Component.
func (*Server) Name() string { return "api" }

// Ready is part of lifecycle.Component: what a decision needs are components of
// their own.
func (*Server) Ready() error { return nil }

const (
	// announceInterval is between looks whether the API can decide, before it first can.
	announceInterval = 20 * time.Millisecond
	// announceTime is how long the log says nothing: a process that is to be refused ends
	// within it.
	announceTime = 2 * time.Second
)

// announce says where the API answers, once it can decide. Before that the process may
// still be refused, and whoever reads that it answers would be misled. From when it
// stops on it says neither.
func (s *Server) announce(ctx context.Context, address string) {
	tick, late := time.NewTicker(announceInterval), time.After(announceTime)
	defer tick.Stop()
	stops := func() bool {
		select {
		case <-ctx.Done():
			return true
		case <-s.config.Stopping:
			return true
		default:
			return false
		}
	}
	for {
		missing := s.config.Ready()
		if stops() { // which it may be that is missing
			return
		}
		if missing == nil {
			s.config.Log.Info("the API answers", "address", address)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-s.config.Stopping:
			return
		case <-late:
			if stops() {
				return
			}
			s.config.Log.Info("the API listens, and cannot decide yet", "address", address, "missing", strings.ReplaceAll(missing.Error(), "\n", "; "))
		case <-tick.C:
		}
	}
}

// Run answers on the listener until ctx ends, then takes no more and finishes
// what it has begun.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, TLSConfig: s.config.TLS,
		// What clients do wrong on a connection is theirs.
		ErrorLog: slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	scheme, serve := "http", server.Serve
	if s.config.TLS != nil {
		scheme, serve = "https", func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	go func() { done <- serve(s.config.Listener) }()
	announced, stop := context.WithCancel(ctx)
	var announcing sync.WaitGroup
	announcing.Go(func() { s.announce(announced, scheme+"://"+s.config.Listener.Addr().String()) })
	defer announcing.Wait()
	defer stop()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	close(s.closing) // streams would never end
	late := time.AfterFunc(slowBody, s.callers.cutAll)
	defer late.Stop()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := server.Shutdown(drain)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
