package release

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// Config is what a Follower needs.
type Config struct {
	Kafka      kafka.Config
	Topics     schemas.Topics
	Engine     string // model.EngineAuto, EngineNative or EngineONNX
	Fallback   []byte // the bundle that serves while no route exists; nil: none does
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// Follower follows the models and routes topics into the live set. It is a
// lifecycle.Component.
type Follower struct {
	config Config
	live   atomic.Pointer[LiveSet]
}

// NewFollower opens the fallback, if there is one.
func NewFollower(c Config) (*Follower, error) {
	f := &Follower{config: c}
	if c.Fallback != nil {
		set, err := Fixed(c.Fallback, c.Engine, schemas.DefaultPolicyText)
		if err != nil {
			return nil, err
		}
		f.live.Store(set)
	}
	return f, nil
}

// Live is what serves now; nil while nothing does.
func (f *Follower) Live() *LiveSet { return f.live.Load() }

// Name is part of lifecycle.Component.
func (*Follower) Name() string { return "models" }

// Ready is part of lifecycle.Component.
func (f *Follower) Ready() error {
	if f.Live() == nil {
		return errors.New("no model serves")
	}
	return nil
}

// Run is part of lifecycle.Component.
func (f *Follower) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
