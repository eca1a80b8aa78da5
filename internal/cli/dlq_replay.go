package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/term"

	"github.com/creditstream/creditstream/consumer/deadletters"
	"github.com/creditstream/creditstream/internal/cli/flags"
)

type dlqReplayCmd struct {
	Kafka  flags.Kafka   `embed:""`
	Filter flags.Letters `embed:""`

	Letters []string `arg:"" optional:"" name:"letter" help:"Letters to replay, as dlq list names them: PARTITION/OFFSET."`

	All        bool `help:"Replay every letter that was not replayed (within --class, --from and --to where they are given)." group:"Filters"`
	Again      bool `help:"Replay also letters that were replayed before: they are scored once more."`
	Failing    bool `help:"Replay also letters of applications that were replayed before and failed with the same class and message." name:"still-failing"`
	FromSource bool `help:"Take what was cut from letters (value, key, headers) from their source records, where the applications topic still holds them."`
	DryRun     bool `help:"Print what would be replayed and replay nothing." short:"n"`
	Yes        bool `help:"Do not ask; required where standard input is no terminal." short:"y"`
	JSON       bool `help:"Print the report as one JSON object." name:"json"`
}

// Help is the second half of dlq replay --help.
func (dlqReplayCmd) Help() string {
	return `Writes each letter's application to the applications topic again, with the key, value and headers as received and a header replayed-from, and in the same transaction a marker among the dead letters. The scorer answers it like any other: what broke a rule breaks it again and becomes a new letter, unless the rule or the model has changed since. So a letter that came back from a replay with the same class and message is left, unless it is named or --still-failing is set.

Before it writes, it prints how many letters there are and asks. Where standard input is no terminal, it refuses without --yes.

A record without a class is foreign: no scorer wrote it. It is left, or refused where it is named. A letter that a marker names is left, so an interrupted run can be started again. Of two runs at once the first is stopped and says so. While another producer's transaction is open on the dead letters, nothing is replayed: a marker may lie behind it.

Exits with 1 when a letter was refused, or when one named on the command line was not replayed.

Examples:
  creditstream dlq replay --class permanent --dry-run
  creditstream dlq replay 3/918 7/12
  creditstream dlq replay --class contract --from 2026-11-23T10:00:00Z --to 2026-11-23T11:00:00Z --yes`
}

// Run replays and reports.
func (c *dlqReplayCmd) Run(p *process) error {
	selection, err := c.selected()
	if err != nil {
		return err
	}
	config := deadletters.ReplayConfig{
		Config:    deadletters.Config{Kafka: c.Kafka.Config(p.log).For("dlq-replay"), Topics: c.Kafka.Topics()},
		Selection: selection, Again: c.Again, Alike: c.Failing, FromSource: c.FromSource, DryRun: c.DryRun,
	}
	if !c.Yes && !c.DryRun {
		if f, ok := p.stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
			return flags.Usagef("dlq replay asks before it writes, and standard input is no terminal: say --yes, or --dry-run to see what would be done")
		}
		config.Confirm = func(plan deadletters.Plan) (bool, error) {
			return agreed(p.ctx, p.stdin, p.stderr, c.question(plan))
		}
	}
	report, err := deadletters.Replay(p.ctx, config)
	warnUnclear(p, report.Unclear)
	warnUnread(p, &report.Unread)
	if p.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted; run it again for the rest: it replays none twice")
	}
	if report.Declined {
		fmt.Fprintln(p.stderr, "nothing was replayed")
		return exitCode(1)
	}
	// Also where it failed: what was replayed until then is committed.
	if err == nil || report.Replayed > 0 {
		err = errors.Join(err, c.print(p, report))
	}
	if err == nil && (report.Refused > 0 || len(c.Letters) > 0 && report.Skipped > 0) {
		return exitCode(1)
	}
	return err
}

func (c *dlqReplayCmd) selected() (deadletters.Selection, error) {
	if len(c.Letters) > 0 {
		if c.All || c.Filter.Narrow() {
			return deadletters.Selection{}, flags.Usagef("name letters, or select them with --class, --from, --to or --all, not both")
		}
		var s deadletters.Selection
		for _, text := range c.Letters {
			position, err := deadletters.ParsePosition(text)
			if err != nil {
				return s, flags.Usagef("letter %w", err)
			}
			s.Positions = append(s.Positions, position)
		}
		return s, nil
	}
	if slices.Contains(c.Filter.Class, deadletters.ForeignClass) {
		return deadletters.Selection{}, flags.Usagef("--class %s: those are no dead letters, and are never replayed", deadletters.ForeignClass)
	}
	if !c.All && !c.Filter.Narrow() {
		return deadletters.Selection{}, flags.Usagef("which? Name letters as PARTITION/OFFSET, select them with --class, --from or --to, or say --all")
	}
	return c.Filter.Config()
}

func (c *dlqReplayCmd) question(plan deadletters.Plan) string {
	text := fmt.Sprintf("Replay %s (%s) to %s?", letters(plan.Letters), byClass(plan.ByClass), c.Kafka.Topics().Applications)
	if plan.Cut > 0 && !c.FromSource {
		text += fmt.Sprintf(" %d of them were cut and will be refused.", plan.Cut)
	}
	return text
}

func (c *dlqReplayCmd) print(p *process, r *deadletters.Report) error {
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(r)
	}
	done := "replayed"
	if r.DryRun {
		done = "would replay"
	}
	_, err := fmt.Fprintf(p.stdout, "%s %s, skipped %d (replayed already), refused %d\n", done, letters(r.Replayed), r.Skipped, r.Refused)
	if r.Alike > 0 {
		fmt.Fprintf(p.stderr, "left %s: replayed before, and failed alike (--still-failing replays them)\n", letters(r.Alike))
	}
	if r.Foreign > 0 {
		fmt.Fprintf(p.stderr, "left %d foreign: without an error class they are no dead letters (dlq list --class %s shows them)\n", r.Foreign, deadletters.ForeignClass)
	}
	for _, refusal := range r.Refusals {
		fmt.Fprintf(p.stderr, "refused %s: %s\n", refusal.Letter, refusal.Why)
	}
	if named := int64(len(r.Refusals)); named < r.Refused {
		fmt.Fprintf(p.stderr, "%d more were refused\n", r.Refused-named)
	}
	if len(c.Letters) > 0 && r.Skipped > 0 {
		fmt.Fprintln(p.stderr, "what was replayed already is replayed again only with --again")
	}
	return err
}
