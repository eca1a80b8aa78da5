package main

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// redisLookup finds predictions in the Redis view.
type redisLookup struct {
	client *redis.Client
}

// Prediction is part of api.Lookup.
func (l redisLookup) Prediction(ctx context.Context, applicationID string) ([]byte, bool, error) {
	value, err := l.client.Get(ctx, "prediction:"+applicationID).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	return value, err == nil, err
}
