package app

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/api/feed"
	"github.com/creditstream/creditstream/consumer/lookup"
	"github.com/creditstream/creditstream/consumer/tail"
	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/latest"
	"github.com/creditstream/creditstream/internal/idempotency"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/replica/reports"
)

// API says where the API answers, and whom.
type API struct {
	Listener net.Listener // closed with the services
	TLS      *tls.Config  // nil: plain HTTP
	Keys     *api.Keys    // nil: no key is asked for
	NoAuth   bool         // without keys, whoever reaches it is answered
	Proxies  api.Proxies
	Limits   api.Limits
	Feed     bool     // all decisions are followed for the page
	Demo     api.Demo // nil: this is none
	Redis    redisconn.Config
	// Delay is how long it continues to answer once the process is told to stop, by what
	// ended its context, and what cuts that short; nil: it stops at once.
	Delay func(cause error) (time.Duration, <-chan struct{})
}

// AddAPI adds the API.
func (s *Services) AddAPI(c API) error {
	s.Free(func() { _ = c.Listener.Close() }) // the server has closed it, unless it never ran
	models, err := s.follower()
	if err != nil {
		return err
	}
	prefix := s.config.Kafka.Prefix
	writer, err := kafka.NewWriter(s.Client("api"), s.topics.Predictions, c.Limits.Publish)
	if err != nil {
		return err
	}
	s.Free(writer.Close)
	client := c.Redis.Open()
	s.Free(func() { _ = client.Close() }) // nothing is left to be written
	var parts []lifecycle.Component
	if c.Keys != nil {
		parts = append(parts, c.Keys)
	}
	var shown *feed.Feed
	if c.Feed {
		shown = feed.New()
		parts = append(parts, tail.NewFollower(tail.FollowerConfig{Kafka: s.Client("feed"), Topics: s.topics, Codec: s.codec, Each: shown.Add, Log: s.log}))
	}
	status := latest.NewFollower(s.Client("drift-status"), s.topics, s.log, s.reg)
	replicas := reports.NewFollower(s.Client("replicas"), s.topics, s.log)
	cluster := s.whichCluster()
	own := view.NewStore(client, prefix).Of(cluster.ID)
	watch := &redisWatch{client: client, view: own, log: s.log}
	latency := replica.NewLatencies()
	server, err := api.New(api.Config{
		Listener: c.Listener, TLS: c.TLS, Live: models.Live, Publisher: predictionPublisher{writer, s.codec}, Lookup: viewLookup{own},
		Idempotency: retriedKeys{idempotency.NewStore(client, prefix, c.Limits.Lease(), api.NoteKept), cluster.ID},
		Recorded:    newRecordedPredictions(lookup.Config{Kafka: s.Client("retries"), Topics: s.topics, Codec: s.codec}),
		Feed:        shown, Drift: driftFeed{status}, Demo: c.Demo, Replicas: replicas, Latencies: latency, Keys: c.Keys, Proxies: c.Proxies, Limits: c.Limits,
		// Without keys, being on this machine is what lets a caller in.
		LocalOnly: c.Keys == nil && !c.NoAuth,
		Metrics:   promhttp.HandlerFor(s.reg, promhttp.HandlerOpts{}), Ready: s.process.ready, Pending: s.process.pending, Stopping: s.process.begun,
		Version: s.config.Version, Log: s.log, Registerer: s.reg, Now: time.Now,
	})
	if err != nil {
		return err
	}
	s.delay = c.Delay
	shared := []lifecycle.Component{cluster}
	s.addSharing(apiReport(latency), true, shared, append(parts, status, replicas, writer, watch, server)...)
	return nil
}
