package cli

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/drift/evaluate"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// evaluatorFlags say over what drift is judged, and what its alerts wait for.
type evaluatorFlags struct {
	fairnessFlags `group:"Alerts"`

	Windows   string        `help:"What statistics are shown over: numbers of decisions (at least so many; less than a fiftieth and one pane more) and times up to 24h." default:"1000,10000,1h,24h" placeholder:"LIST" group:"Alerts"`
	Silence   time.Duration `help:"How long nothing may be decided before that is an alert." default:"5m" placeholder:"DURATION" group:"Alerts"`
	BlockTime time.Duration `help:"How long a block of decisions, what evidence is taken from, takes at least." default:"5s" placeholder:"DURATION" group:"Alerts"`
	MinFiring time.Duration `help:"How long a drift alert lasts at least." default:"1m" placeholder:"DURATION" group:"Alerts"`
}

// fairnessFlags say what the approval rates of groups are held against.
type fairnessFlags struct {
	Fairness float64 `help:"Least ratio of a group's approval rate to that of the group approved most often; lower ones are told of." default:"0.8" name:"fairness-ratio" placeholder:"RATIO"`
}

func (f fairnessFlags) checkFairness() error {
	if !(f.Fairness > 0 && f.Fairness <= 1) {
		return usagef("--fairness-ratio %v: expected more than 0, at most 1", f.Fairness)
	}
	return nil
}

// evaluatorParts are what an evaluator shares with other components of the process.
type evaluatorParts struct {
	kafka    kafka.Config
	prefix   string
	live     func() *model.LiveSet
	webhook  *webhookFlags
	notifier evaluate.Notifier // told beside the webhook; nil: none
	reg      prometheus.Registerer
	between  time.Duration // status records while decisions come in; 0: the evaluator's default
}

// config is how decisions are judged.
func (f *evaluatorFlags) config() (evaluate.Config, error) {
	windows, err := judging.ParseWindows(f.Windows)
	if err != nil {
		return evaluate.Config{}, usagef("--windows: %w", err)
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"silence", f.Silence}, {"block-time", f.BlockTime}, {"min-firing", f.MinFiring}} {
		if d.value < time.Second {
			return evaluate.Config{}, usagef("--%s %s: expected at least 1s", d.flag, d.value)
		}
	}
	if err := f.checkFairness(); err != nil {
		return evaluate.Config{}, err
	}
	return evaluate.Config{Settings: judging.Settings{
		Windows: windows, Quiet: f.Silence, BlockTime: f.BlockTime, MinFiring: f.MinFiring, Fairness: f.Fairness,
	}}, nil
}

// evaluator is the evaluator and, where an Alertmanager is to be told, what tells it.
func (f *evaluatorFlags) evaluator(p *process, parts evaluatorParts) (all []lifecycle.Component, err error) {
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	var told notifiers
	if parts.notifier != nil {
		told = append(told, parts.notifier)
	}
	hook, err := parts.webhook.notifier(p, parts.prefix, parts.reg)
	if err != nil {
		return nil, err
	}
	if hook != nil {
		all, told = append(all, hook), append(told, hook)
	}
	config.Kafka, config.Topics, config.Between = parts.kafka, schemas.NewTopics(parts.prefix), parts.between
	config.Champion, config.Notifier, config.Log, config.Registerer = driftChampion(parts.live), told, p.log, parts.reg
	judge, err := evaluate.New(config)
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
