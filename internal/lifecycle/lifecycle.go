// Package lifecycle runs components together: all start, the first to fail or a
// signal stops all, each drains within a deadline.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Component is one service of the process.
type Component interface {
	// Name says which component this is ("scorer", "view").
	Name() string
	// Run works until ctx ends, then finishes what it has begun and returns nil.
	Run(ctx context.Context) error
	// Ready is nil when the component can do its work, and otherwise says what is
	// missing.
	Ready() error
}

// Group is components that run together, and how they end.
type Group struct {
	Components []Component
	// Watchers show what the components are doing, so they are stopped last.
	Watchers []Component
	// Stopping is called once, as soon as the group is to stop and before any
	// component is; nil disables it.
	Stopping func()
	// Delay is how long the components go on working after ctx has ended for this
	// cause, so that whoever sends them work can hear of it first, and what cuts that
	// short; nil: not at all. A component that ends by itself cuts it short, too.
	Delay func(cause error) (delay time.Duration, hurry <-chan struct{})
	// Drain is how long components may take to finish what they have begun.
	Drain time.Duration
	Log   *slog.Logger
}

// watcherTime is how long watchers may take to return.
const watcherTime = 5 * time.Second

// crew is components with one context.
type crew struct {
	ctx  context.Context
	stop context.CancelFunc
	log  *slog.Logger
	done chan struct{} // closed when all have returned

	mu      sync.Mutex // guards what follows
	errs    []error
	running map[string]bool
}

// start starts components under a context that only stop, or one that returns,
// ends.
func start(ctx context.Context, log *slog.Logger, components []Component) *crew {
	c := &crew{log: log, done: make(chan struct{}), running: map[string]bool{}}
	c.ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, one := range components { // before any runs: one may end at once
		c.running[one.Name()] = true
	}
	var wg sync.WaitGroup
	for _, one := range components {
		wg.Go(func() { c.run(one) })
	}
	go func() { wg.Wait(); close(c.done) }()
	return c
}

func (c *crew) run(one Component) {
	defer c.stop()
	err := one.Run(c.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, one.Name())
	if err == nil && c.ctx.Err() == nil { // as one may whose work has an end
		c.log.Debug("stopping: a component has done its work", "component", one.Name())
	}
	// Cancelled is how one ends that was told to stop, and nobody else.
	if err != nil && (c.ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		c.errs = append(c.errs, fmt.Errorf("%s: %w", one.Name(), err))
		c.log.Info("stopping: a component has failed", "component", one.Name())
	}
}

// drain stops the components and waits for them, so long at most. The errors say
// which failed, and why, and which did not return.
func (c *crew) drain(within time.Duration) []error {
	c.stop()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	late := false
	select {
	case <-c.done:
	case <-deadline.C:
		late = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := c.errs
	if late {
		for name := range c.running {
			errs = append(errs, fmt.Errorf("%s: not drained within %s", name, within))
		}
	}
	return errs
}

// Run runs the components until ctx ends or one of them returns. After that, and
// after the delay, each has the drain time to return. The error says which failed,
// and why, and which did not return; it is for the caller to tell.
func (g Group) Run(ctx context.Context) error {
	watchers, workers := start(ctx, g.Log, g.Watchers), start(ctx, g.Log, g.Components)
	defer watchers.stop()
	defer workers.stop()
	select {
	case <-ctx.Done():
	case <-workers.ctx.Done():
	case <-watchers.ctx.Done():
	}
	if g.Stopping != nil {
		g.Stopping()
	}
	cause := context.Cause(ctx)
	g.Log.Debug("stopping", "cause", cause)
	if ctx.Err() != nil && g.Delay != nil {
		if delay, hurry := g.Delay(cause); delay > 0 {
			g.Log.Info("stopping: unready, still answering", "cause", cause, "delay", delay)
			wait(delay, hurry, workers.ctx.Done(), watchers.ctx.Done())
		}
	}
	errs := workers.drain(g.Drain)
	return errors.Join(append(errs, watchers.drain(watcherTime)...)...)
}

// wait waits for the delay, unless somebody is in a hurry or something has ended.
func wait(delay time.Duration, hurry, workers, watchers <-chan struct{}) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
	case <-workers:
	case <-watchers:
	}
}

// NotReady collects what is missing, a line per component; nil when all are ready.
func NotReady(components ...Component) error {
	var errs []error
	for _, c := range components {
		if err := c.Ready(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// Pending collects what components that can do their work wait for all the same:
// those with a method Pending, a line each; nil when there is nothing.
func Pending(components ...Component) error {
	var errs []error
	for _, c := range components {
		if p, ok := c.(interface{ Pending() error }); ok {
			if err := p.Pending(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", c.Name(), err))
			}
		}
	}
	return errors.Join(errs...)
}
