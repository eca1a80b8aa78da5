// Package demo is the whole system in one process on nothing but the program itself: the
// components of package app on an embedded Kafka and Redis, applicants, a scorer that can
// be killed, and a look at what comes of it.
package demo

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/webhook"
	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/loopback"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/schemas"
)

const (
	partitions = 4
	sessions   = 1
	prefix     = kafka.DefaultPrefix
	instance   = "demo"
	// Drift is to be seen while one looks.
	bucket = time.Second
	// How long the demo's Redis keeps a decision. miniredis is in memory, and the
	// demo runs for days.
	kept = 5 * time.Minute
	// How many keys the demo's Redis holds before the oldest go early: two a
	// decision, about 3 KB together.
	redisKeys = 20_000
	// How long the view gathers what it writes: each round trip costs the embedded Redis
	// about as much as a hundred keys do.
	gather = 200 * time.Millisecond
	// Garbage a demo may hold, in percent of what it uses: as much again, so that it
	// stays below 150 MB.
	garbage = 100
	// From how many bytes in all a demo collects garbage before it has as much: what it
	// uses is below half of it, and a burst need not leave more behind.
	memory = 120 << 20
	// startTime bounds what making topics and releasing the model may take.
	startTime = 30 * time.Second
)

// When a demo's scenario begins and how long it takes to reach full strength, in
// applications: soon enough to be seen.
const (
	scenarioAfter = 2_000
	scenarioRamp  = 1_000
)

// When it is told whether an applicant defaulted: years, in a demo, are seconds. Where
// many apply it is sooner, while the demo's Redis still has the decision.
const (
	outcomesAfter  = 5 * time.Second
	outcomesWithin = 1_000 // more applications
	// Whose it is told at most, a second: joining costs the embedded Redis more than
	// anything else does.
	outcomesRate = 500
)

// Config is a demo.
type Config struct {
	Decisions uint64  // applications to emit; 0: no end
	Rate      float64 // applications per second; 0: as fast as possible
	Scenario  string
	Seed      *uint64 // of the population; nil: another one each time
	DataDir   string  // folder of the embedded Kafka; empty: a temporary one
	InProcess bool    // the scorer is no child process
	Exit      bool    // it ends once every application is answered, and is judged; implies InProcess

	APIListen    string           // empty: the usual place, or a free port
	Proxies      api.Proxies      // that may lead to the page
	Registry     *registry.Client // nil: values are JSON
	RegistryArgs []string         // by which a child knows it
	Webhook      *webhook.Config  // who is told of alerts; nil: only who looks

	Status   *Status // where all is said
	Terminal bool    // the status is drawn in place
	Log      *slog.Logger
	AlertLog *slog.Logger // of what judges, whose warnings are told as alerts
	Version  string
	Began    time.Time // the program
}

// demo is everything that runs in one.
type demo struct {
	config   Config
	broker   *local.Kafka
	redis    *local.Redis
	services *app.Services
	topics   schemas.Topics
	shipped  *model.Model // what serves, but for its reference
	address  string       // of the page
	watch    *watch
	child    *scorerProcess // nil in one process
	frees    []func()       // what close does, last first
}

// Run shows decisions until ctx ends, or until those asked for were made. The result is
// nil unless it was to be judged.
func Run(ctx context.Context, c Config) (*Result, error) {
	c.InProcess = c.InProcess || c.Exit
	dir := c.DataDir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "creditstream-demo-"); err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }() // a temporary folder: the system clears what is left
	}
	if !c.Exit {
		debug.SetGCPercent(garbage)
		debug.SetMemoryLimit(memory)
	}
	d := &demo{config: c, topics: schemas.NewTopics(prefix)}
	defer d.close()
	if err := d.start(ctx, dir); err != nil {
		return nil, d.explained(err)
	}
	if !c.Exit {
		d.announce(c.Status, c.DataDir)
	}
	result, err := d.run(ctx)
	return result, d.explained(err)
}

func (d *demo) close() {
	for i := len(d.frees) - 1; i >= 0; i-- {
		d.frees[i]()
	}
}

func (d *demo) free(f func()) { d.frees = append(d.frees, f) }

