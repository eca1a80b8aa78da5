package cli

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/drift/evaluate"
	"github.com/creditstream/creditstream/drift/webhook"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// evaluatorParts are what an evaluator shares with other components of the process.
type evaluatorParts struct {
	kafka    kafka.Config
	prefix   string
	live     func() *model.LiveSet
	webhook  *flags.Webhook
	notifier evaluate.Notifier // told beside the webhook; nil: none
	reg      prometheus.Registerer
	between  time.Duration // status records while decisions come in; 0: the evaluator's default
}

// addEvaluator is the evaluator and, where an Alertmanager is to be told, what tells it.
func addEvaluator(p *process, f *flags.Evaluator, parts evaluatorParts) (all []lifecycle.Component, err error) {
	config, err := f.Config()
	if err != nil {
		return nil, err
	}
	var told notifiers
	if parts.notifier != nil {
		told = append(told, parts.notifier)
	}
	alertmanager, err := parts.webhook.Config(p.log)
	if err != nil {
		return nil, err
	}
	if alertmanager != nil {
		alertmanager.System, alertmanager.Registerer = parts.prefix, parts.reg
		hook, err := webhook.New(*alertmanager)
		if err != nil {
			return nil, err
		}
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
