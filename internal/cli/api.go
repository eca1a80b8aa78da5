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
	"github.com/creditstream/creditstream/internal/idempotency"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

type apiCmd struct {
	kafkaFlags
	redisFlags
	listenFlags
	modelFlags
	instanceFlags
	apiFlags
}

// apiFlags say where the API answers, and whom.
type apiFlags struct {
	APIListen      string        `help:"Where the API, its page, its documentation, /metrics, /healthz and /readyz are served." name:"api-listen" default:"127.0.0.1:8000" placeholder:"HOST:PORT" group:"API" address:"listen"`
	APIKeys        string        `help:"File of API keys, name:key or name:sha256-HEX one a line; read again when it changes. Needed beyond loopback." name:"api-keys" type:"path" placeholder:"FILE" group:"API"`
	APITLSCert     string        `help:"Certificate that the API shows, PEM; read again when it changes. Without it the API speaks plain HTTP." name:"api-tls-cert" type:"path" placeholder:"FILE" group:"API"`
	APITLSKey      string        `help:"Its private key." name:"api-tls-key" type:"path" placeholder:"FILE" group:"API"`
	NoAuth         bool          `help:"Ask for no key, also beyond loopback." name:"no-auth" group:"API"`
	RateLimit      float64       `help:"Requests per second of one key, or of one address where no keys are asked for; 0: no limit." default:"0" placeholder:"N" group:"API"`
	RateBurst      int           `help:"Requests one caller may make at once; 0: a second's worth." default:"0" placeholder:"N" group:"API"`
	MaxInFlight    int           `help:"Requests worked on at once; more are told to come back." default:"1024" placeholder:"N" group:"API"`
	MaxPerCaller   int           `help:"Requests one caller may have open at once, those whose body is still coming in included; 0: half of --max-in-flight." name:"max-per-caller" default:"0" placeholder:"N" group:"API"`
	TrustedProxies []string      `help:"Addresses and networks (CIDR) of reverse proxies in front of the API: a caller's address is then the one that their X-Forwarded-For names. Without it an API without keys refuses what a proxy forwards." name:"trusted-proxies" placeholder:"ADDRESS,…" group:"API"`
	Feed           bool          `help:"Follow all decisions for the page." negatable:"" default:"true" group:"API"`
	PublishTimeout time.Duration `help:"How long the log may take to acknowledge a decision before the answer is 503." default:"5s" placeholder:"DURATION" group:"API"`
	ShutdownDelay  time.Duration `help:"How long the API goes on answering after SIGTERM or SIGHUP, with /readyz at 503, before it takes no more connections: longer than a balancer needs to notice. 0s where nothing balances; Ctrl-C and a second signal do not wait." name:"shutdown-delay" default:"5s" placeholder:"DURATION" group:"API"`
}

// maxPublishTimeout leaves a request time to be answered before the server's own
// deadlines.
const maxPublishTimeout = 10 * time.Second

// maxShutdownDelay is beyond what any supervisor waits.
const maxShutdownDelay = 10 * time.Minute

// check refuses what cannot work and what is not safe.
func (f *apiFlags) check() error {
	switch {
	case f.RateLimit < 0:
		return usagef("--rate-limit %v: expected 0 or more", f.RateLimit)
	case f.RateBurst < 0:
		return usagef("--rate-burst %d: expected 0 or more", f.RateBurst)
	case f.MaxInFlight < 1:
		return usagef("--max-in-flight %d: expected at least 1", f.MaxInFlight)
	case f.MaxPerCaller < 0 || f.MaxPerCaller > f.MaxInFlight:
		return usagef("--max-per-caller %d: expected 0 … %d, which is --max-in-flight", f.MaxPerCaller, f.MaxInFlight)
	case f.PublishTimeout < time.Second || f.PublishTimeout > maxPublishTimeout:
		return usagef("--publish-timeout %s: expected 1s … %s", f.PublishTimeout, maxPublishTimeout)
	case f.ShutdownDelay < 0 || f.ShutdownDelay > maxShutdownDelay:
		return usagef("--shutdown-delay %s: expected 0s … %s", f.ShutdownDelay, maxShutdownDelay)
	case (f.APITLSCert == "") != (f.APITLSKey == ""):
		return usagef("--api-tls-cert and --api-tls-key belong together: set both")
	case f.APIKeys != "" && f.NoAuth:
		return usagef("--api-keys and --no-auth: set one of them")
	case f.APIKeys == "" && !f.NoAuth && !onLoopback(f.APIListen):
		return usagef("--api-listen %s can be reached from other machines and no key would be asked for: set --api-keys FILE, or --no-auth if that is meant", f.APIListen)
	}
	return nil
}

