package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/retry"
)

// ClusterID asks the brokers for the id of their cluster, "" where they do not say.
func (c Config) ClusterID(ctx context.Context) (string, error) {
	client, err := c.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer client.Close()
	m, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err != nil {
		return "", fmt.Errorf("asking for the id of the cluster: %w", err)
	}
	return m.Cluster, nil
}

// Cluster finds out which cluster the brokers are, and knows it from then on: what is
// kept elsewhere of one cluster's log says nothing about another's. It is a
// lifecycle.Component.
type Cluster struct {
	config Config
	id     atomic.Pointer[string] // nil: not known yet
}

// NewCluster returns a Cluster that has not asked yet. It needs no broker yet.
func NewCluster(c Config) *Cluster { return &Cluster{config: c} }

// ID is the cluster's id, "" where its brokers do not say.
func (c *Cluster) ID() (id string, known bool) {
	p := c.id.Load()
	if p == nil {
		return "", false
	}
	return *p, true
}

// Name is part of lifecycle.Component.
func (*Cluster) Name() string { return "cluster" }

// Ready is part of lifecycle.Component.
func (c *Cluster) Ready() error {
	if _, known := c.ID(); !known {
		return errors.New("no broker has said yet which cluster it belongs to")
	}
	return nil
}

// Run asks until it is known, then waits for ctx to end.
func (c *Cluster) Run(ctx context.Context) error {
	log := c.config.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for {
		asked, cancel := context.WithTimeout(ctx, 5*probeInterval)
		id, err := c.config.ClusterID(asked)
		cancel()
		if err == nil {
			c.id.Store(&id)
			<-ctx.Done()
			return nil
		}
		// Another component says what keeps it from the cluster.
		log.Debug("cannot ask for the cluster's id", "error", err)
		if !retry.Sleep(ctx, probeInterval) {
			return nil
		}
	}
}
