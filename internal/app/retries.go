package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/consumer/lookup"
	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/internal/idempotency"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// retriedKeys are the API's idempotency keys in Redis. A key means a request to one
// cluster's deployment: where another of the same prefix shares the Redis, it has never
// been asked for.
type retriedKeys struct {
	store   *idempotency.Store
	cluster func() (id string, known bool)
}

var errWhichCluster = errors.New("no Kafka broker has said yet which cluster this is")

// key is how the store knows one.
func (k retriedKeys) key(key api.IdempotencyKey) (idempotency.Key, error) {
	cluster, known := k.cluster()
	if !known {
		return idempotency.Key{}, errWhichCluster
	}
	key.Scope = cluster + "\x00" + key.Scope
	return idempotency.Key(key), nil
}

// Claim is part of api.Idempotency.
func (k retriedKeys) Claim(ctx context.Context, key api.IdempotencyKey, digest, note []byte, size int) (api.Claimed, error) {
	own, err := k.key(key)
	if err != nil {
		return api.Claimed{}, err
	}
	c, err := k.store.Claim(ctx, own, digest, note, size)
	return api.Claimed(c), err
}

// Keep is part of api.Idempotency.
func (k retriedKeys) Keep(ctx context.Context, key api.IdempotencyKey, token string, digest, note []byte, whole bool) error {
	own, err := k.key(key)
	if err != nil {
		return err
	}
	return k.store.Keep(ctx, own, token, digest, note, whole)
}

// Release is part of api.Idempotency.
func (k retriedKeys) Release(ctx context.Context, key api.IdempotencyKey, token string, forget bool) error {
	own, err := k.key(key)
	if err != nil {
		return err
	}
	return k.store.Release(ctx, own, token, forget)
}

// viewLookup is the API's way to the view.
type viewLookup struct{ store *view.Store }

// Prediction is part of api.Lookup.
func (l viewLookup) Prediction(ctx context.Context, id string) (value []byte, found bool, err error) {
	value, found, err = l.store.Prediction(ctx, id)
	if _, other := errors.AsType[*view.OtherLogError](err); other {
		return nil, false, fmt.Errorf("%w: %w", api.ErrOtherLog, err)
	}
	return value, found, err
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

// errNoPlace is why nothing is read back for a request. It does not wait: where the log
// answers slowly, those that wait would be ever more, each with its claim on a key.
var errNoPlace = fmt.Errorf("%d requests are being read back already", maxReads)

// inPlace reads in one of the places, if one is free.
func (r recordedPredictions) inPlace(read func() error) error {
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
		return read()
	default:
		return errNoPlace
	}
}

// Predictions is part of api.Recorded.
func (r recordedPredictions) Predictions(ctx context.Context, at []api.Position) (predictions []schemas.Prediction, found []bool, err error) {
	positions := make([]kafka.Position, len(at))
	for i, p := range at {
		positions[i] = kafka.Position(p)
	}
	err = r.inPlace(func() (err error) {
		predictions, found, err = lookup.Positions(ctx, r.config, positions)
		return err
	})
	return predictions, found, err
}

// Since is part of api.Recorded.
func (r recordedPredictions) Since(ctx context.Context, since time.Time, applications []schemas.Application) ([]*api.Published, error) {
	all := make([]*api.Published, len(applications))
	err := r.inPlace(func() error {
		found, err := lookup.Since(ctx, r.config, since, applications)
		for i, f := range found {
			if f != nil {
				all[i] = &api.Published{At: api.Position(f.At), Prediction: f.Prediction}
			}
		}
		return err
	})
	return all, err
}
