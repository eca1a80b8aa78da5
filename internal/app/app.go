// Package app puts the system together: which component needs what, which of it is
// shared by those of one process, when the process is ready, and what is reported of it.
package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/internal/telemetry"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Config is what the components of one process share.
type Config struct {
	Kafka    kafka.Config     // of every client, but for its name
	Registry *registry.Client // nil: values are JSON
	Writes   []schemas.Event  // what any of the components writes
	Models   Models
	Instance string // the replica's name
	Alone    bool   // whoever had its names before is known to be gone

	Version string    // of the program
	Began   time.Time // when it started
	Log     *slog.Logger
}

// Services are the components of one process while they are put together. What they
// share is made once.
type Services struct {
	config   Config
	topics   schemas.Topics
	log      *slog.Logger
	reg      *prometheus.Registry
	codec    *wire.Codec // nil: JSON only
	process  *readiness
	profiles bool
	delay    func(cause error) (time.Duration, <-chan struct{}) // nil: it stops at once

	models  *release.Follower // nil until a component serves models
	cluster *kafka.Cluster    // nil until one has to know which it is
	all     []lifecycle.Component
	reports []reports.Component
	frees   []func() // what Close does, last first
}

// New begins with what every component needs.
func New(c Config) *Services {
	s := &Services{
		config: c, topics: schemas.NewTopics(c.Kafka.Prefix), log: c.Log, reg: telemetry.NewRegistry(),
		process: &readiness{stopping: newStopping()},
	}
	if c.Registry != nil {
		codec := wire.Config{Registry: c.Registry, Writes: map[schemas.Event]string{}, Log: c.Log, Registerer: s.reg}
		for _, e := range c.Writes {
			codec.Writes[e] = e.Topic(s.topics)
		}
		s.codec = wire.New(codec)
		s.all = append(s.all, s.codec)
	}
	return s
}

// Codec reads both formats and writes Avro; nil without a registry: JSON only.
func (s *Services) Codec() *wire.Codec { return s.codec }

// Metrics are those of the process.
func (s *Services) Metrics() *prometheus.Registry { return s.reg }

// Client is how a client of this process, by what it is called, reaches the cluster.
func (s *Services) Client(name string) kafka.Config { return s.config.Kafka.For(name) }

// ShowProfiles shows the runtime's profiles beside metrics and readiness.
func (s *Services) ShowProfiles() { s.profiles = true }

// Free has something done by Close.
func (s *Services) Free(f func()) { s.frees = append(s.frees, f) }

// Close frees what the components hold, once they have run.
func (s *Services) Close() {
	for _, f := range slices.Backward(s.frees) {
		f()
	}
}

// Add adds a component made of parts. It is ready when they and what they share are;
// serves says that it needs models, which must be followed by then.
func (s *Services) Add(r reports.Component, serves bool, parts ...lifecycle.Component) {
	s.addSharing(r, serves, nil, parts...)
}

// addSharing is Add for a component that needs more than models of what is shared.
func (s *Services) addSharing(r reports.Component, serves bool, shared []lifecycle.Component, parts ...lifecycle.Component) {
	var needs []lifecycle.Component
	if s.codec != nil {
		needs = append(needs, s.codec)
	}
	if serves {
		needs, r.Models = append(needs, s.models), func() *schemas.ReplicaModels { return servedModels(s.models) }
	}
	needs = append(needs, shared...)
	s.AddParts(parts...)
	whole := readiness{append(needs, parts...), s.process.stopping}
	r.Instance, r.Ready, r.Pending = s.config.Instance, whole.ready, whole.pending
	s.reports = append(s.reports, r)
}

// AddParts adds what nothing is reported of.
func (s *Services) AddParts(parts ...lifecycle.Component) { s.all = append(s.all, parts...) }

// whichCluster finds out which cluster this is, for all components that keep something
// of its log elsewhere.
func (s *Services) whichCluster() *kafka.Cluster {
	if s.cluster == nil {
		s.cluster = kafka.NewCluster(s.Client("cluster"))
		s.AddParts(s.cluster)
	}
	return s.cluster
}

// claim is the claim to a component's name, nil where nobody else can have it, and
// how it is taken.
func (s *Services) claim(component string) (c *reports.Claim, take func(context.Context) error) {
	if s.config.Alone {
		return nil, nil
	}
	c = reports.NewClaim(s.Client(component+"-"+s.config.Instance), s.topics, component, s.config.Instance, s.log)
	return c, func(ctx context.Context) error {
		err := c.Take(ctx)
		if _, taken := errors.AsType[*reports.TakenError](err); taken {
			return member.Permanent(err, "instance %q", s.config.Instance)
		}
		return err
	}
}

// Serve runs what was added until ctx ends or one fails, and looks at the settings of
// the topics that it uses. Metrics and readiness are shown at a listener; nil: nowhere.
func (s *Services) Serve(ctx context.Context, at net.Listener) error {
	s.AddParts(s.checksTopics())
	err := s.Reported(func() error { return s.Run(ctx, at) })
	// Each part names what it has missed first; what else is missing is named, too.
	var needs [][]kafka.Access
	for _, r := range s.reports {
		needs = append(needs, Access(s.config.Kafka.Prefix, r.Name))
	}
	return s.Client("missing").AlsoMissing(ctx, err, needs...)
}

// Run runs what was added, as Serve does, and nothing besides.
func (s *Services) Run(ctx context.Context, at net.Listener) error {
	s.process.components = s.all
	shown := telemetry.Handler(s.reg, s.process.ready, s.process.pending)
	if s.profiles {
		shown = telemetry.WithProfiles(shown)
	}
	return serve(ctx, s.log, at, shown, s.process, s.delay)
}

// Reported reports on the components while something runs, and how it ended.
func (s *Services) Reported(run func() error) error {
	at := make(chan struct{})
	close(at)
	return s.ReportedFrom(at, run)
}

// ReportedFrom is Reported from when a channel is closed: nothing is said of what failed
// before.
func (s *Services) ReportedFrom(begun <-chan struct{}, run func() error) error {
	host, _ := os.Hostname() // one that has no name says so
	reporter, err := reports.NewReporter(reports.Config{
		Kafka: s.Client("replica"), Topics: s.topics, Host: host, Version: s.config.Version, Started: s.config.Began,
		Gatherer: s.reg, Registerer: s.reg, Log: s.log,
	}, s.reports...)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	var told sync.WaitGroup
	told.Go(func() {
		select {
		case <-begun:
		case <-ctx.Done():
		}
		select {
		case <-begun: // also where it is over already: it says that once
			reporter.Run(ctx)
		default:
		}
	})
	err = run()
	stop()
	told.Wait()
	reporter.Stop(err)
	return err
}

// checksTopics looks at the settings of every topic that the process uses.
func (s *Services) checksTopics() *topicsCheck {
	var names []string
	for _, r := range s.reports {
		for _, a := range Access(s.config.Kafka.Prefix, r.Name) {
			names = append(names, a.Topic)
		}
	}
	return newTopicsCheck(s.Client("topics"), s.log, names)
}
