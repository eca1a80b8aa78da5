package cli

import (
	"time"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/aggregate"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer/stream"
)

// What is reported of each component: its name, and the metrics that count what it
// does.
const (
	scoreName   = "score"
	apiName     = "api"
	viewName    = "view"
	produceName = "produce"
	driftName   = "drift"
)

func scoreReport(latency *replica.Latencies) reports.Component {
	return reports.Component{Name: scoreName, Latency: latency, Measures: reports.Measures{
		Records: "creditstream_scorer_records_total", Decisions: "creditstream_scorer_decisions_total",
		DeadLetters: "creditstream_scorer_dead_letters_total", Errors: "creditstream_scorer_aborts_total", Lag: "creditstream_scorer_lag",
	}}
}

func apiReport(latency *replica.Latencies) reports.Component {
	return reports.Component{Name: apiName, Latency: latency, Measures: reports.Measures{
		Records: "creditstream_api_decisions_total", Decisions: "creditstream_api_decisions_total", Errors: "creditstream_api_unrecorded_total",
	}}
}

func viewReport(latency *replica.Latencies) reports.Component {
	return reports.Component{Name: viewName, Latency: latency, Measures: reports.Measures{
		Records: "creditstream_view_written_total", Errors: "creditstream_view_redis_errors_total", Lag: "creditstream_view_lag",
	}}
}

func driftReport() reports.Component {
	return reports.Component{Name: driftName, Measures: reports.Measures{
		Records: "creditstream_drift_decisions_total", Errors: "creditstream_drift_aborts_total", Lag: "creditstream_drift_lag",
	}}
}

func produceReport() reports.Component {
	return reports.Component{Name: produceName, Measures: reports.Measures{Records: "creditstream_producer_applications_total"}}
}

// addScorer adds the scorer.
func addScorer(s *services, f *flags.Score, m flags.Model, as flags.Member) error {
	from, err := kafka.ParseFrom(f.From)
	if err != nil {
		return flags.Usage(err)
	}
	skips, err := f.Skips(s.kafka.Prefix)
	if err != nil {
		return err
	}
	if err := as.Check(); err != nil {
		return err
	}
	models, err := s.follower(m)
	if err != nil {
		return err
	}
	latency := replica.NewLatencies()
	claim, take := s.claim(scoreName)
	scorer, err := stream.New(stream.Config{
		Kafka: s.kafka.Config(s.p.log).For("score-" + s.instance), Topics: s.kafka.Topics(), Codec: s.codec, Log: s.p.log,
		Group: groupNames(s.kafka.Prefix, schemas.GroupScorer, f.Group), Instance: s.instance, Sessions: as.Sessions,
		Protocol: as.GroupProtocol, Static: as.Static, From: from, Skips: skips, Claim: take,
		Live: models.Live, Latencies: latency, Registerer: s.reg, Now: time.Now,
	})
	if err != nil {
		return err
	}
	report := scoreReport(latency)
	report.Claim = claim
	s.add(report, true, scorer)
	s.p.log.Info("scoring", "instance", s.instance, "sessions", as.Sessions)
	return nil
}

// viewConfig is the view of a group.
func viewConfig(s *services, f *flags.View, r flags.Redis, group string) view.Config {
	client := r.Config().Open()
	s.free(func() { _ = client.Close() }) // nothing is left to be written
	return view.Config{
		Kafka: s.kafka.Config(s.p.log).For("view"), Topics: s.kafka.Topics(), Codec: s.codec, Redis: client, Group: groupNames(s.kafka.Prefix, schemas.GroupView, group),
		Lifetimes: view.Lifetimes{Prediction: f.TTL, Decided: f.DecidedTTL}, Log: s.p.log, Registerer: s.reg,
	}
}

// addView adds the view.
func addView(s *services, f *flags.View, r flags.Redis, group string) error {
	config, latency := viewConfig(s, f, r, group), replica.NewLatencies()
	config.Latencies = latency
	v, err := view.New(config)
	if err != nil {
		return err
	}
	s.add(viewReport(latency), false, v)
	s.p.log.Info("following predictions", "redis", r.Config().Address.String())
	return nil
}

// addAPI adds the API.
func addAPI(s *services, f *flags.API, r flags.Redis, m flags.Model) error {
	if err := f.Check(); err != nil {
		return err
	}
	models, err := s.follower(m)
	if err != nil {
		return err
	}
	latency := replica.NewLatencies()
	own, stop, err := apiComponents(s.p, f, apiParts{
		kafka: s.kafka, redis: r.Config(), codec: s.codec, live: models.Live, latency: latency, reg: s.reg, process: s.process,
	})
	if err != nil {
		return err
	}
	s.free(stop)
	s.delay = f.ShutdownDelay
	s.add(apiReport(latency), true, own...)
	return nil
}

// addDrift adds the aggregator and the evaluator.
func addDrift(s *services, f *flags.Drift, r flags.Redis, m flags.Model, as flags.Member, group, text string) error {
	from, err := kafka.ParseFrom(text)
	if err != nil {
		return flags.Usage(err)
	}
	if err := as.Check(); err != nil {
		return err
	}
	if err := f.Check(); err != nil {
		return err
	}
	models, err := s.follower(m)
	if err != nil {
		return err
	}
	client := r.Config().Open()
	s.free(func() { _ = client.Close() }) // nothing is left to be written
	cluster := kafka.NewCluster(s.kafka.Config(s.p.log).For("drift-cluster"))
	claim, take := s.claim(driftName)
	counts, err := aggregate.New(aggregate.Config{
		Kafka: s.kafka.Config(s.p.log).For("drift-" + s.instance), Topics: s.kafka.Topics(), Codec: s.codec, Log: s.p.log,
		Group: groupNames(s.kafka.Prefix, schemas.GroupDrift, group), Instance: s.instance, Sessions: as.Sessions, Protocol: as.GroupProtocol, Static: as.Static, From: from, Claim: take,
		Bucket: f.Bucket, LateAfter: f.LateAfter, Live: models.Live, Decisions: decided{view.NewStore(client, s.kafka.Prefix).Of(cluster.ID)}, Registerer: s.reg,
	})
	if err != nil {
		return err
	}
	judges, err := addEvaluator(s.p, &f.Evaluator, evaluatorParts{
		kafka: s.kafka.Config(s.p.log).For("drift-evaluator-" + s.instance), prefix: s.kafka.Prefix, live: models.Live, webhook: &f.Webhook, reg: s.reg,
	})
	if err != nil {
		return err
	}
	report := driftReport()
	report.Claim = claim
	s.add(report, false, append(judges, cluster, counts)...)
	s.p.log.Info("counting and judging decisions and outcomes", "instance", s.instance, "bucket", f.Bucket)
	return nil
}
