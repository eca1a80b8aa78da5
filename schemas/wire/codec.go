// Package wire is events as they stand on topics: JSON, or Avro behind the id of
// the schema they were written with. The first byte tells which, so both may stand
// in one topic. It finds schemas through a Registry, whoever that is.
package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/creditstream/creditstream/schemas"
)

// Registry keeps Avro schemas under ids.
type Registry interface {
	// Schema is the text of a schema; known is false where there is none of this
	// id. An error with a method Refusal is an answer that is neither; after any
	// other nobody knows.
	Schema(ctx context.Context, id uint32) (text string, known bool, err error)
	// Register keeps a schema under a subject's name and returns its id. An error
	// with a method Permanent that says true is not tried again.
	Register(ctx context.Context, subject, schema string) (id uint32, err error)
}

// Config is what a Codec needs.
type Config struct {
	Registry Registry
	// Writes are the events that are written in Avro, each with the topic it goes
	// to; others are written in JSON.
	Writes map[schemas.Event]string
	// Patience is how long a registry that is away is waited for before reading
	// fails; 0: as long as it takes.
	Patience time.Duration
	// Doubt is how long an answer that is no schema is asked for again before it may be
	// taken for one about the id; 0: 10 s.
	Doubt      time.Duration
	Log        *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: there are no metrics
}

// Codec reads events in both formats and writes them in one. It is safe for
// concurrent use. A nil Codec has no registry: it writes JSON, and reads nothing
// else.
//
// As a lifecycle.Component it registers what it is going to write, and says
// whether anything waits for the registry.
type Codec struct {
	config     Config
	metrics    *metrics
	cache      cache
	asking     singleflight.Group
	registered chan struct{} // closed once ids are there
	ids        atomic.Pointer[[schemas.NumEvents]uint32]

	questions chan struct{} // holds one for each that is being asked
	rate      *rate.Limiter // of questions

	mu      sync.Mutex // guards what follows
	why     error      // why what is written is not registered
	waiting []*waiter  // who waits, the one who has for longest first
	since   time.Time  // when somebody began to
	doubted time.Time  // when an unknown id was last asked for twice
	refused time.Time  // when an id was last refused
	told    time.Time  // when that was last logged
}

// New returns a Codec; where it is to write, Run has to register that first.
func New(c Config) *Codec {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	codec := &Codec{config: c, metrics: newMetrics(c.Registerer), registered: make(chan struct{}),
		questions: make(chan struct{}, maxQuestions), rate: rate.NewLimiter(questionRate, questionBurst)}
	if len(c.Writes) == 0 {
		codec.ids.Store(&[schemas.NumEvents]uint32{})
		close(codec.registered)
	} else {
		codec.why = errors.New("the schemas to write with are not registered yet")
	}
	return codec
}

// Name is part of lifecycle.Component.
func (*Codec) Name() string { return "schema-registry" }

// Ready is part of lifecycle.Component.
func (c *Codec) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return c.why
	}
	return c.awaited()
}

const (
	// What one question to the registry may take.
	askTime = 10 * time.Second
	// Between one attempt and the next.
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// Run registers the schemas of what is written, trying until the registry has
// taken them; then it waits for ctx to end. It fails where the registry refuses
// them.
func (c *Codec) Run(ctx context.Context) error {
	if c.ids.Load() == nil {
		ids, err := c.register(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // told to stop is not a failure
			}
			return err
		}
		c.ids.Store(ids)
		c.mu.Lock()
		c.why = nil
		c.mu.Unlock()
		close(c.registered)
	}
	<-ctx.Done()
	return nil
}

func (c *Codec) register(ctx context.Context) (*[schemas.NumEvents]uint32, error) {
	var ids [schemas.NumEvents]uint32
	for e := range schemas.NumEvents {
		topic, writes := c.config.Writes[e]
		if !writes {
			continue
		}
		pause := firstPause
		for {
			ask, cancel := context.WithTimeout(ctx, askTime)
			id, err := c.config.Registry.Register(ask, schemas.AvroSubject(topic), schemas.AvroSchema(e))
			cancel()
			if err == nil {
				ids[e] = id
				break
			}
			if refused, ok := errors.AsType[permanentError](err); ok && refused.Permanent() {
				return nil, err
			}
			c.metrics.errors.Inc()
			c.mu.Lock()
			first := pause == firstPause
			c.why = err
			c.mu.Unlock()
			if first && ctx.Err() == nil {
				c.config.Log.Warn("the schemas to write with are not registered, trying again until they are", "error", err)
			}
			if !sleep(ctx, pause) {
				return nil, ctx.Err()
			}
			pause = min(2*pause, maxPause)
		}
	}
	return &ids, nil
}

