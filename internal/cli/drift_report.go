package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/report"
	"github.com/creditstream/creditstream/drift/stretch"
	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model/release"
)

type driftReportCmd struct {
	Kafka    flags.Kafka    `embed:""`
	Stretch  flags.Stretch  `embed:""`
	Fairness flags.Fairness `embed:""`

	Out    string `help:"HTML file to write; - is the standard output, empty: none." default:"drift_report.html" placeholder:"FILE"`
	Status string `help:"JSON file to write the same figures to; - is the standard output." placeholder:"FILE"`
	Model  string `help:"Whose reference to compare with: a released version, shipped, or a bundle's file (default: the champion at the end of the stretch)." placeholder:"VERSION|shipped|FILE" group:"Model"`
	Source string `help:"What is counted: ${enum}. auto takes the panes that the aggregator has counted and predictions for the rest." enum:"auto,predictions" default:"auto"`
}

// Help is the second half of `drift report --help`.
func (driftReportCmd) Help() string {
	return `Compares the decisions of any stretch of time that the log holds with the reference of the model that served, as a page of HTML that loads nothing and, with --status, as JSON. It needs no aggregator: where there are no panes, predictions are counted. Without --to the stretch ends now.

A stretch without decisions is an error, and nothing is written.

A stretch is judged by one look at all of its decisions, not by the sequential test that alerts rest on. Alerts that fired during the stretch are read from the alerts topic and shown; where they cannot be read, or no evaluator worked for a part of the stretch, the report says so ("alerts_unknown"). Where panes are counted, the stretch becomes one of whole buckets. Outcomes are shown as far as the aggregator has counted them. Set --fairness-ratio to that of the stream's drift; a demo uses 0.7.

Examples:
  creditstream drift report --from 2026-11-01T00:00:00Z --to 2026-11-08T00:00:00Z
  creditstream drift report --from start --model shipped --status drift_status.json`
}

// Run writes the report.
func (c *driftReportCmd) Run(p *process) error {
	from, to, err := c.bounds(time.Now())
	if err != nil {
		return err
	}
	if err := c.Fairness.Check(); err != nil {
		return err
	}
	pages, err := report.NewWriter()
	if err != nil {
		return err
	}
	champion, err := c.champion(p, to)
	if err != nil {
		return err
	}
	codec, err := c.Kafka.Registry.Codec(p.log)
	if err != nil {
		return err
	}
	status, counted, err := stretch.Evaluate(p.ctx, stretch.Config{
		Kafka: c.Kafka.Config(p.log).For("drift-report"), Topics: c.Kafka.Topics(), Codec: codec,
		From: from, To: to, Champion: champion, Source: c.Source, Fairness: c.Fairness.Ratio, Now: time.Now(),
	})
	if err != nil {
		return err
	}
	warnOpen(p, counted.Open)
	if status.Decisions == 0 {
		return fmt.Errorf("no decisions between %s and %s", stretchStart(counted.From), counted.To.UTC().Format(time.RFC3339))
	}
	if c.Out != "" {
		err = writeOut(p, c.Out, func(w io.Writer) error {
			return pages.Write(w, status, report.EdgesOf(champion.Reference), status.EvaluatedAt.Time())
		})
	}
	if err == nil && c.Status != "" {
		err = writeOut(p, c.Status, func(w io.Writer) error { return json.NewEncoder(w).Encode(status) })
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "%s: %d decisions from %s to %s against %s", status.State, status.Decisions, stretchStart(counted.From), counted.To.UTC().Format(time.RFC3339), champion.ModelVersion)
	fmt.Fprintf(p.stderr, "; %d in %d panes, %d counted from predictions", counted.FromPanes, counted.Panes, counted.Predictions)
	if counted.Why != "" {
		fmt.Fprintf(p.stderr, " (%s)", counted.Why)
	}
	if counted.LeftOut > 0 {
		fmt.Fprintf(p.stderr, "; %d records left out: not predictions, or in Avro without a registry (set --schema-registry)", counted.LeftOut)
	}
	for _, unread := range []*kafka.Unread{&counted.Unreadable, &counted.UnreadablePanes} {
		if unread.Offsets > 0 {
			fmt.Fprintf(p.stderr, "; %s", unread)
		}
	}
	if counted.UnreadablePanes.Offsets > 0 {
		fmt.Fprint(p.stderr, ": what these panes may have counted is missing, and --source predictions counts without panes")
	}
	if counted.NoPanes > 0 {
		fmt.Fprintf(p.stderr, "; left out %d records of %s that hold no pane: what they may have counted is missing, and --source predictions counts without panes", counted.NoPanes, c.Kafka.Topics().DriftPanes)
	}
	for _, out := range []string{c.Out, c.Status} {
		if out != "" && out != "-" {
			fmt.Fprintf(p.stderr, "; written to %s", out)
		}
	}
	fmt.Fprintln(p.stderr)
	return nil
}

// stretchStart is where a stretch begins, for people.
func stretchStart(from time.Time) string {
	if from.IsZero() {
		return "the start of the log"
	}
	return from.UTC().Format(time.RFC3339)
}

// bounds are the two times; from is zero where the log's start is meant.
func (c *driftReportCmd) bounds(now time.Time) (from, to time.Time, err error) {
	if c.Stretch.From == "" {
		return from, to, flags.Usagef("--from is needed: which stretch of time is meant (start, or an RFC 3339 time)")
	}
	f := c.Stretch
	f.To = cmp.Or(f.To, now.UTC().Format(time.RFC3339Nano))
	return f.Config()
}

// champion is the model compared with, under the policy that was in force.
func (c *driftReportCmd) champion(p *process, at time.Time) (*drift.Champion, error) {
	history, err := release.ReadAll(p.ctx, c.Kafka.Config(p.log).For("drift-report"), c.Kafka.Topics())
	if err != nil {
		return nil, err
	}
	warnOpen(p, history.Open())
	champion, err := app.ChampionAt(history, at, c.Model, flags.ReadBundle)
	if none, ok := errors.AsType[*app.NoChampionError](err); ok {
		return nil, fmt.Errorf("%w: --model says whose reference to compare with", none)
	}
	return champion, err
}
