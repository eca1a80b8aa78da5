package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/creditstream/creditstream/audit/judge"
	"github.com/creditstream/creditstream/consumer/dataset"
	"github.com/creditstream/creditstream/consumer/deadletters"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

type modelJudgeCmd struct {
	Kafka flags.Kafka `embed:""`

	Of   string `help:"Which candidate the exit code is about: canary or shadow (default: the canary where there is one)." placeholder:"ROLE"`
	From string `help:"Judge by what was decided at this time or later: an RFC 3339 time (default: since the current route was written)." placeholder:"TIME"`

	MinN              int64   `help:"Minimum decisions of each of the two." default:"1000" name:"min-n" placeholder:"N" group:"Limits"`
	MinOutcomes       int64   `help:"Minimum loans that defaulted, and that did not, of each of the two before AUC counts." default:"50" placeholder:"N" group:"Limits"`
	MaxApprovalChange float64 `help:"Maximum difference between the approval rates, either way." default:"0.05" placeholder:"SHARE" group:"Limits"`
	MaxScorePSI       float64 `help:"Maximum population stability index between the scores of the two." default:"0.1" name:"max-score-psi" placeholder:"PSI" group:"Limits"`
	MaxErrors         float64 `help:"Canary: by how much its share of applications that cannot be scored may be higher, at most." default:"0.001" placeholder:"SHARE" group:"Limits"`
	MaxLatency        float64 `help:"Canary: maximum p99 from applied to decided, as a multiple of the champion's; 10 ms more never matter." default:"1.5" placeholder:"RATIO" group:"Limits"`
	MaxFlips          float64 `help:"Shadow: maximum share of the champion's decisions that it would make differently." default:"0.1" placeholder:"SHARE" group:"Limits"`
	MaxAUCLoss        float64 `help:"By how much AUC may be lower, at most, where outcomes are known." default:"0.01" name:"max-auc-loss" placeholder:"AUC" group:"Limits"`

	JSON bool `help:"Print one JSON object." name:"json"`
}

// Exit codes of model judge, for scripts.
const (
	exitHold     = 3
	exitRollBack = 4
)

// Help is the second half of model judge --help.
func (modelJudgeCmd) Help() string {
	return `Compares the canary, or the shadow, of the current route with the champion, by the predictions that name its revision. A canary's decisions are compared with the champion's on other applicants, a shadow's with the champion's on the same. Each figure has a limit and a 95 % interval: it passes when the interval keeps the limit, fails when it breaks it, and is unclear in between. Score PSI has no interval: within the limit it passes; beyond it a canary's is unclear until it is beyond by more than chance adds, a shadow's fails. At the default limits a canary without one error needs 3,838 decisions, and the approval rate about 1,500 of each. AUC is of the known outcomes, and the check says how many are of approved applications, since declined ones mostly have none. Where there are too few, AUC is not judged and blocks nothing.

Exit codes: 0 promote: every limit is kept. 3 hold: fewer than --min-n decisions, or a figure is unclear. 4 roll back: a limit is broken; errors count before --min-n is reached. 1: it cannot be judged.

For every verdict but hold it prints the command that carries it out; with --json that is next.command. Undo a canary or shadow with model route --no-canary or --no-shadow: model rollback would take back the healthy champion. A canary is promoted by a route with it as champion, a shadow by one with it as a canary of 10 %. The other candidate and the policy stay. To take back a champion, use model rollback --expect REVISION.

An application that was decided more than once counts once, by its newest decision.

Example:
  creditstream model judge && creditstream model route --champion 2026-12-01.1 --expect 1 --why "judged"`
}

// judged is what `model judge --json` prints.
type judged struct {
	Route     routeLine         `json:"route"`
	Since     schemas.Timestamp `json:"since"`
	Verdict   string            `json:"verdict"` // of the candidate
	Candidate string            `json:"candidate"`
	Limits    judge.Limits      `json:"limits"`
	Read      *dataset.Counts   `json:"read"`
	// Null without one.
	Canary *candidateJudgement `json:"canary"`
	Shadow *candidateJudgement `json:"shadow"`
	// Champion takes the champion back, whatever the candidates are like.
	Champion nextStep `json:"champion"`
}

// Run judges, prints, and says by its exit code what to do.
func (c *modelJudgeCmd) Run(p *process) error {
	if err := c.checkLimits(); err != nil {
		return err
	}
	h, err := readHistory(p, &c.Kafka)
	if err != nil {
		return err
	}
	route := h.Current()
	if route == nil {
		return errors.New("no route was written: nothing to judge")
	}
	candidate, err := c.candidate(route)
	if err != nil {
		return err
	}
	out, err := c.judge(p, route)
	if err != nil {
		return err
	}
	out.Candidate = candidate
	subject := out.Canary
	if candidate == "shadow" {
		subject = out.Shadow
	}
	out.Verdict = subject.Verdict
	if c.JSON {
		err = printJSON(p.stdout, out)
	} else {
		err = out.print(p.stdout)
	}
	if err != nil {
		return err
	}
	switch out.Verdict {
	case judge.Hold:
		return exitCode(exitHold)
	case judge.RollBack:
		return exitCode(exitRollBack)
	}
	return nil
}

// candidate is whom the verdict is about.
func (c *modelJudgeCmd) candidate(route *release.Revision) (string, error) {
	role, ok := judge.Candidate(&route.Route, c.Of)
	switch {
	case ok:
		return role, nil
	case route.Route.Canary == nil && route.Route.Shadow == nil:
		return "", fmt.Errorf("route revision %d has neither canary nor shadow: nothing to judge; to take its champion back: %s", route.Number, route.RollbackCommand(whyBack))
	}
	return "", fmt.Errorf("--of %s: route revision %d has none", c.Of, route.Number)
}

