package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopSignal is why the process's context ended: a signal.
type stopSignal struct {
	os.Signal
	again chan struct{} // closed by the next one
}

func (s *stopSignal) Error() string { return s.String() }

// UntilSignal returns a context that the first signal to stop ends: a terminal's
// Ctrl-C, SIGTERM, or SIGHUP unless the process was started to outlive it (nohup).
func UntilSignal(ctx context.Context) (_ context.Context, stop func()) {
	ctx, end := context.WithCancelCause(ctx)
	arrived := make(chan os.Signal, 2)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	signal.Notify(arrived, signals...)
	go func() {
		select {
		case s := <-arrived:
			first := &stopSignal{Signal: s, again: make(chan struct{})}
			end(first)
			<-arrived
			close(first.again)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(arrived)
		end(nil)
	}
}

// shutdownDelay is how long a process that was told to stop goes on answering, and
// what cuts that short. Whoever presses Ctrl-C has no balancer in front of it.
func shutdownDelay(cause error, delay time.Duration) (time.Duration, <-chan struct{}) {
	var by *stopSignal
	if !errors.As(cause, &by) || by.Signal == os.Interrupt {
		return 0, nil
	}
	return delay, by.again
}
