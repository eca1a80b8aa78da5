package kafka

import (
	"context"
	"errors"
)

// untilCancelled is what a request returns, or ctx's error as soon as ctx is cancelled:
// the client waits ten seconds for a connection's first answer whatever becomes of ctx,
// and whoever presses Ctrl-C would wait with it. A deadline of ctx is the client's to
// notice, as it has better words for it.
func untilCancelled[T any](ctx context.Context, request func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := request()
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		a := <-answered
		return a.value, a.err
	}
	var none T
	return none, ctx.Err()
}
