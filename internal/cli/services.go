package cli

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/telemetry"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// services are the components of one process while they are put together. What
// they share is made once.
type services struct {
	p        *process
	kafka    *flags.Kafka
	instance string
	reg      *prometheus.Registry
	codec    *wire.Codec // nil: JSON only
	process  *readiness
	delay    time.Duration // of stopping, once it is told to
	alone    bool          // whoever had this process's names before is known to be gone

	models  *release.Follower // nil until a component serves models
	all     []lifecycle.Component
	reports []reports.Component
	frees   []func() // what close does, last first
}

// newServices begins with what every component needs. writes are the events that
// any of them writes.
func newServices(p *process, k *flags.Kafka, names flags.Instance, writes ...schemas.Event) (*services, error) {
	instance, err := names.Config()
	if err != nil {
		return nil, err
	}
	reg := telemetry.NewRegistry()
	codec, err := newCodec(p, k.Registry, reg, k.Prefix, writes...)
	if err != nil {
		return nil, err
	}
	return &services{p: p, kafka: k, instance: instance, reg: reg, codec: codec, process: &readiness{stopping: newStopping()}, all: withCodec(codec)}, nil
}

func (s *services) free(f func()) { s.frees = append(s.frees, f) }

func (s *services) close() {
	for i := len(s.frees) - 1; i >= 0; i-- {
		s.frees[i]()
	}
}

// follower follows models and routes, for all components that serve them.
func (s *services) follower(f flags.Model) (*release.Follower, error) {
	if s.models != nil {
		return s.models, nil
	}
	models, err := newFollower(s.p, s.kafka, f, s.reg)
	if err != nil {
		return nil, err
	}
	s.models, s.all = models, append(s.all, models)
	return models, nil
}

// add adds a component made of parts. It is ready when they and what they share
// are.
func (s *services) add(r reports.Component, serves bool, parts ...lifecycle.Component) {
	needs := withCodec(s.codec)
	if serves {
		needs, r = append(needs, s.models), serving(r, s.models)
	}
	s.all = append(s.all, parts...)
	s.reports = append(s.reports, reportOn(r, s.instance, s.process.stopping, append(needs, parts...)...))
}

// reportOn completes what is reported of a component that is made of parts.
func reportOn(r reports.Component, instance string, stop *stopping, parts ...lifecycle.Component) reports.Component {
	whole := readiness{parts, stop}
	r.Instance, r.Ready, r.Pending = instance, whole.ready, whole.pending
	return r
}

// claim is the claim to a component's name, nil where nobody else can have it, and
// how it is taken.
func (s *services) claim(component string) (c *reports.Claim, take func(context.Context) error) {
	if s.alone {
		return nil, nil
	}
	c = reports.NewClaim(s.kafka.Config(s.p.log).For(component+"-"+s.instance), s.kafka.Topics(), component, s.instance, s.p.log)
	return c, func(ctx context.Context) error {
		err := c.Take(ctx)
		if _, taken := errors.AsType[*reports.TakenError](err); taken {
			return member.Permanent(err, "instance %q", s.instance)
		}
		return err
	}
}

// serve runs what was added until the process is told to stop.
func (s *services) serve(listen string) error {
	s.all = append(s.all, s.checksTopics())
	s.process.components = s.all
	reporter, err := newReporter(s.p, s.kafka, s.reg, s.reports...)
	if err != nil {
		return err
	}
	at, err := listenOn(listen)
	if err != nil {
		return err
	}
	if at != nil {
		defer func() { _ = at.Close() }() // the server has closed it, unless it never ran
	}
	err = reporting(reporter, func() error { return serveComponents(s.p, at, s.reg, s.process, s.delay) })
	// Each part names what it has missed first; what else is missing is named, too.
	var needs [][]kafka.Access
	for _, r := range s.reports {
		needs = append(needs, access(s.kafka.Prefix, r.Name))
	}
	return s.kafka.Config(s.p.log).For("missing").AlsoMissing(s.p.ctx, err, needs...)
}

// checksTopics looks at the settings of every topic that the process uses.
func (s *services) checksTopics() *topicsCheck {
	var names []string
	for _, r := range s.reports {
		for _, a := range access(s.kafka.Prefix, r.Name) {
			names = append(names, a.Topic)
		}
	}
	return newTopicsCheck(s.kafka.Config(s.p.log).For("topics"), s.kafka.Prefix, s.p.log, names)
}

// serving is what is reported of a component that serves what models do.
func serving(r reports.Component, models *release.Follower) reports.Component {
	r.Models = func() *schemas.ReplicaModels { return servedModels(models) }
	return r
}

// newReporter reports on the components of this process.
func newReporter(p *process, k *flags.Kafka, reg *prometheus.Registry, components ...reports.Component) (*reports.Reporter, error) {
	host, _ := os.Hostname() // one that has no name says so
	return reports.NewReporter(reports.Config{
		Kafka: k.Config(p.log).For("replica"), Topics: k.Topics(), Host: host, Version: version(), Started: p.began,
		Gatherer: reg, Registerer: reg, Log: p.log,
	}, components...)
}

// reporting reports while something runs, and how it ended.
func reporting(r *reports.Reporter, run func() error) error {
	ctx, stop := context.WithCancel(context.Background())
	var told sync.WaitGroup
	told.Go(func() { r.Run(ctx) })
	err := run()
	stop()
	told.Wait()
	r.Stop(err)
	return err
}

// servedModels is what a follower serves, as it is reported.
func servedModels(f *release.Follower) *schemas.ReplicaModels {
	status := f.Status()
	m := &schemas.ReplicaModels{RouteRevision: -1, NewestRevision: status.Newest, Pending: status.Pending}
	if live := f.Live(); live != nil {
		m.RouteRevision, m.Champion = live.Revision, live.Champion.Version
		if live.Canary != nil {
			m.Canary = live.Canary.Version
		}
		if live.Shadow != nil {
			m.Shadow = live.Shadow.Version
		}
	}
	for _, r := range status.Refused {
		m.Refused = append(m.Refused, schemas.Refusal{ModelVersion: r.Version, Reason: r.Reason})
	}
	return m
}

// newCodec reads both formats and writes these events in Avro; nil without a
// registry: JSON only. It is a component of its own, see withCodec.
func newCodec(p *process, f flags.Registry, reg prometheus.Registerer, prefix string, writes ...schemas.Event) (*wire.Codec, error) {
	client, err := f.Client(p.log)
	if client == nil || err != nil {
		return nil, err
	}
	topics, config := schemas.NewTopics(prefix), wire.Config{Registry: client, Writes: map[schemas.Event]string{}, Log: p.log, Registerer: reg}
	for _, e := range writes {
		config.Writes[e] = e.Topic(topics)
	}
	return wire.New(config), nil
}

// withCodec adds a codec, where there is one, to the components that use it.
func withCodec(codec *wire.Codec, components ...lifecycle.Component) []lifecycle.Component {
	if codec == nil {
		return components
	}
	return append([]lifecycle.Component{codec}, components...)
}
