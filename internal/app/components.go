package app

import (
	"log/slog"
	"time"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/aggregate"
	"github.com/creditstream/creditstream/drift/evaluate"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/drift/webhook"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer/stream"
)

// The components' names.
const (
	ScoreName   = "score"
	APIName     = "api"
	ViewName    = "view"
	DriftName   = "drift"
	produceName = "produce"
)

// What is reported of each: its name, and the metrics that count what it does.

func scoreReport(latency *replica.Latencies) reports.Component {
	return reports.Component{Name: ScoreName, Latency: latency, Measures: reports.Measures{
		Records: stream.MetricRecords, Decisions: stream.MetricDecisions,
		DeadLetters: stream.MetricDeadLetters, Errors: stream.MetricAborts, Lag: stream.MetricLag,
	}}
}

func apiReport(latency *replica.Latencies) reports.Component {
	return reports.Component{Name: APIName, Latency: latency, Measures: reports.Measures{
		Records: api.MetricDecisions, Decisions: api.MetricDecisions, Errors: api.MetricUnrecorded,
	}}
}

func viewReport(latency *replica.Latencies) reports.Component {
	return reports.Component{Name: ViewName, Latency: latency, Measures: reports.Measures{
		Records: view.MetricWritten, Errors: view.MetricRedisErrors, Lag: view.MetricLag,
	}}
}

func driftReport() reports.Component {
	return reports.Component{Name: DriftName, Measures: reports.Measures{
		Records: aggregate.MetricDecisions, Errors: aggregate.MetricAborts, Lag: aggregate.MetricLag,
	}}
}

// ProduceReport is what is reported of a producer.
func ProduceReport() reports.Component {
	return reports.Component{Name: produceName, Measures: reports.Measures{Records: producer.MetricApplications}}
}

// Member says how a component takes part in its consumer group.
type Member struct {
	Sessions int    // transactional, of this process
	Protocol string // member.ProtocolClassic or member.ProtocolConsumer
	Static   bool
}

// Scorer says which applications the scorer takes.
type Scorer struct {
	Member Member
	Group  string     // empty: the deployment's
	From   kafka.From // where a group without commits begins
	Skips  []member.Skip
}