// permanentError is an error that asking again does not change.
type permanentError interface {
	error
	Permanent() bool
}

// sleep waits, and says false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Await waits until events can be written, which before is not allowed.
func (c *Codec) Await(ctx context.Context) error {
	if c == nil {
		return nil
	}
	select {
	case <-c.registered:
		return nil
	default:
	}
	select {
	case <-c.registered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ctx.Err(), c.Ready())
	}
}

// header begins a value in Avro; ok is false where an event is written in JSON.
func (c *Codec) header(dst []byte, e schemas.Event) (begun []byte, ok bool) {
	if c == nil {
		return dst, false
	}
	if _, ok := c.config.Writes[e]; !ok {
		return dst, false
	}
	ids := c.ids.Load()
	if ids == nil {
		panic("wire: an event is written before Await has returned")
	}
	return schemas.AppendAvroHeader(dst, ids[e]), true
}

// AppendApplication appends an application as it is to stand on its topic.
func (c *Codec) AppendApplication(dst []byte, a *schemas.Application) []byte {
	if dst, ok := c.header(dst, schemas.EventApplication); ok {
		return schemas.AppendAvroApplication(dst, a)
	}
	return schemas.AppendApplication(dst, a)
}

// AppendPrediction appends a prediction as it is to stand on its topic.
func (c *Codec) AppendPrediction(dst []byte, p *schemas.Prediction) []byte {
	if dst, ok := c.header(dst, schemas.EventPrediction); ok {
		return schemas.AppendAvroPrediction(dst, p)
	}
	return schemas.AppendPrediction(dst, p)
}

// AppendOutcome appends an outcome as it is to stand on its topic.
func (c *Codec) AppendOutcome(dst []byte, o *schemas.Outcome) []byte {
	if dst, ok := c.header(dst, schemas.EventOutcome); ok {
		return schemas.AppendAvroOutcome(dst, o)
	}
	return schemas.AppendOutcome(dst, o)
}

// DecodeApplication reads an application in either format. While a schema cannot
// be had because the registry is silent, it waits; its error is then ctx's, or the
// registry's once Patience has run out. Any other error is the value's own: see
// IsBroken.
func (c *Codec) DecodeApplication(ctx context.Context, value []byte, a *schemas.Application) error {
	if !schemas.IsAvro(value) {
		return schemas.DecodeApplication(value, a)
	}
	r, body, err := c.reader(ctx, schemas.EventApplication, value)
	if err != nil {
		return err
	}
	return r.Application(body, a)
}

// DecodeCutApplication reads the application_id of an application of which only the
// beginning was kept; known is false where it cannot be read. The error is one of the
// registry.
func (c *Codec) DecodeCutApplication(ctx context.Context, beginning []byte) (id string, known bool, err error) {
	if !schemas.IsAvro(beginning) {
		id, known = schemas.DecodeCutApplication(beginning)
		return id, known, nil
	}
	r, body, err := c.reader(ctx, schemas.EventApplication, beginning)
	if err != nil {
		if IsBroken(err) {
			err = nil
		}
		return "", false, err
	}
	id, known = r.CutApplication(body)
	return id, known, nil
}

// DecodePrediction reads a prediction as DecodeApplication reads an application.
func (c *Codec) DecodePrediction(ctx context.Context, value []byte, p *schemas.Prediction) error {
	if !schemas.IsAvro(value) {
		return schemas.DecodePrediction(value, p)
	}
	r, body, err := c.reader(ctx, schemas.EventPrediction, value)
	if err != nil {
		return err
	}
	return r.Prediction(body, p)
}

// DecodeDecision reads of a prediction what schemas.DecodeDecision does, and more
// where it is in Avro.
func (c *Codec) DecodeDecision(ctx context.Context, value []byte, p *schemas.Prediction) error {
	if !schemas.IsAvro(value) {
		return schemas.DecodeDecision(value, p)
	}
	return c.DecodePrediction(ctx, value, p)
}

// DecodeOutcome reads an outcome as DecodeApplication reads an application.
func (c *Codec) DecodeOutcome(ctx context.Context, value []byte, o *schemas.Outcome) error {
	if !schemas.IsAvro(value) {
		return schemas.DecodeOutcome(value, o)
	}
	r, body, err := c.reader(ctx, schemas.EventOutcome, value)
	if err != nil {
		return err
	}
	return r.Outcome(body, o)
}

// PredictionJSON is a prediction's JSON, given the value it was read from; dst is
// used where that is not JSON already.
func PredictionJSON(dst, value []byte, p *schemas.Prediction) []byte {
	if !schemas.IsAvro(value) {
		return value
	}
	return schemas.AppendPrediction(dst, p)
}
