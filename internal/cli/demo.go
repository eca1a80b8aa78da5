package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/aggregate"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/loopback"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/internal/telemetry"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
	"github.com/creditstream/creditstream/scorer/stream"
)

const (
	demoPartitions = 4
	demoSessions   = 1
	demoPrefix     = "credit"
	demoInstance   = "demo"
	// Drift is to be seen while one looks.
	demoBucket = time.Second
	// How long the demo's Redis keeps a decision. miniredis is in memory, and the
	// demo runs for days.
	demoTTL = 5 * time.Minute
	// How many keys the demo's Redis holds before the oldest go early: two a
	// decision, about 3 KB together.
	demoKeys = 20_000
	// Garbage a demo may hold, in percent of what it uses: as much again, so that it
	// stays below 150 MB.
	demoGarbage = 100
	// From how many bytes in all a demo collects garbage before it has as much: what it
	// uses is below half of it, and a burst need not leave more behind.
	demoMemory = 120 << 20
	// demoStartTime bounds what making topics and releasing the model may take.
	demoStartTime = 30 * time.Second
)

// demo is everything that runs in one.
type demo struct {
	broker     *local.Kafka
	redis      *local.Redis
	kafka      *flags.Kafka
	codec      *wire.Codec
	shipped    *model.Model // what serves, but for its reference
	reg        *prometheus.Registry
	topics     schemas.Topics
	address    string // of the page
	components []lifecycle.Component
	process    *readiness          // of all of them
	reports    []reports.Component // what is said of them on the replicas topic
	watch      *watch
	child      *scorerProcess // nil in one process
	began      time.Time      // the program
	frees      []func()       // what close does, last first
}

func (d *demo) close() {
	for i := len(d.frees) - 1; i >= 0; i-- {
		d.frees[i]()
	}
}

func (d *demo) free(f func()) { d.frees = append(d.frees, f) }

func (d *demo) restarts() int {
	if d.child == nil {
		return 0
	}
	_, n := d.child.state()
	return n
}

// start brings up Kafka and Redis and makes every component.
func (c *demoCmd) start(p *process, dir string) (*demo, error) {
	d := &demo{began: p.began, topics: schemas.NewTopics(demoPrefix), process: &readiness{stopping: newStopping()}}
	if err := c.prepare(p, d, dir); err != nil {
		d.close()
		return nil, d.explained(err)
	}
	return d, nil
}

func (c *demoCmd) prepare(p *process, d *demo, dir string) (err error) {
	if d.broker, err = local.StartKafka(dir, local.Port(c.port(9092))); err != nil {
		return err
	}
	d.free(d.broker.Close)
	if d.redis, err = local.StartRedisAt(net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port(6379)))); err != nil {
		return err
	}
	d.free(d.redis.Close)
	d.kafka = &flags.Kafka{Brokers: []string{d.broker.Addr()}, Prefix: demoPrefix, Registry: c.Registry}
	ctx, cancel := context.WithTimeout(p.ctx, demoStartTime)
	defer cancel()
	if err := d.makeTopics(ctx, p, c.Exit); err != nil {
		return err
	}
	if d.shipped, err = shippedModel(); err != nil {
		return err
	}
	d.free(d.shipped.Close)
	if err := d.releaseModel(ctx, p); err != nil {
		return err
	}
	d.reg = telemetry.NewRegistry()
	if d.codec, err = newCodec(p, c.Registry, d.reg, demoPrefix, schemas.EventApplication, schemas.EventPrediction, schemas.EventOutcome); err != nil {
		return err
	}
	if d.watch, err = newWatch(ctx, d.kafka.Config(p.log).For("watch"), d.topics, d.codec, c.Decisions); err != nil {
		return err
	}
	d.free(d.watch.client.Close)
	return c.assemble(p, d)
}

// demoViewGroup is the view's group, another one in each run: with the last one's
// commits an embedded Redis, empty at every start, would seem to have lost its data.
func demoViewGroup(began time.Time) string {
	return schemas.GroupName(demoPrefix, schemas.GroupView) + "-" + began.UTC().Format("20060102T150405.000")
}

