// Package release carries models and routes over their topics: it writes
// bundles and routes, and follows both into the live set that every replica
// serves.
package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// retryPause is between attempts to read the topics.
const retryPause = time.Second

// Config is what a Follower needs.
type Config struct {
	Kafka    kafka.Config
	Topics   schemas.Topics
	Engine   string // model.EngineAuto, EngineNative or EngineONNX
	Fallback []byte // the bundle that serves where there never was a route; nil: none does
	// Known is the highest route revision that somebody is known to have read, and who;
	// -1 where nobody is. Asked once, where there is a Fallback. nil disables it.
	Known      func(ctx context.Context) (revision int64, who string, err error)
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// Follower follows the models and routes topics into the live set: that of the
// newest route whose bundles all open. It is a lifecycle.Component.
//
// One goroutine reads, another opens bundles: a slow or broken one never stops
// what serves.
type Follower struct {
	config   Config
	metrics  *metrics
	fallback *model.LiveSet // nil: none
	live     atomic.Pointer[model.LiveSet]
	changed  chan struct{} // something was read that may change what serves
	open     []*kafka.OpenWatch
	interval time.Duration // between one look for open transactions and the next
	idle     time.Duration // how long nothing new may come before it is looked up why
	pause    time.Duration // between attempts to read the topics

	mu       sync.Mutex // guards what follows
	history  *History
	caughtUp bool
	reading  error             // what keeps it from reading
	pending  error             // why the newest route does not serve
	lost     error             // why the fallback must not serve although no route is there; nil where it may
	asked    bool              // Config.Known has answered
	refused  map[string]string // version → reason
	released []string          // versions that came or went since the last look
}

// NewFollower opens the fallback, if there is one. It serves once the topics
// have been read and hold no route.
func NewFollower(c Config) (*Follower, error) {
	f := &Follower{
		config: c, metrics: newMetrics(c.Registerer), changed: make(chan struct{}, 1),
		history: &History{topics: c.Topics}, refused: map[string]string{}, interval: kafka.WatchInterval, idle: idleQuiet, pause: retryPause,
	}
	for _, topic := range []string{c.Topics.Models, c.Topics.Routes} {
		f.open = append(f.open, kafka.NewOpenWatch(kafka.OpenWatchConfig{
			Component: f.Name(), Topic: topic, Log: c.Log, Registerer: c.Registerer, Since: c.Kafka.Since,
		}))
	}
	if c.Fallback != nil {
		var err error
		if f.fallback, err = model.Fixed(c.Fallback, c.Engine, policy.DefaultText); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Live is what serves now; nil while nothing does.
func (f *Follower) Live() *model.LiveSet { return f.live.Load() }

// Name is part of lifecycle.Component.
func (*Follower) Name() string { return "models" }

// Ready is part of lifecycle.Component: both topics were read to the ends found
// at the start, and something serves. While a new route waits for its bundles,
// the old one does: Pending says so.
func (f *Follower) Ready() error {
	live := f.Live()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.caughtUp && f.reading != nil:
		return f.reading
	case !f.caughtUp:
		return fmt.Errorf("reading %s and %s", f.config.Topics.Models, f.config.Topics.Routes)
	case live != nil:
		return nil
	case f.pending != nil:
		return f.pending
	case f.history.Current() == nil && f.fallback == nil:
		return errors.New("no route yet: run creditstream model route, or start with --model shipped")
	}
	return errors.New("opening the models")
}

// Pending is nil when what serves is what the newest route says; otherwise it
// says what that route waits for. Routes and bundles behind a transaction that was left
// open cannot be read, nor those in and behind a batch that is damaged: it says that too.
func (f *Follower) Pending() error {
	f.mu.Lock()
	waits := []error{f.pending}
	if f.caughtUp { // else Ready says it
		waits = append(waits, f.reading)
	}
	f.mu.Unlock()
	for _, w := range f.open {
		waits = append(waits, w.Pending())
	}
	return errors.Join(waits...)
}

// Status is what a Follower serves and what it waits for.
type Status struct {
	Revision int64     // that serves, -1 where no route does
	Newest   int64     // newest route, -1 where there is none
	Versions []string  // that are in use
	Pending  string    // why the newest route does not serve, "" when it does
	Refused  []Refusal // by version
}

// Refusal is a bundle that a route named and that cannot serve.
type Refusal struct {
	Version string
	Reason  string
}

// Status is the state now.
func (f *Follower) Status() Status {
	s := Status{Revision: -1, Newest: -1}
	if live := f.Live(); live != nil {
		s.Revision, s.Versions = live.Revision, live.Versions()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.history.Current(); r != nil {
		s.Newest = r.Number
	}
	if f.pending != nil {
		s.Pending = f.pending.Error()
	} else if damaged, ok := errors.AsType[*kafka.UnreadableError](f.reading); ok {
		s.Pending = damaged.Error()
	}
	for v, reason := range f.refused {
		s.Refused = append(s.Refused, Refusal{v, reason})
	}
	slices.SortFunc(s.Refused, func(a, b Refusal) int { return cmp.Compare(a.Version, b.Version) })
	return s
}

// Run is part of lifecycle.Component.
func (f *Follower) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.follow(ctx) })
	group.Go(func() error { return f.settleOnChange(ctx) })
	group.Go(func() error { return f.config.Kafka.WatchOpen(ctx, f.interval, f.open...) })
	return group.Wait()
}

