// Package evaluate is the loop around drift/judging: one of any number of evaluators
// reads panes, and puts status and alerts into one transaction with what it needs to go
// on from there.
package evaluate

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/schemas"
)

const (
	fetchWait  = 500 * time.Millisecond
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	// maxPoll is how many panes are folded before the clock is looked at.
	maxPoll = 2000
)

// Group is the consumer group whose members take turns: of the single partition of
// panes there is one owner. Each prefix on a cluster has its own.
func Group(prefix string) string { return prefix + "-drift-evaluator" }

// Defaults of Config.
const (
	defaultTick    = time.Second
	defaultBetween = 5 * time.Second
	defaultEvery   = 10 * time.Second
)

// Notifier is told of alerts once they are in the log. When an evaluator takes over,
// it is told again of those that fire and of those just resolved: the one before
// may not have come to it. It must not wait for anybody.
type Notifier interface {
	Notify(alerts []schemas.Alert)
}

// Config is what an Evaluator needs. What is 0 of Settings, and durations that are 0,
// take their default.
type Config struct {
	Kafka      kafka.Config
	Topics     schemas.Topics
	Settings   judging.Settings
	Tick       time.Duration          // between looks at what has changed: how late an alert may be
	Between    time.Duration          // between status records while decisions come in and no alert changes
	Every      time.Duration          // between status records while nothing comes in
	Champion   func() *drift.Champion // nil result: nothing serves yet; once it is not nil it stays so
	Notifier   Notifier               // nil: nobody is told
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now
}

// Evaluator is the component. Any number may run; one works, the others wait for
// its session to end.
type Evaluator struct {
	config  Config
	metrics *metrics
	waits   *kafka.OpenWatch // transactions left open on the panes
	looks   time.Duration    // between one look for them and the next

	mu  sync.Mutex // guards why
	why error      // why it is not ready
}

// New returns an Evaluator that is not running yet.
func New(c Config) (*Evaluator, error) {
	if len(c.Settings.Windows) == 0 {
		return nil, errors.New("the evaluator needs at least one window")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Tick = cmp.Or(c.Tick, defaultTick)
	c.Between = cmp.Or(c.Between, defaultBetween)
	c.Every = cmp.Or(c.Every, defaultEvery)
	c.Settings = c.Settings.WithDefaults()
	e := &Evaluator{config: c, looks: kafka.WatchInterval, metrics: newMetrics(c.Registerer), why: errors.New("starting")}
	e.waits = kafka.NewOpenWatch(kafka.OpenWatchConfig{
		Component: e.Name(), Topic: c.Topics.DriftPanes, Log: c.Log, Registerer: c.Registerer, Since: c.Kafka.Since,
	})
	return e, nil
}

// Name is part of lifecycle.Component.
func (*Evaluator) Name() string { return "drift-evaluator" }

// Ready is nil when the evaluator works, or waits for the one that does.
func (e *Evaluator) Ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.why
}

// Pending says which panes wait behind transactions that were left open: they are not
// judged until those end, and whatever moves meanwhile is no alert.
func (e *Evaluator) Pending() error { return e.waits.Pending() }

func (e *Evaluator) note(why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.why = why
}

// Run evaluates until ctx ends.
func (e *Evaluator) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.config.Kafka.WatchOpen(ctx, e.looks, e.waits) })
	group.Go(func() error { return e.evaluate(ctx) })
	return group.Wait()
}

func (e *Evaluator) evaluate(ctx context.Context) error {
	return retry.Until(ctx, retry.Pause{First: firstPause, Max: maxPause}, e.attempt, func(err error, in time.Duration) error {
		if in == 0 { // told to stop is not a failure
			return nil
		}
		e.note(err)
		if kafka.IsPermanent(err) {
			return err
		}
		e.config.Log.Warn("the drift evaluator starts again", "error", err, "in", in)
		return nil
	})
}

// attempt works with one client until ctx ends or an error asks for another. worked
// says whether it wrote a status.
func (e *Evaluator) attempt(ctx context.Context) (worked bool, err error) {
	if err := e.require(ctx); err != nil {
		return false, e.config.Kafka.Explain(err)
	}
	for e.config.Champion() == nil {
		e.note(errors.New("no model serves: release one and route to it"))
		if !retry.Sleep(ctx, 50*time.Millisecond) {
			return false, ctx.Err()
		}
	}
	worked, err = e.work(ctx)
	return worked, e.config.Kafka.Explain(err)
}

// require asks for the topics and what may be done with them.
func (e *Evaluator) require(ctx context.Context) error {
	client, err := e.config.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	t := e.config.Topics
	return kafka.RequireAccess(ctx, kadm.NewClient(client),
		kafka.Reads(t.DriftPanes, t.DriftStatus), kafka.Writes(t.DriftStatus, t.DriftAlerts))
}

func (e *Evaluator) transactionalID() string { return Group(e.config.Kafka.Prefix) }
