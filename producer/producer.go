// Package producer emits applications and what became of them: a CSV file
// replayed, or a synthetic population with scenarios.
package producer

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Whose outcomes are told.
const (
	// OutcomesForAll tells those of every application.
	OutcomesForAll = "all"
	// OutcomesForApproved tells those of approved applications, as a lender would
	// know them; decisions are read from the predictions topic.
	OutcomesForApproved = "approved"
)

// Defaults of Config.
const (
	DefaultIDPrefix      = "A-"
	DefaultScenarioAfter = 5_000
	DefaultScenarioRamp  = 5_000
	DefaultMaxPending    = 1_000_000
)

// Config says what to emit and where. The zero value of a field that has a
// default stands for it, unless its comment says otherwise.
type Config struct {
	Kafka  kafka.Config
	Topics schemas.Topics
	Codec  *wire.Codec  // nil: JSON
	Log    *slog.Logger // nil: nothing is logged
	// Registerer takes the metrics; nil: there are none.
	Registerer prometheus.Registerer

	// File is a CSV file to replay; empty: a synthetic population.
	File string
	Loop bool // replay the file again and again

	// Population is who applies; nil: ShippedPopulation.
	Population *Population
	// Truth is an applicant's log-odds of default; scenarios add to them. nil: the
	// population's own rule. One goroutine calls it, for one applicant at a time.
	Truth func(*schemas.Features) float64
	// Seed makes applications repeatable; it is part of every synthetic id, so
	// other seeds give other ids. Any value.
	Seed uint64

	// Start is the number of the first application (with File: rows passed over).
	// Going on where a run stopped, with the same seed, gives new ids.
	Start uint64
	// Count is how many applications to emit; 0: no end (a file: all its rows).
	Count uint64
	// Rate is applications per second; 0: as fast as possible.
	Rate float64
	// IDPrefix begins every id but those of an application_id column.
	IDPrefix string

	// Scenario is one of Scenarios; it begins ScenarioAfter applications after
	// Start and reaches full strength after ScenarioRamp more.
	Scenario      string
	ScenarioAfter uint64 // 0: at once
	ScenarioRamp  uint64

	// Malformed is how many malformed records are mixed in, as a share (0 … 1) of
	// the applications and on top of them.
	Malformed float64

	// OutcomesAfter is how long after an application its outcome is told; 0: never.
	OutcomesAfter time.Duration
	// OutcomesWithin bounds that: an outcome is told once so many more applications
	// were made, however little time has passed; 0: no bound.
	OutcomesWithin uint64
	// OutcomesRate is of how many applications a second the outcome is told at most, of
	// the others never; 0: of all.
	OutcomesRate float64
	// OutcomesFor is OutcomesForApproved or OutcomesForAll.
	OutcomesFor string
	// MaxPending bounds the outcomes held in memory (about 150 bytes each).
	MaxPending int
}

func (c *Config) complete() error {
	if c.IDPrefix == "" {
		c.IDPrefix = DefaultIDPrefix
	}
	if c.Scenario == "" {
		c.Scenario = Steady
	}
	if c.ScenarioRamp == 0 {
		c.ScenarioRamp = DefaultScenarioRamp
	}
	if c.OutcomesFor == "" {
		c.OutcomesFor = OutcomesForApproved
	}
	if c.MaxPending == 0 {
		c.MaxPending = DefaultMaxPending
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Loop && c.File == "":
		return errors.New("loop needs a file to replay")
	case c.Truth != nil && c.File != "":
		return errors.New("a truth needs the synthetic population: a file's rows say what became of them")
	case !validRate(c.Rate):
		return fmt.Errorf("rate %v: must be a number of applications per second, 0 for as fast as possible", c.Rate)
	case !(c.Malformed >= 0 && c.Malformed <= 1):
		return fmt.Errorf("malformed %v: must be a share 0 … 1", c.Malformed)
	case c.OutcomesAfter < 0:
		return fmt.Errorf("outcomes after %s: must not be negative", c.OutcomesAfter)
	case !validRate(c.OutcomesRate):
		return fmt.Errorf("outcomes rate %v: must be a number of applications per second, 0 for all", c.OutcomesRate)
	case c.OutcomesFor != OutcomesForApproved && c.OutcomesFor != OutcomesForAll:
		return fmt.Errorf("outcomes for %q: must be %s or %s", c.OutcomesFor, OutcomesForApproved, OutcomesForAll)
	case c.MaxPending < 0:
		return fmt.Errorf("max pending %d: must be positive", c.MaxPending)
	case len(c.IDPrefix) > maxPrefixBytes || !validID([]byte(c.IDPrefix)):
		return fmt.Errorf("id prefix %.80q: must be at most %d bytes of UTF-8 without control characters", c.IDPrefix, maxPrefixBytes)
	}
	return c.checkScenario(c.Scenario)
}

// Check says what is wrong with a configuration, before anything is opened.
func (c Config) Check() error { return c.complete() }

func (c *Config) checkScenario(name string) error {
	if err := checkScenario(name); err != nil {
		return err
	}
	if c.File != "" && (name == Recession || name == NewSegment) {
		return fmt.Errorf("scenario %s changes who applies and needs the synthetic population: a file's rows are what they are", name)
	}
	return nil
}

// maxPrefixBytes leaves room for a seed's tag and a number in every id.
const maxPrefixBytes = schemas.MaxApplicationID / 2