// onLoopback says whether only this machine can reach an address to listen on.
func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return true // listening on it fails and says why
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// apiParts are what the API shares with other components of the process.
type apiParts struct {
	kafka kafkaFlags
	redis redisFlags
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
func (f *apiFlags) components(p *process, parts apiParts) (all []lifecycle.Component, stop func(), err error) {
	if err := f.check(); err != nil {
		return nil, nil, err
	}
	proxies, err := api.ParseProxies(f.TrustedProxies)
	if err != nil {
		return nil, nil, usagef("--trusted-proxies %w", err)
	}
	var keys *api.Keys
	if f.APIKeys != "" {
		if keys, err = api.OpenKeys(f.APIKeys, p.log); err != nil {
			return nil, nil, fmt.Errorf("--api-keys: %w", err)
		}
		all = append(all, keys)
	}
	var encrypted *tls.Config
	if f.APITLSCert != "" {
		if encrypted, err = certs.NewServer(certs.Files{Flags: "--api-tls", Cert: f.APITLSCert, Key: f.APITLSKey}, p.log); err != nil {
			return nil, nil, err
		}
	} else if keys != nil && !onLoopback(f.APIListen) {
		p.log.Warn("the API speaks plain HTTP: keys cross the network in the clear unless a proxy in front of it ends TLS; set --api-tls-cert and --api-tls-key otherwise", "address", f.APIListen)
	}
	if len(proxies) > 0 && keys == nil {
		p.log.Warn("no key is asked for: whoever the trusted proxies let through is answered", "trusted_proxies", f.TrustedProxies)
	}
	writer, err := kafka.NewWriter(parts.kafka.config(p, "api"), schemas.NewTopics(parts.kafka.Prefix).Predictions, f.PublishTimeout)
	if err != nil {
		return nil, nil, err
	}
	listener := parts.listener
	if listener == nil {
		if listener, err = net.Listen("tcp", f.APIListen); err != nil {
			writer.Close()
			return nil, nil, fmt.Errorf("--api-listen %s: %w", f.APIListen, err)
		}
	}
	client := parts.redis.client()
	var feed api.Feed
	if f.Feed {
		follow := tail.NewFeed(tail.FeedConfig{Kafka: parts.kafka.config(p, "feed"), Topics: schemas.NewTopics(parts.kafka.Prefix), Codec: parts.codec, Log: p.log})
		all, feed = append(all, follow), pageFeed{follow}
	}
	status := latest.NewFollower(parts.kafka.config(p, "drift-status"), schemas.NewTopics(parts.kafka.Prefix), p.log)
	all = append(all, status)
	replicas := reports.NewFollower(parts.kafka.config(p, "replicas"), schemas.NewTopics(parts.kafka.Prefix), p.log)
	all = append(all, replicas)
	cluster := kafka.NewCluster(parts.kafka.config(p, "cluster"))
	own := view.NewStore(client, parts.kafka.Prefix).Of(cluster.ID)
	watch := &redisWatch{client: client, view: own, log: p.log}
	limits := api.Limits{PerSecond: f.RateLimit, Burst: f.RateBurst, InFlight: f.MaxInFlight, PerCaller: f.MaxPerCaller, Publish: f.PublishTimeout}
	back := lookup.Config{Kafka: parts.kafka.config(p, "retries"), Topics: schemas.NewTopics(parts.kafka.Prefix), Codec: parts.codec}
	server, err := api.New(api.Config{
		Listener: listener, TLS: encrypted, Live: parts.live, Publisher: predictionPublisher{writer, parts.codec}, Lookup: viewLookup{own},
		Idempotency: retriedKeys{idempotency.NewStore(client, parts.kafka.Prefix, limits.Lease(), api.NoteKept), cluster.ID}, Recorded: newRecordedPredictions(back), Feed: feed, Drift: driftFeed{status}, Demo: parts.demo, Replicas: replicas, Latencies: parts.latency, Keys: keys, Proxies: proxies, Limits: limits,
		// Without keys, being on this machine is what lets a caller in (check).
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
	s, err := newServices(p, c.kafkaFlags, c.instanceFlags, schemas.EventPrediction)
	if err != nil {
		return err
	}
	defer s.close()
	if err := c.addAPI(s, c.redisFlags, c.modelFlags); err != nil {
		return err
	}
	return s.serve(c.Listen)
}
