package cli

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/consumer/lookup"
	"github.com/creditstream/creditstream/consumer/tail"
	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/latest"
	"github.com/creditstream/creditstream/internal/certs"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/idempotency"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

type apiCmd struct {
	Kafka    flags.Kafka    `embed:""`
	Redis    flags.Redis    `embed:""`
	Listen   flags.Listen   `embed:""`
	Model    flags.Model    `embed:""`
	Instance flags.Instance `embed:""`
	API      flags.API      `embed:""`
}

// apiParts are what the API shares with other components of the process.
type apiParts struct {
	kafka *flags.Kafka
	redis redisconn.Config
	codec *wire.Codec
	// listener is where it answers; nil: where the flags say.
	listener net.Listener
	live     func() *model.LiveSet
	latency  *replica.Latencies // of decisions; nil: nobody asks
	reg      *prometheus.Registry
	process  *readiness // of all that the process runs
	demo     api.Demo   // nil: this is none
}

// components are the API and what it needs of its own; stop frees what they hold
// once they have run.
func apiComponents(p *process, f *flags.API, parts apiParts) (all []lifecycle.Component, stop func(), err error) {
	if err := f.Check(); err != nil {
		return nil, nil, err
	}
	proxies, err := api.ParseProxies(f.TrustedProxies)
	if err != nil {
		return nil, nil, flags.Usagef("--trusted-proxies %w", err)
	}
	var keys *api.Keys
	if f.Keys != "" {
		if keys, err = api.OpenKeys(f.Keys, p.log); err != nil {
			return nil, nil, fmt.Errorf("--api-keys: %w", err)
		}
		all = append(all, keys)
	}
	var encrypted *tls.Config
	if f.TLSCert != "" {
		if encrypted, err = certs.NewServer(certs.Files{Flags: "--api-tls", Cert: f.TLSCert, Key: f.TLSKey}, p.log); err != nil {
			return nil, nil, err
		}
	} else if keys != nil && !flags.OnLoopback(f.Listen) {
		p.log.Warn("the API speaks plain HTTP: keys cross the network in the clear unless a proxy in front of it ends TLS; set --api-tls-cert and --api-tls-key otherwise", "address", f.Listen)
	}
	if len(proxies) > 0 && keys == nil {
		p.log.Warn("no key is asked for: whoever the trusted proxies let through is answered", "trusted_proxies", f.TrustedProxies)
	}
	writer, err := kafka.NewWriter(parts.kafka.Config(p.log).For("api"), parts.kafka.Topics().Predictions, f.PublishTimeout)
	if err != nil {
		return nil, nil, err
	}
	listener := parts.listener
	if listener == nil {
		if listener, err = net.Listen("tcp", f.Listen); err != nil {
			writer.Close()
			return nil, nil, fmt.Errorf("--api-listen %s: %w", f.Listen, err)
		}
	}
	client := parts.redis.Open()
	var feed api.Feed
	if f.Feed {
		follow := tail.NewFeed(tail.FeedConfig{Kafka: parts.kafka.Config(p.log).For("feed"), Topics: parts.kafka.Topics(), Codec: parts.codec, Log: p.log})
		all, feed = append(all, follow), pageFeed{follow}
	}
	status := latest.NewFollower(parts.kafka.Config(p.log).For("drift-status"), parts.kafka.Topics(), p.log)
	all = append(all, status)
	replicas := reports.NewFollower(parts.kafka.Config(p.log).For("replicas"), parts.kafka.Topics(), p.log)
	all = append(all, replicas)
	cluster := kafka.NewCluster(parts.kafka.Config(p.log).For("cluster"))
	own := view.NewStore(client, parts.kafka.Prefix).Of(cluster.ID)
	watch := &redisWatch{client: client, view: own, log: p.log}
	limits := api.Limits{PerSecond: f.RateLimit, Burst: f.RateBurst, InFlight: f.MaxInFlight, PerCaller: f.MaxPerCaller, Publish: f.PublishTimeout}
	back := lookup.Config{Kafka: parts.kafka.Config(p.log).For("retries"), Topics: parts.kafka.Topics(), Codec: parts.codec}
	server, err := api.New(api.Config{
		Listener: listener, TLS: encrypted, Live: parts.live, Publisher: predictionPublisher{writer, parts.codec}, Lookup: viewLookup{own},
		Idempotency: retriedKeys{idempotency.NewStore(client, parts.kafka.Prefix, limits.Lease(), api.NoteKept), cluster.ID}, Recorded: newRecordedPredictions(back), Feed: feed, Drift: driftFeed{status}, Demo: parts.demo, Replicas: replicas, Latencies: parts.latency, Keys: keys, Proxies: proxies, Limits: limits,
		// Without keys, being on this machine is what lets a caller in (flags.API.Check).
		LocalOnly: keys == nil && !f.NoAuth,
		Metrics:   promhttp.HandlerFor(parts.reg, promhttp.HandlerOpts{}), Ready: parts.process.ready, Pending: parts.process.pending, Stopping: parts.process.begun,
		Version: version(), Log: p.log, Registerer: parts.reg, Now: time.Now,
	})
	stop = func() {
		_ = listener.Close()
		_ = client.Close()
		writer.Close()
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return append(all, cluster, writer, watch, server), stop, nil
}

// Help is the second half of `api --help`.
func (apiCmd) Help() string {
	return `Answers POST /predict, POST /predict/batch and GET /predictions/{id} with the decisions of the stream's own scorer, and serves a page at / and documentation at /docs. Every decision is on the predictions topic before it is answered.

Scoring needs a model and Kafka, and /readyz says whether both are there. Look-ups and requests with an Idempotency-Key need Redis; while it is away they get 503, the others are served, and /readyz says so below "ready".

Without keys only this machine is answered, and only under its own name: localhost or a loopback address in the Host header. Behind a proxy set --api-keys, or --no-auth if the proxy asks for them, and --trusted-proxies, so that callers are told apart: docs/reverse-proxy.md.

Examples:
  creditstream api --model shipped
  creditstream api --api-listen :8000 --api-keys keys.txt --rate-limit 50
  creditstream api --api-listen :8443 --api-keys keys.txt --api-tls-cert api.pem --api-tls-key api.key`
}

// Run answers until a signal.
func (c *apiCmd) Run(p *process) error {
	s, err := newServices(p, &c.Kafka, c.Instance, schemas.EventPrediction)
	if err != nil {
		return err
	}
	defer s.close()
	if err := addAPI(s, &c.API, c.Redis, c.Model); err != nil {
		return err
	}
	return s.serve(c.Listen.Address)
}
