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

// Run runs the components until ctx ends or one of them fails. After that each
// has the drain time to return. The error says which failed, and why, and which did
// not return; it is for the caller to tell.
func Run(ctx context.Context, drain time.Duration, log *slog.Logger, components ...Component) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		mu      sync.Mutex // guards errs and running
		errs    []error
		running = map[string]bool{}
		wg      sync.WaitGroup
	)
	for _, c := range components { // before any runs: one may end at once
		running[c.Name()] = true
	}
	for _, c := range components {
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer stop()
			err := c.Run(ctx)
			mu.Lock()
			defer mu.Unlock()
			delete(running, c.Name())
			// Cancelled is how one ends that was told to stop, and nobody else.
			if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
				errs = append(errs, fmt.Errorf("%s: %w", c.Name(), err))
				log.Info("stopping: a component has failed", "component", c.Name())
			}
		}()
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	<-ctx.Done()
	deadline := time.NewTimer(drain)
	defer deadline.Stop()
	select {
	case <-done:
	case <-deadline.C:
		mu.Lock()
		for name := range running {
			errs = append(errs, fmt.Errorf("%s: not drained within %s", name, drain))
		}
		mu.Unlock()
	}
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(errs...)
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
