// Package stream is the exactly-once loop around the scorer: committed
// applications in; predictions, dead letters and offsets out, in one transaction.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
)

const (
	sessionTimeout = 10 * time.Second
	// A member that hangs must not be able to commit after its partitions moved.
	transactionTimeout = 8 * time.Second
	// What one transaction's produce and end may take, whatever SIGTERM says.
	endTimeout = 15 * time.Second
	// What one transaction may hold when there is a backlog.
	maxBatch = 20_000
	// The dead letters' max.message.bytes: an application of 1 MiB fits whole.
	maxRecord = 2 << 20
)

// Config is what the loop needs.
type Config struct {
	Kafka      kafka.Config
	Topics     schemas.Topics
	Group      string
	Instance   string // unique in the group, the same after a restart
	Sessions   int    // transactional sessions of this process, at least 1
	From       From
	Live       func() *release.LiveSet // nil result: nothing serves yet
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now
}

// Scorer is the component.
type Scorer struct {
	config  Config
	metrics *metrics

	mu       sync.Mutex
	sessions []*session
}

// New returns a Scorer that is not running yet.
func New(c Config) (*Scorer, error) {
	if c.Group == "" || c.Instance == "" || c.Sessions < 1 {
		return nil, errors.New("the scorer needs a group, an instance and at least one session")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Scorer{config: c, metrics: newMetrics(c.Registerer)}, nil
}

// Name is part of lifecycle.Component.
func (*Scorer) Name() string { return "scorer" }

// Ready says whether every session is a member of the group and a model serves.
func (s *Scorer) Ready() error {
	if s.config.Live() == nil {
		return errors.New("no model serves")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) < s.config.Sessions {
		return errors.New("starting")
	}
	for _, one := range s.sessions {
		if err := one.ready(); err != nil {
			return err
		}
	}
	return nil
}

// Run scores until ctx ends, then finishes the transactions it has begun.
func (s *Scorer) Run(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range s.config.Sessions {
		one := newSession(s, s.transactionalID(i))
		s.mu.Lock()
		s.sessions = append(s.sessions, one)
		s.mu.Unlock()
		group.Go(func() error { return one.run(ctx) })
	}
	return group.Wait()
}

func (s *Scorer) transactionalID(session int) string {
	c := s.config
	return c.Kafka.Prefix + "-" + c.Group + "-" + c.Instance + "-" + strconv.Itoa(session)
}

// prepare checks the topics and commits where the group starts.
func (s *Scorer) prepare(ctx context.Context) error {
	client, err := kgo.NewClient(s.config.Kafka.Options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	t := s.config.Topics
	if err := kafka.RequireTopics(ctx, adm, t.Applications, t.Predictions, t.DLQ); err != nil {
		return err
	}
	return s.start(ctx, adm)
}

// fatal says why an error ends the process, nil when a new client may help.
func (s *Scorer) fatal(err error) error {
	switch {
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.FencedInstanceID):
		return fmt.Errorf("another process runs as instance %q of group %q, or this one hung for longer than %s; give each process its own --instance: %w", s.config.Instance, s.config.Group, transactionTimeout, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		t := s.config.Topics
		return fmt.Errorf("not authorised: needs READ on topic %s and WRITE on %s and %s: %w", t.Applications, t.Predictions, t.DLQ, err)
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return fmt.Errorf("not authorised: needs READ on group %s: %w", s.config.Group, err)
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Errorf("not authorised: needs WRITE on transactional ids %s…: %w", s.transactionalID(0), err)
	case errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.SaslAuthenticationFailed):
		return err
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return fmt.Errorf("a topic is gone; run: creditstream topics apply: %w", err)
	}
	return nil
}