// AddScorer adds the scorer.
func (s *Services) AddScorer(c Scorer) (lifecycle.Component, error) {
	models, err := s.follower()
	if err != nil {
		return nil, err
	}
	instance, latency := s.config.Instance, replica.NewLatencies()
	claim, take := s.claim(ScoreName)
	scorer, err := stream.New(stream.Config{
		Kafka: s.Client("score-" + instance), Topics: s.topics, Codec: s.codec, Log: s.log,
		Group: GroupNames(s.config.Kafka.Prefix, schemas.GroupScorer, c.Group), Instance: instance, Sessions: c.Member.Sessions,
		Protocol: c.Member.Protocol, Static: c.Member.Static, From: c.From, Skips: c.Skips, Claim: take,
		Live: models.Live, Latencies: latency, Registerer: s.reg, Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	report := scoreReport(latency)
	report.Claim = claim
	s.Add(report, true, scorer)
	s.log.Info("scoring", "instance", instance, "sessions", c.Member.Sessions)
	return scorer, nil
}

// View says what the view keeps, where, and how long.
type View struct {
	Redis     redisconn.Config
	Group     string // empty: the deployment's
	Lifetimes view.Lifetimes
	Gather    time.Duration // before writing; 0: none
}

// ViewConfig is the configuration of the view.
func (s *Services) ViewConfig(c View) view.Config {
	client := c.Redis.Open()
	s.Free(func() { _ = client.Close() }) // nothing is left to be written
	return view.Config{
		Kafka: s.Client("view"), Topics: s.topics, Codec: s.codec, Redis: client,
		Group: GroupNames(s.config.Kafka.Prefix, schemas.GroupView, c.Group), Lifetimes: c.Lifetimes, Gather: c.Gather,
		Log: s.log, Registerer: s.reg,
	}
}

// AddView adds the view.
func (s *Services) AddView(c View) (*view.View, error) {
	config, latency := s.ViewConfig(c), replica.NewLatencies()
	config.Latencies = latency
	v, err := view.New(config)
	if err != nil {
		return nil, err
	}
	s.Add(viewReport(latency), false, v)
	s.log.Info("following predictions", "redis", c.Redis.String())
	return v, nil
}

// Drift says how decisions are counted and judged.
type Drift struct {
	Member    Member
	Redis     redisconn.Config // of the view that outcomes are joined with
	Group     string           // empty: the deployment's
	From      kafka.From       // where a group without commits begins
	Bucket    time.Duration
	LateAfter time.Duration
	Evaluator Evaluator
}

// Evaluator says how counts are judged, and who is told of alerts beside their topic.
type Evaluator struct {
	Settings judging.Settings
	Between  time.Duration     // status records while decisions come in; 0: the evaluator's default
	Webhook  *webhook.Config   // nil: none
	Notifier evaluate.Notifier // told, too; nil: none
	Log      *slog.Logger      // of the evaluator alone; nil: the process's
}

// AddDrift adds the aggregator and the evaluator.
func (s *Services) AddDrift(c Drift) error {
	models, err := s.follower()
	if err != nil {
		return err
	}
	client := c.Redis.Open()
	s.Free(func() { _ = client.Close() }) // nothing is left to be written
	instance, prefix := s.config.Instance, s.config.Kafka.Prefix
	cluster := s.whichCluster()
	claim, take := s.claim(DriftName)
	counts, err := aggregate.New(aggregate.Config{
		Kafka: s.Client("drift-" + instance), Topics: s.topics, Codec: s.codec, Log: s.log,
		Group: GroupNames(prefix, schemas.GroupDrift, c.Group), Instance: instance, Sessions: c.Member.Sessions,
		Protocol: c.Member.Protocol, Static: c.Member.Static, From: c.From, Claim: take,
		Bucket: c.Bucket, LateAfter: c.LateAfter, Live: models.Live, Decisions: decided{view.NewStore(client, prefix).Of(cluster.ID)}, Registerer: s.reg,
	})
	if err != nil {
		return err
	}
	judges, err := s.evaluator(c.Evaluator)
	if err != nil {
		return err
	}
	report := driftReport()
	report.Claim = claim
	s.addSharing(report, false, []lifecycle.Component{cluster}, append(judges, counts)...)
	s.log.Info("counting and judging decisions and outcomes", "instance", instance, "bucket", c.Bucket)
	return nil
}

// evaluator is the evaluator and, where an Alertmanager is to be told, what tells it.
func (s *Services) evaluator(c Evaluator) (all []lifecycle.Component, err error) {
	var told notifiers
	if c.Notifier != nil {
		told = append(told, c.Notifier)
	}
	if c.Webhook != nil {
		config := *c.Webhook
		config.System, config.Registerer = s.config.Kafka.Prefix, s.reg
		hook, err := webhook.New(config)
		if err != nil {
			return nil, err
		}
		all, told = append(all, hook), append(told, hook)
	}
	log := s.log
	if c.Log != nil {
		log = c.Log
	}
	judge, err := evaluate.New(evaluate.Config{
		Settings: c.Settings, Kafka: s.Client("drift-evaluator-" + s.config.Instance), Topics: s.topics, Between: c.Between,
		Champion: driftChampion(s.models.Live), Notifier: told, Log: log, Registerer: s.reg,
	})
	if err != nil {
		return nil, err
	}
	return append(all, judge), nil
}

// notifiers tell each of several.
type notifiers []evaluate.Notifier

// Notify is part of evaluate.Notifier.
func (n notifiers) Notify(alerts []schemas.Alert) {
	for _, one := range n {
		one.Notify(alerts)
	}
}
