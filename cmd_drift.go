package main

import (
	"fmt"
	"time"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/aggregate"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/telemetry"
	"github.com/creditstream/creditstream/schemas"
)

type driftCmd struct {
	Serve   driftServeCmd   `cmd:"" name:"run" default:"withargs" help:"Count and judge decisions and their outcomes until stopped; what drift does by itself."`
	Status  driftStatusCmd  `cmd:"" help:"What was found last: windows, alerts, what moved."`
	Report  driftReportCmd  `cmd:"" help:"Compare any stretch of time with the reference: a page of HTML, and JSON."`
	Current driftCurrentCmd `cmd:"" help:"The last inputs as CSV, for tools that want rows."`
}

type driftServeCmd struct {
	kafkaFlags
	redisFlags
	listenFlags
	modelFlags
	memberFlags
	evaluatorFlags
	webhookFlags

	Group  string        `help:"Consumer group." default:"drift" placeholder:"NAME"`
	From   string        `help:"Where a group without commits begins: start, end or an RFC 3339 time, by when the log took a record (default: a day ago, as far as the longest window reaches)." placeholder:"start|end|TIME"`
	Bucket time.Duration `help:"Length of the stretches of time that decisions are counted by, whole seconds." default:"1m" placeholder:"DURATION"`
}

// Help is the second half of `drift run --help`.
func (driftServeCmd) Help() string {
	return `Counts every committed decision and every outcome exactly once, over the bins of the champion's reference, into the topic of panes: panes and offsets are in one transaction, and no state is kept but the log. Outcomes are joined with what the view keeps in Redis of the decision; they wait while Redis is away or the view is behind, decisions do not.

Judges what was counted, over every window: one status record per evaluation on the status topic, and one on the alerts topic for each alert that fires or is over. Several replicas share the partitions; one of them judges, another takes over when it is gone.

Examples:
  creditstream drift
  creditstream drift --windows 1000,1h --alert-webhook http://alertmanager:9093`
}

// Run counts until a signal.
func (c *driftServeCmd) Run(p *process) error {
	from, err := member.ParseFrom(c.From)
	if err != nil {
		return err
	}
	if err := c.checkMember(); err != nil {
		return err
	}
	if c.Bucket < time.Second || c.Bucket%time.Second != 0 {
		return fmt.Errorf("--bucket %s: expected whole seconds, at least 1s", c.Bucket)
	}
	if err := c.webhookFlags.check(); err != nil {
		return err
	}
	reg := telemetry.NewRegistry()
	models, err := c.follower(p, c.kafkaFlags, reg)
	if err != nil {
		return err
	}
	codec, err := c.codec(p, reg, c.Prefix)
	if err != nil {
		return err
	}
	client := c.client()
	defer client.Close() //nolint:errcheck // nothing is left to be written
	a, err := aggregate.New(aggregate.Config{
		Kafka: c.config(p, "drift-"+c.Instance), Topics: schemas.NewTopics(c.Prefix), Codec: codec, Log: p.log,
		Group: c.Group, Instance: c.Instance, Sessions: c.Sessions, Protocol: c.GroupProtocol, Static: c.Static, From: from,
		Bucket: c.Bucket, Live: models.Live, Decisions: decided{view.NewStore(client)}, Registerer: reg,
	})
	if err != nil {
		return err
	}
	judges, err := c.evaluator(p, evaluatorParts{
		kafka: c.config(p, "drift-evaluator-"+c.Instance), prefix: c.Prefix, live: models.Live, webhook: &c.webhookFlags, reg: reg,
	})
	if err != nil {
		return err
	}
	p.log.Info("counting decisions and outcomes", "group", c.Group, "instance", c.Instance, "bucket", c.Bucket)
	return serveReported(p, c.kafkaFlags, c.Listen, reg, driftReport(), c.Instance, withCodec(codec, append([]lifecycle.Component{models, a}, judges...)...)...)
}
