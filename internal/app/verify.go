package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/creditstream/creditstream/audit/recompute"
	"github.com/creditstream/creditstream/consumer/verify"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
)

// Verify judges a run as verify.Run does, and makes every decision again, with the models
// and routes on their topics. unrouted are bundles that may have served without a route.
func Verify(ctx context.Context, c verify.Config, unrouted ...[]byte) (*verify.Report, error) {
	again, err := recompute.New(func() (recompute.Past, int64, error) {
		history, err := release.ReadAll(ctx, c.Kafka, c.Topics)
		if err != nil {
			return nil, 0, err
		}
		return past(history, unrouted)
	})
	if err != nil {
		return nil, err
	}
	c.Recompute = func(p *schemas.Prediction) (schemas.Prediction, error) {
		out, err := again.Decide(p)
		if missing, ok := errors.AsType[*recompute.MissingError](err); ok {
			return out, &verify.UnreproducibleError{Why: missing.Why}
		}
		return out, err
	}
	return verify.Run(ctx, c)
}

// past is what decided until now, and the number of the newest route.
func past(history *release.History, unrouted [][]byte) (recompute.Past, int64, error) {
	archive, err := release.NewArchive(history, unrouted...)
	if err != nil {
		return nil, 0, fmt.Errorf("the bundle that served without a route: %w", err)
	}
	if current := history.Current(); current != nil {
		return archive, current.Number, nil
	}
	return archive, -1, nil
}
