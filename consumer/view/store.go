// Package view keeps the Redis view of the predictions topic: the last
// prediction of every application, for whoever looks one up by its id. The log
// is the truth; whatever Redis loses is written again from it.
package view

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/creditstream/creditstream/schemas"
)

// Fields of <prefix>:decided:<id>.
const (
	fieldProbability  = "default_probability"
	fieldModelVersion = "model_version"
	fieldDecision     = "decision"
	fieldSex          = "sex"
	fieldMarriage     = "marriage"
	fieldEducation    = "education"
	fieldAgeBand      = "age_band"
	fieldStamp        = "view"
	fieldOutcome      = "outcome" // which outcome was the first, see Claim
)

// Store owns every key of the view of one deployment.
type Store struct {
	client redis.UniversalClient
	keys   keys
	chunk  int // ids one script handles
}

// NewStore returns the Store of the deployment named prefix, on a Redis server or
// cluster.
func NewStore(client redis.UniversalClient, prefix string) *Store {
	s := &Store{client: client, keys: keysOf(prefix), chunk: 128}
	if _, ok := client.(*redis.ClusterClient); ok {
		s.chunk = 1 // two ids may lie in two slots
	}
	return s
}

// Decided is what is kept of a prediction, longer than the prediction itself,
// for the outcome that comes later. Groups are the contract's codes as text, or
// "missing".
type Decided struct {
	Probability  float32
	ModelVersion string
	Decision     string
	Sex          string
	Marriage     string
	Education    string
	AgeBand      string
	Stamp        Stamp
}

// Prediction is an application's last prediction as it stands on the wire.
func (s *Store) Prediction(ctx context.Context, id string) (value []byte, found bool, err error) {
	stored, err := s.client.Get(ctx, s.keys.prediction(id)).Bytes()
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

// Decided is what is kept of an application's last prediction.
func (s *Store) Decided(ctx context.Context, id string) (d Decided, found bool, err error) {
	h, err := s.client.HGetAll(ctx, s.keys.decided(id)).Result()
	if err != nil {
		return d, false, fmt.Errorf("looking up what was decided: %w", err)
	}
	if len(h) == 0 {
		return d, false, nil
	}
	p, perr := strconv.ParseFloat(h[fieldProbability], 32)
	stamp, ok := parseStamp(h[fieldStamp])
	if perr != nil || !ok {
		return d, false, fmt.Errorf("looking up what was decided: %s… was not written by the view", s.keys.decisions)
	}
	return Decided{
		Probability: float32(p), ModelVersion: h[fieldModelVersion], Decision: h[fieldDecision],
		Sex: h[fieldSex], Marriage: h[fieldMarriage], Education: h[fieldEducation], AgeBand: h[fieldAgeBand],
		Stamp: stamp,
	}, true, nil
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

// decidedOf is what is kept of a prediction.
func decidedOf(p *schemas.Prediction, stamp Stamp) Decided {
	group := func(feature int) string { return schemas.Group(feature, p.Features[feature]) }
	return Decided{
		Probability: p.DefaultProbability, ModelVersion: p.ModelVersion, Decision: p.Decision,
		Sex: group(schemas.FeatureSex), Marriage: group(schemas.FeatureMarriage),
		Education: group(schemas.FeatureEducation), AgeBand: group(schemas.FeatureAge),
		Stamp: stamp,
	}
}
