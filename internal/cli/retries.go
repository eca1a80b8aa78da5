package cli

import (
	"context"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/consumer/lookup"
	"github.com/creditstream/creditstream/internal/idempotency"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// retriedKeys are the API's idempotency keys in Redis.
type retriedKeys struct{ store *idempotency.Store }

// Claim is part of api.Idempotency.
func (k retriedKeys) Claim(ctx context.Context, key api.IdempotencyKey, digest, note []byte, size int) (api.Claimed, error) {
	c, err := k.store.Claim(ctx, idempotency.Key(key), digest, note, size)
	return api.Claimed(c), err
}

// Keep is part of api.Idempotency.
func (k retriedKeys) Keep(ctx context.Context, key api.IdempotencyKey, token string, digest, note []byte, whole bool) error {
	return k.store.Keep(ctx, idempotency.Key(key), token, digest, note, whole)
}

// Release is part of api.Idempotency.
func (k retriedKeys) Release(ctx context.Context, key api.IdempotencyKey, token string, forget bool) error {
	return k.store.Release(ctx, idempotency.Key(key), token, forget)
}

// maxReads is how many requests may read back at once what was recorded: each has
// connections of its own.
const maxReads = 8

// recordedPredictions is the API's way back from the predictions topic.
type recordedPredictions struct {
	config lookup.Config
	places chan struct{} // one per request that reads
}

func newRecordedPredictions(c lookup.Config) recordedPredictions {
	return recordedPredictions{c, make(chan struct{}, maxReads)}
}

// Predictions is part of api.Recorded.
func (r recordedPredictions) Predictions(ctx context.Context, at []api.Position) ([]schemas.Prediction, []bool, error) {
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	positions := make([]kafka.Position, len(at))
	for i, p := range at {
		positions[i] = kafka.Position(p)
	}
	return lookup.Positions(ctx, r.config, positions)
}