// run keeps the demo's components running and shows how it goes.
func (d *demo) run(parent context.Context) (*Result, error) {
	c := d.config
	ctx, stop := context.WithCancel(parent)
	defer stop()
	if c.Exit {
		go func() {
			select {
			case <-d.watch.done:
				stop()
			case <-ctx.Done():
			}
		}()
	}
	shown := sync.WaitGroup{}
	if c.Terminal || !c.Exit {
		shown.Go(func() { d.show(ctx) })
	}
	err := d.services.Reported(func() error { return d.services.Run(ctx, nil) })
	stop()
	shown.Wait()
	c.Status.show("")
	switch {
	case err != nil:
		return nil, err
	case !c.Exit:
		d.farewell(c.Status)
		return nil, nil
	case parent.Err() != nil:
		return nil, fmt.Errorf("interrupted before %d applications were answered", c.Decisions)
	}
	return d.judge(parent)
}

// start brings up Kafka and Redis and makes every component.
func (d *demo) start(ctx context.Context, dir string) (err error) {
	c := d.config
	if d.broker, err = local.StartKafka(dir, local.Port(c.port(9092))); err != nil {
		return err
	}
	d.free(d.broker.Close)
	if d.redis, err = local.StartRedisAt(net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port(6379)))); err != nil {
		return err
	}
	d.free(d.redis.Close)
	d.services = app.New(app.Config{
		Kafka:    kafka.Config{Brokers: []string{d.broker.Addr()}, Prefix: prefix, ClientID: "creditstream", Log: c.Log},
		Registry: c.Registry, Writes: []schemas.Event{schemas.EventApplication, schemas.EventPrediction, schemas.EventOutcome},
		Models: app.Models{Engine: model.EngineAuto}, Instance: instance, Alone: true, Version: c.Version, Began: c.Began, Log: c.Log,
	})
	d.free(d.services.Close)
	bounded, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := d.makeTopics(bounded); err != nil {
		return err
	}
	if d.shipped, err = Shipped(); err != nil {
		return err
	}
	d.free(d.shipped.Close)
	if err := d.releaseModel(bounded); err != nil {
		return err
	}
	if d.watch, err = newWatch(bounded, d.services.Client("watch"), d.topics, d.services.Codec(), c.Decisions); err != nil {
		return err
	}
	d.free(d.watch.client.Close)
	return d.assemble()
}

// port is a service's usual port, so that commands need not be told; 0, a free
// one, where that is taken or nobody has the time to look.
func (c *Config) port(usual int) int {
	if c.Exit {
		return 0
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(usual)))
	if err != nil || l.Close() != nil {
		return 0
	}
	return usual
}