// follow reads until ctx ends or trying again would not help. Brokers that
// cannot be reached are waited for, however long.
func (f *Follower) follow(ctx context.Context) error {
	attempt := func(ctx context.Context) (bool, error) { return false, f.config.Kafka.Explain(f.read(ctx)) }
	return retry.Until(ctx, retry.Pause{First: f.pause, Max: f.pause}, attempt, func(err error, in time.Duration) error {
		switch {
		case in == 0:
			return nil
		case kafka.IsPermanent(err):
			return err
		}
		f.noteUnread(err)
		return nil
	})
}

// noteUnread keeps why models and routes are not read on, and tells when that is news.
func (f *Follower) noteUnread(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	again := f.reading != nil && f.reading.Error() == why.Error()
	f.reading = why
	if !again {
		f.config.Log.Warn("cannot follow models and routes; retrying", "error", why)
	}
}

// read follows with one client. What a client before it has read is read again
// and ignored.
func (f *Follower) read(ctx context.Context) error {
	r, err := openReader(ctx, f.config.Kafka, f.config.Topics, f.idle, f.pause, f.ignore)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.findEnds(ctx); err != nil {
		return err
	}
	if err := f.askWhatIsKnown(ctx, r.firstRoute); err != nil {
		return err
	}
	for {
		f.noteProgress(r.caughtUp(), r.stalled())
		if err := r.poll(ctx, f.take); err != nil {
			return err
		}
	}
}

// askWhatIsKnown finds out whether there was a route that is gone: retention or
// somebody has removed it, or the topic. What serves where there never was one would
// then decide in its place, and nobody would notice.
func (f *Follower) askWhatIsKnown(ctx context.Context, firstRoute int64) error {
	topic := f.config.Topics.Routes
	if f.fallback == nil {
		return nil
	}
	if firstRoute > 0 {
		f.noteLost(fmt.Errorf("routes before offset %d of %s are gone", firstRoute, topic))
	}
	if f.config.Known == nil || f.asked {
		return nil
	}
	revision, who, err := f.config.Known(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("looking whether a route was known: %w", err)
	case revision >= 0:
		f.noteLost(fmt.Errorf("%s has read route revision %d of %s, which holds none", who, revision, topic))
	}
	f.asked = true
	return nil
}

// noteLost keeps why the fallback must not serve.
func (f *Follower) noteLost(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost == nil {
		f.lost = fmt.Errorf("%w: the model of --model does not serve in the place of a route that is lost; look at creditstream topics list, and write the route again: creditstream model route", why)
	}
}

// noteProgress wakes the opening goroutine once the ends are reached; what was
// superseded before that is never opened. stalled is what it cannot read past.
// What kept it from reading counts as over only once a client has reached the ends: one
// that begins again comes to what cannot be read last.
func (f *Follower) noteProgress(caughtUp bool, stalled error) {
	if stalled != nil {
		f.noteUnread(stalled)
	}
	f.mu.Lock()
	if caughtUp && stalled == nil {
		f.reading = nil
	}
	f.caughtUp = f.caughtUp || caughtUp
	caughtUp = f.caughtUp
	f.mu.Unlock()
	if caughtUp {
		f.wake()
	}
}

// wake lets the opening goroutine look again.
func (f *Follower) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// take notes a record.
func (f *Follower) take(rec *kgo.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.history.add(rec) {
		if rec.Topic == f.config.Topics.Models {
			f.released = append(f.released, string(rec.Key))
		}
		return
	}
	for _, p := range f.history.problems {
		if p.Topic == f.config.Topics.Routes && f.lost == nil {
			f.lost = fmt.Errorf("%s: the model of --model does not serve in the place of a route that cannot be read; write another: creditstream model route", p)
		}
	}
	f.reportProblems()
}