// judge reads what the route's models decided.
func (c *modelJudgeCmd) judge(p *process, route *release.Revision) (*judged, error) {
	out := &judged{
		Route: lineOf(*route), Since: route.Route.At, Limits: c.limits(),
		Champion: nextStep{"the champion goes, the one before serves again", route.RollbackCommand(whyBack)},
	}
	config, err := joined(p, &c.Kafka, flags.Stretch{}, "judge")
	if err != nil {
		return nil, err
	}
	if c.From != "" {
		from, err := flags.Time("from", c.From)
		if err != nil {
			return nil, err
		}
		out.Since = max(out.Since, schemas.At(from))
	}
	if config.From = out.Since.Time(); c.From == "" {
		// The revision says which predictions count, whatever the router's clock says.
		config.From = config.From.Add(-routerSkew)
	}
	config.Keep = func(prediction *schemas.Prediction) bool { return prediction.RouteRevision == route.Number }
	split, err := model.SplitOf(&route.Route)
	if err != nil {
		return nil, fmt.Errorf("route revision %d: %w", route.Number, err)
	}
	tally, err := judge.NewTally(split)
	if err != nil {
		return nil, err
	}
	defer frugal()()
	if out.Read, err = dataset.Read(p.ctx, config, tally.Add); err != nil {
		return nil, err
	}
	warnOpen(p, out.Read.Open)
	if err := c.countErrors(p, config.Codec, out.Since.Time(), tally); err != nil {
		return nil, err
	}
	if canary := route.Route.Canary; canary != nil {
		out.Canary = withNext(tally.Canary(canary.ModelVersion, out.Limits), route)
	}
	if shadow := route.Route.Shadow; shadow != nil {
		out.Shadow = withNext(tally.Shadow(*shadow, out.Limits), route)
	}
	return out, nil
}

// routerSkew is how far ahead the clock of who wrote the route may be.
const routerSkew = time.Hour

func (c *modelJudgeCmd) limits() judge.Limits {
	return judge.Limits{
		MinN: c.MinN, MinOutcomes: c.MinOutcomes, MaxApprovalChange: c.MaxApprovalChange, MaxPSI: c.MaxScorePSI,
		MaxErrors: c.MaxErrors, MaxLatency: c.MaxLatency, MaxFlips: c.MaxFlips, MaxAUCLoss: c.MaxAUCLoss,
	}
}

// checkLimits refuses limits that every candidate would keep, or none could.
func (c *modelJudgeCmd) checkLimits() error {
	if err := flags.CheckValue("--of", c.Of, []string{"canary", "shadow"}); err != nil {
		return err
	}
	if c.From != "" {
		if _, err := flags.Time("from", c.From); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		flag  string
		value int64
	}{{"min-n", c.MinN}, {"min-outcomes", c.MinOutcomes}} {
		if f.value < 1 {
			return flags.Usagef("--%s %d: expected 1 or more", f.flag, f.value)
		}
	}
	for _, f := range []struct {
		flag  string
		value float64
	}{
		{"max-approval-change", c.MaxApprovalChange}, {"max-score-psi", c.MaxScorePSI}, {"max-errors", c.MaxErrors},
		{"max-latency", c.MaxLatency}, {"max-flips", c.MaxFlips}, {"max-auc-loss", c.MaxAUCLoss},
	} {
		if !(f.value >= 0) || math.IsInf(f.value, 1) { // NaN is not at least 0 either
			return flags.Usagef("--%s %g: expected a number of 0 or more", f.flag, f.value)
		}
	}
	return nil
}

// countErrors counts applications that could not be answered though they kept the
// contract, each for the arm that its application_id falls to: that of the payload, as
// the scorer reads it; the record's key may be anything. Others are nobody's errors.
func (c *modelJudgeCmd) countErrors(p *process, codec *wire.Codec, since time.Time, tally *judge.Tally) error {
	counts, err := deadletters.Each(p.ctx, deadletters.ListConfig{
		Config: deadletters.Config{Kafka: c.Kafka.Config(p.log).For("judge"), Topics: c.Kafka.Topics()},
		Selection: deadletters.Selection{
			Classes: []string{schemas.ErrorClassTooLarge, schemas.ErrorClassPermanent}, From: since,
		},
		Which: deadletters.Both,
	}, func(l *deadletters.Letter) error {
		id, known, err := l.Application(p.ctx, codec)
		switch {
		case err != nil:
			return err
		case known:
			tally.AddError(id)
		default:
			tally.AddUnreadable()
		}
		return nil
	})
	if err == nil {
		warnOpen(p, counts.Open)
	}
	return err
}

func (j *judged) print(w io.Writer) error {
	fmt.Fprintf(w, "route revision %d: champion %s, canary %s, shadow %s; judged by what was decided since %s\n\n",
		j.Route.Revision, j.Route.Champion, j.Route.canary(), j.Route.shadow(), j.Since)
	first := true
	for _, one := range []*candidateJudgement{j.Canary, j.Shadow} {
		if one == nil {
			continue
		}
		if !first {
			fmt.Fprintln(w)
		}
		first = false
		if err := one.print(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nthe champion itself is taken back, and the candidates with it, by:\n  %s\n", j.Champion.Command)
	return err
}