// demoGather is how long the view gathers what it writes: each round trip costs the
// embedded Redis about as much as a hundred keys do.
const demoGather = 200 * time.Millisecond

// port is a service's usual port, so that commands need not be told; 0, a free
// one, where that is taken or nobody has the time to look.
func (c *demoCmd) port(usual int) int {
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
func (d *demo) makeTopics(ctx context.Context, p *process, keepAll bool) error {
	client, err := kgo.NewClient(d.kafka.Config(p.log).For("topics").Options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kafka.CreateTopics(ctx, kadm.NewClient(client), demoTopics(keepAll))
	return err
}

// demoKept is how many bytes the demo keeps of each topic that grows, 100 MB in
// all: the embedded broker keeps an index of every batch in memory, and a quiet
// stream has a batch for nearly every record. Of replicas, which is compacted, it is
// only the size of its segments that follows.
func demoKept(t schemas.Topics) map[string]int64 {
	return map[string]int64{t.Applications: 26e6, t.Predictions: 49e6, t.DLQ: 8e6, t.Outcomes: 3e6, t.DriftPanes: 10e6, t.DriftStatus: 2e6, t.DriftAlerts: 1e6, t.Replicas: 1e6}
}

// demoTopics is the catalogue, small: an hour or 100 MB, or all of a run that
// ends and is judged from its topics.
func demoTopics(keepAll bool) (specs []kafka.TopicSpec) {
	kept := demoKept(schemas.NewTopics(demoPrefix))
	for _, t := range schemas.Catalogue(demoPrefix) {
		t.Partitions = min(t.Partitions, demoPartitions)
		if bytes, ok := kept[t.Name]; ok && !keepAll {
			t.Configs = local.Bounded(t.Configs, time.Hour, bytes/int64(t.Partitions))
		}
		specs = append(specs, kafka.TopicSpec{Name: t.Name, Partitions: t.Partitions, Replication: 1, Configs: t.Configs})
	}
	return specs
}

// assemble makes the components.
func (c *demoCmd) assemble(p *process, d *demo) error {
	reg := d.reg
	models, err := newFollower(p, d.kafka, flags.Model{Engine: "auto"}, reg)
	if err != nil {
		return err
	}
	latency := replica.NewLatencies()
	scorer, err := c.scorer(p, d, stream.Config{
		Kafka: d.kafka.Config(p.log).For("score-demo"), Topics: d.topics, Codec: d.codec, Log: p.log, Group: groupNames(demoPrefix, schemas.GroupScorer, ""), Instance: demoInstance,
		Sessions: demoSessions, Protocol: member.ProtocolClassic, Static: true, Live: models.Live, Latencies: latency, Registerer: reg, Now: time.Now,
	})
	if err != nil {
		return err
	}
	if d.child == nil { // a child process speaks for itself
		d.report(scoreReport(latency), models, models, scorer)
	}
	redisAt := redisconn.Config{Address: redisconn.Address{Servers: []string{d.redis.Addr()}}}
	viewClient := redisAt.Open()
	d.free(func() { _ = viewClient.Close() }) // nothing is left to be written
	latency = replica.NewLatencies()
	v, err := view.New(view.Config{
		Kafka: d.kafka.Config(p.log).For("view"), Topics: d.topics, Codec: d.codec, Redis: viewClient, Group: member.Names{Group: demoViewGroup(p.began)},
		Lifetimes: view.Lifetimes{Prediction: demoTTL, Decided: demoTTL}, Log: p.log, Latencies: latency, Registerer: reg,
		Gather: demoGather,
	})
	if err != nil {
		return err
	}
	d.report(viewReport(latency), nil, v)
	counts, err := aggregate.New(aggregate.Config{
		Kafka: d.kafka.Config(p.log).For("drift"), Topics: d.topics, Codec: d.codec, Log: p.log, Group: groupNames(demoPrefix, schemas.GroupDrift, ""), Instance: demoInstance,
		Sessions: 1, Protocol: member.ProtocolClassic, Static: true, From: kafka.From{Start: true}, Bucket: demoBucket,
		Live: models.Live, Decisions: decided{view.NewStore(viewClient, demoPrefix)}, Registerer: reg,
	})
	if err != nil {
		return err
	}
	d.report(driftReport(), nil, models, counts)
	config := (&produceCmd{
		Kafka: *d.kafka, Population: true, IDPrefix: producer.DefaultIDPrefix, Count: c.Decisions, Rate: c.Rate, Seed: c.Seed,
		Scenario: c.Scenario, ScenarioAfter: demoScenarioAfter, ScenarioRamp: demoScenarioRamp, OutcomesFor: producer.OutcomesForApproved,
	}).producerConfig(p)
	config.Registerer, config.Codec = reg, d.codec
	apply := applicants{scorer: scorer, watch: d.watch}
	if !c.Exit { // a run that ends does so before they would be known
		config.OutcomesAfter, config.OutcomesWithin, config.OutcomesRate = demoOutcomesAfter, demoOutcomesWithin, demoOutcomesRate
		config.MaxPending = mostUnanswered
		config.Truth = demoTruth(d.shipped)
		apply.view = v
	}
	emitter, err := producer.New(config)
	if err != nil {
		return err
	}
	judges, err := c.judges(p, d, models.Live)
	if err != nil {
		return err
	}
	apply.Producer = emitter
	d.report(produceReport(), nil, apply)
	d.components = withCodec(d.codec, models, scorer, v, counts, d.watch, apply, aging{d.redis})
	d.components = append(d.components, judges...)
	d.components = append(d.components, diskWatch{d.broker})
	listener, err := demoListen(c.APIListen)
	if err != nil {
		return err
	}
	d.free(func() { _ = listener.Close() }) // the server has closed it, unless it never ran
	page := flags.API{Listen: listener.Addr().String(), Feed: true, TrustedProxies: c.TrustedProxies, MaxInFlight: 1024, PublishTimeout: 5 * time.Second}
	latency = replica.NewLatencies()
	own, stop, err := apiComponents(p, &page, apiParts{
		kafka: d.kafka, redis: redisAt, codec: d.codec, listener: listener, live: models.Live, latency: latency, reg: reg, process: d.process,
		demo: demoScenario{emitter},
	})
	if err != nil {
		return err
	}
	d.free(stop)
	d.report(apiReport(latency), models, append([]lifecycle.Component{models}, own...)...)
	d.components = append(d.components, own...)
	d.process.components = d.components
	d.address = "http://" + listener.Addr().String()
	return nil
}

// report says what a component of these parts is doing; models is nil where it serves
// none.
func (d *demo) report(r reports.Component, models *release.Follower, parts ...lifecycle.Component) {
	if models != nil {
		r = serving(r, models)
	}
	d.reports = append(d.reports, reportOn(r, demoInstance, d.process.stopping, parts...))
}

// When a demo's scenario begins and how long it takes to reach full strength, in
// applications: soon enough to be seen.
const (
	demoScenarioAfter = 2_000
	demoScenarioRamp  = 1_000
)

// When it is told whether an applicant defaulted: years, in a demo, are seconds. Where
// many apply it is sooner, while the demo's Redis still has the decision.
const (
	demoOutcomesAfter  = 5 * time.Second
	demoOutcomesWithin = 1_000 // more applications
	// Whose it is told at most, a second: joining costs the embedded Redis more than
	// anything else does.
	demoOutcomesRate = 500
)

// scorer is the loop in this process, or a child that runs it.
func (c *demoCmd) scorer(p *process, d *demo, config stream.Config) (lifecycle.Component, error) {
	if c.InProcess {
		return stream.New(config)
	}
	binary, err := thisBinary()
	if err != nil {
		return nil, err
	}
	telemetryAt, _, err := loopback.Free(1)
	if err != nil {
		return nil, err
	}
	d.child = &scorerProcess{
		binary: binary, listen: telemetryAt, log: p.log, stderr: p.stderr,
		said: func(pid int) {
			say(p.stderr, "scorer", fmt.Sprintf("process %d, metrics http://%s/metrics; kill it and watch: kill -KILL %d", pid, telemetryAt, pid))
		},
		args: []string{
			"--log-level", "warn", "score", "--stop-with-stdin", "--brokers", d.kafka.Brokers[0], "--prefix", demoPrefix,
			"--instance", config.Instance, "--sessions", strconv.Itoa(config.Sessions), "--static", "--listen", telemetryAt,
		},
	}
	d.child.args = append(d.child.args, c.Registry.Args()...)
	return d.child, nil
}

// demoListen is where the page is served: as asked for, the usual place, or a
// free port where that is taken.
func demoListen(asked string) (net.Listener, error) {
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

// applicants are the producer, which begins when the scorer is ready, waits
// while too much is unanswered, and may end by itself without ending the rest.
type applicants struct {
	*producer.Producer
	scorer lifecycle.Component
	watch  *watch
	view   *view.View // waited for, too; nil: not
}

const (
	// readyInterval is how often the applicants look at the scorer.
	readyInterval = 10 * time.Millisecond
	// Unanswered applications at which they wait: far fewer than the embedded broker
	// keeps. They go on at half of it.
	mostUnanswered = 20_000
	// The same where outcomes are told, with decisions that the view does not have yet:
	// outcomes are joined with what it has, and the demo's Redis keeps twice as many.
	mostUnseen = demoKeys / 4
)

// Run is part of lifecycle.Component.
func (a applicants) Run(ctx context.Context) error {
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for a.scorer.Ready() != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Producer.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		case <-tick.C:
			a.hold()
		}
	}
}

// hold pauses the producer while too much of what it emitted is unanswered: what
// the broker deletes before it was scored would never be. So with what the view has
// not shown yet.
func (a applicants) hold() {
	emitted := a.Counters()
	unanswered := emitted.Produced + emitted.MalformedTotal() - a.watch.answers()
	open, most := unanswered, int64(mostUnanswered)
	if a.view != nil {
		open, most = unanswered+a.watch.ahead(a.view.Reached()), mostUnseen
	}
	_, paused := a.Rate()
	switch {
	case !paused && open > most:
		a.Pause(true)
	case paused && open < most/2:
		a.Pause(false)
	}
}

// Ready is part of lifecycle.Component: having ended is no failure.
func (applicants) Ready() error { return nil }

// aging lets the embedded Redis's keys expire.
type aging struct {
	redis *local.Redis
}

// Name is part of lifecycle.Component.
func (aging) Name() string { return "redis-time" }

// Ready is part of lifecycle.Component.
func (aging) Ready() error { return nil }

// Run is part of lifecycle.Component.
func (a aging) Run(ctx context.Context) error {
	a.redis.Age(ctx, demoKeys)
	return nil
}

// say writes a line of where things are.
func say(w io.Writer, what, where string) { fmt.Fprintf(w, "  %-10s%s\n", what, where) }

// announce says where everything is.
func (d *demo) announce(w io.Writer, dataDir string) {
	fmt.Fprintln(w, "creditstream demo: applications are decided as they come in. Stop with Ctrl-C.")
	say(w, "page", d.address)
	say(w, "API docs", d.address+"/docs")
	brokers := ""
	if d.kafka.Brokers[0] != defaultBroker {
		brokers = " --brokers " + d.kafka.Brokers[0]
	}
	say(w, "Kafka", d.kafka.Brokers[0]+", try: "+program()+" tail"+brokers)
	say(w, "Redis", d.redis.Addr())
	if dataDir != "" {
		say(w, "data", dataDir)
	}
}

// defaultBroker is --brokers' default.
const defaultBroker = "127.0.0.1:9092"

// program is how this program was called.
func program() string { return os.Args[0] }

// farewell sums up.
func (d *demo) farewell(w io.Writer) {
	s, _ := d.watch.snapshot()
	fmt.Fprintf(w, "%d decisions, %d dead letters\n", s.Stream+s.API, s.DeadLetters)
}