// ignore notes a batch that no bundle and no route is in: none is lost by it.
func (f *Follower) ignore(u *kafka.UnreadableError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.history.addForeign(u)
	f.reportProblems()
}

// reportProblems logs and counts records that do not count. f.mu is held.
func (f *Follower) reportProblems() {
	for _, p := range f.history.problems {
		f.metrics.problems.Inc()
		f.config.Log.Error("record ignored", "topic", p.Topic, "offset", p.Offset, "reason", p.Reason)
	}
	f.history.problems = nil
}

// settleOnChange opens what routes name until ctx ends.
func (f *Follower) settleOnChange(ctx context.Context) error {
	o := newOpener(f.config.Engine, func(version string) ([]byte, bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.history.Bundle(version)
	})
	o.inBackground(ctx, f.wake)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.changed:
			f.settle(o)
		}
	}
}

// settle makes the newest route that can take effect the live one. A replica
// that starts while the newest waits for its bundles thereby serves what the
// others serve.
func (f *Follower) settle(o *opener) {
	f.mu.Lock()
	routes, released, lost := f.history.Revisions(), f.released, f.lost
	f.released = nil
	for _, v := range released {
		o.forget(v)
		delete(f.refused, v)
		f.metrics.refused.DeleteLabelValues(v)
	}
	f.mu.Unlock()
	live := f.Live()
	var pending error
	tried := map[string]bool{}
	switch {
	case len(routes) > 0:
		for _, r := range slices.Backward(routes) {
			if live != nil && r.Number <= live.Revision {
				break
			}
			for _, v := range named(r.Route) {
				tried[v] = true
			}
			set, err := o.set(r)
			if err == nil {
				if pending == nil { // whoever sees it serve sees nothing waiting any more
					f.notePending(nil)
				}
				f.serve(set)
				break
			}
			f.noteRefusal(err)
			_, opening := errors.AsType[*openingError](err)
			switch {
			case pending == nil:
				pending = fmt.Errorf("route revision %d waits: %w", r.Number, err)
			case opening:
				pending = fmt.Errorf("%w; %w instead", pending, err)
			}
			if opening { // it will be known soon, and what is older is opened only where it has to
				break
			}
		}
	case live == nil && f.fallback != nil && lost != nil:
		pending = lost
	case live == nil && f.fallback != nil:
		f.serve(f.fallback)
	}
	inUse := map[string]bool{}
	if live = f.Live(); live != nil {
		for _, v := range live.Versions() {
			inUse[v] = true
		}
	}
	if len(routes) > 0 {
		newest := routes[len(routes)-1]
		f.metrics.newest.Set(float64(newest.Number))
		for _, v := range named(newest.Route) {
			inUse[v] = true
		}
	}
	o.keep(inUse)
	o.abandon(tried)
	f.metrics.nowOpening(o.inProgress())
	f.notePending(pending)
}

// serve makes a set the live one.
func (f *Follower) serve(set *model.LiveSet) {
	f.live.Store(set)
	f.metrics.serving(set)
	log := f.config.Log.With("champion", set.Champion.Version, "policy", set.Policy.Version)
	if set.Canary != nil {
		log = log.With("canary", set.Canary.Version, "share", float64(set.CanaryShare)/model.ShareScale)
	}
	if set.Shadow != nil {
		log = log.With("shadow", set.Shadow.Version, "shadow_engine", set.Shadow.Engine)
	}
	if set.Revision < 0 {
		log.Info("serving without a route")
		return
	}
	log.Info("serving", "route_revision", set.Revision)
}

// noteRefusal remembers a refused bundle and tells of it once.
func (f *Follower) noteRefusal(err error) {
	var refused *refusedError
	if !errors.As(err, &refused) || refused.version == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	reason := refused.reason.Error()
	if f.refused[refused.version] == reason {
		return
	}
	f.refused[refused.version] = reason
	f.metrics.refused.WithLabelValues(refused.version).Set(1)
	f.config.Log.Error("model refused", "model_version", refused.version, "reason", reason)
}

// notePending remembers why the newest route does not serve, and tells of it
// once.
func (f *Follower) notePending(pending error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := f.pending != nil && pending != nil && f.pending.Error() == pending.Error()
	if f.pending = pending; pending == nil || told {
		return
	}
	if opening, ok := errors.AsType[*openingError](pending); ok {
		f.config.Log.Info("opening a model", "model_version", opening.version)
		return
	}
	if live := f.Live(); live != nil {
		f.config.Log.Warn("the newest route does not serve yet, the one before does", "reason", pending, "route_revision", live.Revision)
		return
	}
	f.config.Log.Warn("nothing serves yet", "reason", pending)
}