// makeTopics creates the topics, or takes those that the data directory holds.
func (d *demo) makeTopics(ctx context.Context) error {
	client, err := kgo.NewClient(d.services.Client("topics").Options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kafka.CreateTopics(ctx, kadm.NewClient(client), topicSpecs(d.config.Exit))
	return err
}

// bytesKept is how many bytes the demo keeps of each topic that grows, 100 MB in
// all: the embedded broker keeps an index of every batch in memory, and a quiet
// stream has a batch for nearly every record. A partition keeps what one record may
// take, or the topic's settings would be warned of. Of replicas, which is compacted, it
// is only the size of its segments that follows.
func bytesKept(t schemas.Topics) map[string]int64 {
	return map[string]int64{
		t.Applications: 26e6, t.Predictions: 47e6, t.DLQ: partitions * 2 << 20, t.Outcomes: partitions * 1 << 20,
		t.DriftPanes: 10e6, t.DriftStatus: 2e6, t.DriftAlerts: 1 << 20, t.Replicas: 1e6,
	}
}

// topicSpecs is the catalogue, small: an hour (panes: by their bytes alone) or 100 MB,
// or all of a run that ends and is judged from its topics.
func topicSpecs(keepAll bool) (specs []kafka.TopicSpec) {
	topics := schemas.NewTopics(prefix)
	limits := bytesKept(topics)
	for _, t := range schemas.Catalogue(prefix) {
		t.Partitions = min(t.Partitions, partitions)
		if bytes, ok := limits[t.Name]; ok && !keepAll {
			age := t.Configs["retention.ms"]
			t.Configs = local.Bounded(t.Configs, time.Hour, bytes/int64(t.Partitions))
			if t.Name == topics.DriftPanes { // as long as the longest window of drift; their bytes bound them
				t.Configs["retention.ms"] = age
			}
		}
		specs = append(specs, kafka.TopicSpec{Name: t.Name, Partitions: t.Partitions, Replication: 1, Configs: t.Configs})
	}
	return specs
}

// viewGroup is the view's group, another one in each run: with the last one's
// commits an embedded Redis, empty at every start, would seem to have lost its data.
func viewGroup(began time.Time) string {
	return schemas.GroupName(prefix, schemas.GroupView) + "-" + began.UTC().Format("20060102T150405.000")
}

// assemble adds the components.
func (d *demo) assemble() error {
	c, s := d.config, d.services
	as := app.Member{Sessions: sessions, Protocol: member.ProtocolClassic, Static: true}
	redisAt := redisconn.Config{Address: redisconn.Address{Servers: []string{d.redis.Addr()}}}
	scorer, err := d.addScorer(app.Scorer{Member: as})
	if err != nil {
		return err
	}
	v, err := s.AddView(app.View{Redis: redisAt, Group: viewGroup(c.Began), Lifetimes: view.Lifetimes{Prediction: kept, Decided: kept}, Gather: gather})
	if err != nil {
		return err
	}
	if err := s.AddDrift(app.Drift{
		Member: as, Redis: redisAt, From: kafka.From{Start: true}, Bucket: bucket,
		Evaluator: app.Evaluator{Settings: judged(), Between: time.Second, Webhook: c.Webhook, Notifier: alertLines{c.Status}, Log: c.AlertLog},
	}); err != nil {
		return err
	}
	apply := applicants{scorer: scorer, watch: d.watch}
	config := d.producer()
	if !c.Exit { // a run that ends does so before they would be known
		config.OutcomesAfter, config.OutcomesWithin, config.OutcomesRate = outcomesAfter, outcomesWithin, outcomesRate
		config.MaxPending = mostUnanswered
		config.Truth = Truth(d.shipped)
		apply.view = v
	}
	if apply.Producer, err = producer.New(config); err != nil {
		return err
	}
	s.Add(app.ProduceReport(), false, apply)
	s.AddParts(d.watch, aging{d.redis}, diskWatch{d.broker})
	listener, err := listen(c.APIListen)
	if err != nil {
		return err
	}
	d.address = "http://" + listener.Addr().String()
	return s.AddAPI(app.API{
		Listener: listener, Proxies: c.Proxies, Limits: api.Limits{InFlight: 1024, Publish: 5 * time.Second}, Feed: true,
		Demo: scenario{apply.Producer}, Redis: redisAt,
	})
}

// producer is who applies.
func (d *demo) producer() producer.Config {
	c := d.config
	seed := rand.Uint64N(1_000_000_000)
	if c.Seed != nil {
		seed = *c.Seed
	}
	return producer.Config{
		Kafka: d.services.Client("produce"), Topics: d.topics, Codec: d.services.Codec(), Registerer: d.services.Metrics(), Log: c.Log,
		IDPrefix: producer.DefaultIDPrefix, Count: c.Decisions, Rate: c.Rate, Seed: seed,
		Scenario: c.Scenario, ScenarioAfter: scenarioAfter, ScenarioRamp: scenarioRamp, OutcomesFor: producer.OutcomesForApproved,
	}
}

// addScorer adds the scorer to this process, or a child that runs it and speaks for
// itself.
func (d *demo) addScorer(c app.Scorer) (lifecycle.Component, error) {
	if d.config.InProcess {
		return d.services.AddScorer(c)
	}
	binary, err := thisBinary()
	if err != nil {
		return nil, err
	}
	telemetryAt, _, err := loopback.Free(1)
	if err != nil {
		return nil, err
	}
	status := d.config.Status
	d.child = &scorerProcess{
		binary: binary, listen: telemetryAt, log: d.config.Log, stderr: status,
		said: func(pid int) {
			say(status, "scorer", fmt.Sprintf("process %d, metrics http://%s/metrics; kill it and watch: kill -KILL %d", pid, telemetryAt, pid))
		},
		args: append([]string{
			"--log-level", "warn", "score", "--stop-with-stdin", "--brokers", d.broker.Addr(), "--prefix", prefix,
			"--instance", instance, "--sessions", strconv.Itoa(c.Member.Sessions), "--static", "--listen", telemetryAt,
		}, d.config.RegistryArgs...),
	}
	d.services.AddParts(d.child)
	return d.child, nil
}

// listen is where the page is served: as asked for, the usual place, or a
// free port where that is taken.
func listen(asked string) (net.Listener, error) {
	if asked == "" {
		if l, err := net.Listen("tcp", "127.0.0.1:8000"); err == nil {
			return l, nil
		}
		asked = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", asked)
	if err != nil {
		return nil, fmt.Errorf("--api-listen %s: %w", asked, err)
	}
	return l, nil
}
