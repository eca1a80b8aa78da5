package cli

import (
	"fmt"
	"time"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/internal/member"
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

// scoreFlags say which applications the scorer takes.
type scoreFlags struct {
	Group string   `help:"Consumer group of the scorer (default PREFIX.scorer, or scorer as long as only that has commits)." placeholder:"NAME"`
	Skip  []string `help:"Pass over a batch that cannot be read and has stopped its partition: its offsets are not answered, and verify counts them. TOPIC/PARTITION@OFFSET as the log names it, such as applications/3@264; @FIRST-LAST where the batch does not say where it ends." placeholder:"TOPIC/PARTITION@OFFSET"`
	From  string   `help:"Where a group without commits begins: start, end or an RFC 3339 time. Needed only when predictions already holds decisions from the stream." placeholder:"start|end|TIME"`
}

// skips are the batches to be passed over, of a topic that the scorer reads.
func (f *scoreFlags) skips(prefix string) (all []member.Skip, err error) {
	applications := schemas.NewTopics(prefix).Applications
	for _, text := range f.Skip {
		s, err := member.ParseSkip(text)
		if err != nil {
			return nil, err
		}
		if s.Topic != applications && prefix+"."+s.Topic != applications {
			return nil, fmt.Errorf("--skip %q: the scorer reads %s", text, applications)
		}
		all = append(all, s)
	}
	return all, nil
}

// addScorer adds the scorer.
func (f *scoreFlags) addScorer(s *services, m modelFlags, as memberFlags) error {
	from, err := member.ParseFrom(f.From)
	if err != nil {
		return usage(err)
	}
	skips, err := f.skips(s.kafka.Prefix)
	if err != nil {
		return err
	}
	if err := as.checkMember(); err != nil {
		return err
	}
	models, err := s.follower(m)
	if err != nil {
		return err
	}
	latency := replica.NewLatencies()
	claim, take := s.claim(scoreName)
	scorer, err := stream.New(stream.Config{
		Kafka: s.kafka.config(s.p, "score-"+s.instance), Topics: schemas.NewTopics(s.kafka.Prefix), Codec: s.codec, Log: s.p.log,
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

// viewFlags say how long the view keeps what.
type viewFlags struct {
	TTL        time.Duration `help:"How long a prediction stays in Redis, from when the log took it (default ${default}: 30 days)." default:"720h" name:"ttl" placeholder:"DURATION"`
	DecidedTTL time.Duration `help:"How long what outcomes are joined with stays in Redis (default ${default}: 800 days)." default:"19200h" name:"decided-ttl" placeholder:"DURATION"`
}

// viewConfig is the view of a group.
func (f *viewFlags) viewConfig(s *services, r redisFlags, group string) view.Config {
	client := r.client()
	s.free(func() { _ = client.Close() }) // nothing is left to be written
	return view.Config{
		Kafka: s.kafka.config(s.p, "view"), Topics: schemas.NewTopics(s.kafka.Prefix), Codec: s.codec, Redis: client, Group: groupNames(s.kafka.Prefix, schemas.GroupView, group),
		Lifetimes: view.Lifetimes{Prediction: f.TTL, Decided: f.DecidedTTL}, Log: s.p.log, Registerer: s.reg,
	}
}

// addView adds the view.
func (f *viewFlags) addView(s *services, r redisFlags, group string) error {
	config, latency := f.viewConfig(s, r, group), replica.NewLatencies()
	config.Latencies = latency
	v, err := view.New(config)
	if err != nil {
		return err
	}
	s.add(viewReport(latency), false, v)
	s.p.log.Info("following predictions", "redis", r.address.String())
	return nil
}

// addAPI adds the API.
func (f *apiFlags) addAPI(s *services, r redisFlags, m modelFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	models, err := s.follower(m)
	if err != nil {
		return err
	}
	latency := replica.NewLatencies()
	own, stop, err := f.components(s.p, apiParts{
		kafka: s.kafka, redis: r, codec: s.codec, live: models.Live, latency: latency, reg: s.reg, process: s.process,
	})
	if err != nil {
		return err
	}
	s.free(stop)
	s.delay = f.ShutdownDelay
	s.add(apiReport(latency), true, own...)
	return nil
}
