package cli

import (
	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
)

type driftCmd struct {
	Serve   driftServeCmd   `cmd:"" name:"run" default:"withargs" help:"Count and judge decisions and outcomes until stopped; what drift does without a subcommand."`
	Status  driftStatusCmd  `cmd:"" help:"Show the newest status: windows, alerts, what moved."`
	Report  driftReportCmd  `cmd:"" help:"Compare any stretch of time with the reference: a page of HTML, and JSON."`
	Current driftCurrentCmd `cmd:"" help:"The last inputs as CSV, for tools that want rows."`
}

type driftServeCmd struct {
	Kafka  flags.Kafka  `embed:""`
	Redis  flags.Redis  `embed:""`
	Listen flags.Listen `embed:""`
	Model  flags.Model  `embed:""`
	Member flags.Member `embed:""`
	Drift  flags.Drift  `embed:""`

	Group string `help:"Consumer group (default PREFIX.drift, or drift as long as only that has commits)." placeholder:"NAME"`
	From  string `help:"Where a group without commits begins: start, end or an RFC 3339 time, by when the log took a record (default: a day ago, as far as the longest window reaches)." placeholder:"start|end|TIME"`
}

// Help is the second half of `drift run --help`.
func (driftServeCmd) Help() string {
	return `Counts every committed decision and every outcome exactly once, over the bins of the champion's reference, into the topic of panes: panes and offsets are in one transaction, and no state is kept but the log. Outcomes are joined with what the view keeps of the decision in Redis; they wait while Redis is away or the view is behind, decisions do not.

Judges what was counted, over every window: writes one status record per evaluation to the status topic, and one record to the alerts topic for each alert that fires or is resolved. Several replicas share the partitions; one of them judges, and another takes over when it is gone.

Examples:
  creditstream drift
  creditstream drift --windows 1000,1h --alert-webhook http://alertmanager:9093`
}

// Run counts and judges until a signal.
func (c *driftServeCmd) Run(p *process) error {
	s, err := newServices(p, &c.Kafka, c.Member.Instance, c.Model)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := addDrift(p, s, &c.Drift, &c.Redis, &c.Member, c.Group, c.From); err != nil {
		return err
	}
	return serve(p, s, c.Listen)
}

// addDrift adds what counts and judges.
func addDrift(p *process, s *app.Services, f *flags.Drift, r *flags.Redis, m *flags.Member, group, from string) error {
	config, err := f.Config(p.log, r, m, group, from)
	if err != nil {
		return err
	}
	return s.AddDrift(config)
}
