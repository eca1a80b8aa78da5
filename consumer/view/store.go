// Package view keeps the Redis view of the predictions topic: the last
// prediction of every application, for whoever looks one up by its id. The log
// is the truth; whatever Redis loses is written again from it.
package view

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Store owns every key of the view of one deployment.
type Store struct {
	client redis.UniversalClient
	prefix string
	keys   keys
	chunk  int                              // ids one script handles
	whose  func() (cluster string, ok bool) // whose view it must be; nil: whosever it is
}

// NewStore returns the Store of the deployment named prefix, on a Redis server or
// cluster.
func NewStore(client redis.UniversalClient, prefix string) *Store {
	s := &Store{client: client, prefix: prefix, keys: keysOf(prefix), chunk: 128}
	if _, ok := client.(*redis.ClusterClient); ok {
		s.chunk = 1 // two ids may lie in two slots
	}
	return s
}

// Prediction is an application's last prediction as it stands on the wire.
func (s *Store) Prediction(ctx context.Context, id string) (value []byte, found bool, err error) {
	pipe := s.client.Pipeline()
	whose, asked := s.askWhose(ctx, pipe), pipe.Get(ctx, s.keys.prediction(id))
	_, _ = pipe.Exec(ctx) // each command says what became of it
	if err := s.checkOwn(whose); err != nil {
		return nil, false, err
	}
	stored, err := asked.Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("looking up a prediction: %w", err)
	}
	value, _, ok := cutStamp(stored)
	if !ok {
		return nil, false, fmt.Errorf("looking up a prediction: %s… was not written by the view", s.keys.predictions)
	}
	return value, true, nil
}

// ping asks whether Redis answers.
func (s *Store) ping(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("asking Redis: %w", err)
	}
	return nil
}

// Erase removes an application and says how many of its keys there were. What
// the log still holds comes back when the view is filled again.
func (s *Store) Erase(ctx context.Context, id string) (removed int, err error) {
	pipe := s.client.Pipeline()
	one, two := pipe.Del(ctx, s.keys.prediction(id)), pipe.Del(ctx, s.keys.decided(id))
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("erasing: %w", err)
	}
	return int(one.Val() + two.Val()), nil
}