// validID says whether the contract allows an application_id.
func validID(id []byte) bool { return schemas.ValidApplicationID(id) && utf8.Valid(id) }

func validRate(rate float64) bool { return rate >= 0 && !math.IsInf(rate, 0) }

// Producer emits applications. It is a lifecycle.Component; all its methods are
// safe for concurrent use, Run may be called once.
type Producer struct {
	config   Config
	pace     *pace
	director *director
	started  time.Time

	begun chan struct{} // closed once the topics are there
	begin func()

	flow flow

	produced  atomic.Int64 // acknowledged applications
	broken    atomic.Int64 // acknowledged applications that a broken feed put out of range
	malformed [NumKinds]atomic.Int64
	told      atomic.Int64 // acknowledged outcomes
	// decisions read whose record has another key than their application_id, which counts
	keyDiffers atomic.Int64
	generated  atomic.Uint64
	ended      atomic.Int64 // when emitting ended, Unix nanoseconds; 0: not yet

	mu       sync.Mutex // guards what follows
	outcomes *outcomes  // nil when none are told or before Run
	notReady error
}

// New checks the configuration and the file's header; its error names the field,
// the value and what was expected.
func New(c Config) (*Producer, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if c.File == "" && c.Population == nil {
		p, err := ShippedPopulation()
		if err != nil {
			return nil, err
		}
		c.Population = p
	}
	p := &Producer{
		config:   c,
		pace:     newPace(c.Rate),
		director: newDirector(c.Scenario, c.Start+c.ScenarioAfter, c.ScenarioRamp),
		notReady: errors.New("starting"),
		begun:    make(chan struct{}),
	}
	p.begin = sync.OnceFunc(func() { close(p.begun) })
	// A file that cannot be replayed is found before anything has started.
	src, err := p.open()
	if err != nil {
		return nil, err
	}
	if err := src.Close(); err != nil {
		return nil, err
	}
	if c.Registerer != nil {
		p.register(c.Registerer)
	}
	return p, nil
}

// Name is part of lifecycle.Component.
func (*Producer) Name() string { return "producer" }

// Ready is part of lifecycle.Component.
func (p *Producer) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.notReady != nil {
		return p.notReady
	}
	if d := p.flow.stalled(time.Now()); d > 0 {
		return fmt.Errorf("brokers %s have acknowledged nothing for %s", strings.Join(p.config.Kafka.Brokers, ","), d.Round(time.Second))
	}
	return nil
}

// SetScenario begins a scenario with the next application; it reaches full
// strength after ScenarioRamp more.
func (p *Producer) SetScenario(name string) error {
	if err := p.config.checkScenario(name); err != nil {
		return err
	}
	p.director.set(name)
	return nil
}

// Scenario is the scenario in force.
func (p *Producer) Scenario() string { return *p.director.name.Load() }

// SetRate changes the rate at once: applications per second, 0 for as fast as
// possible.
func (p *Producer) SetRate(rate float64) error {
	if !validRate(rate) {
		return fmt.Errorf("rate %v: must be a number of applications per second, 0 for as fast as possible", rate)
	}
	p.pace.set(rate)
	return nil
}

// Rate is the rate in force, and whether the producer is paused.
func (p *Producer) Rate() (perSecond float64, paused bool) { return p.pace.get() }

// Pause stops emitting applications, or goes on; outcomes are told meanwhile.
func (p *Producer) Pause(paused bool) { p.pace.pause(paused) }

// Counters are what has been emitted so far.
type Counters struct {
	Produced  int64           // applications the broker has acknowledged
	Generated int64           // applications made, acknowledged or not
	Malformed [NumKinds]int64 // acknowledged, by kind
	Broken    int64           // of these, applications that a broken feed put out of range
	Outcomes  int64           // acknowledged
	Pending   int64           // outcomes not due or not decided yet
	// Decisions read for outcomes, whose record has another key than their
	// application_id, which is what counts.
	KeyDiffers int64
	Dropped    int64         // outcomes given up: past MaxPending, never decided, or stopped before they were due
	Next       uint64        // number to start with to go on
	Ended      bool          // no more applications are made
	Elapsed    time.Duration // of emitting applications, until the last was acknowledged
}

// MalformedTotal is the sum over the kinds.
func (c *Counters) MalformedTotal() int64 {
	var n int64
	for _, m := range c.Malformed {
		n += m
	}
	return n
}

// Counters are what has been emitted so far.
func (p *Producer) Counters() Counters {
	c := Counters{Produced: p.produced.Load(), Broken: p.broken.Load(), Outcomes: p.told.Load(), KeyDiffers: p.keyDiffers.Load(), Generated: int64(p.generated.Load())}
	c.Next = p.config.Start + p.generated.Load()
	for i := range p.malformed {
		c.Malformed[i] = p.malformed[i].Load()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.outcomes != nil {
		held, dropped := p.outcomes.counts()
		c.Pending, c.Dropped = int64(held), dropped
	}
	if !p.started.IsZero() {
		end := time.Now()
		if at := p.ended.Load(); at != 0 {
			c.Ended = true
			end = time.Unix(0, at)
			if last := p.flow.last(); last.After(end) {
				end = last
			}
		}
		c.Elapsed = end.Sub(p.started)
	}
	return c
}
