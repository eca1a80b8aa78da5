package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/creditstream/creditstream/internal/local"
)

// diskWatch ends the demo when its Kafka cannot write: clients are only answered
// UNKNOWN_SERVER_ERROR. It is a lifecycle.Component.
type diskWatch struct{ broker *local.Kafka }

// Name is part of lifecycle.Component.
func (diskWatch) Name() string { return "disk" }

// Ready is part of lifecycle.Component.
func (w diskWatch) Ready() error { return w.broker.Failure() }

// Run waits until ctx ends, or the broker cannot write.
func (w diskWatch) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-w.broker.Failed():
		return w.broker.Failure()
	}
}

// explained is an error with the disk's instead, where that is the cause.
func (d *demo) explained(err error) error {
	if err == nil || d.broker == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if cause := d.broker.Failure(); cause != nil {
		return fmt.Errorf("%w; free some space, or name another folder with --data-dir", cause)
	}
	return err
}
