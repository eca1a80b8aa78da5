package cli

import (
	"fmt"
	"time"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
)

type modelRollbackCmd struct {
	Kafka  flags.Kafka `embed:""`
	Sign   flags.Sign  `embed:""`
	Wait   flags.Wait  `embed:""`
	Engine string      `help:"Engine that the replicas run: ${enum}." enum:"auto,native,onnx" default:"auto"`
	JSON   bool        `help:"Print JSON." name:"json"`
}

// Help is the second half of `model rollback --help`.
func (modelRollbackCmd) Help() string {
	return `Takes back the champion: writes a new route to the champion and the policy of the last revision with a champion other than the current one. A revision whose model or policy is refused is skipped and named. Rolling back twice therefore ends where it began; to go back further, name the version: model route --champion.

A running canary or shadow ends with it. Do not use it to undo one: the champion beside it is healthy, and would be taken back. Use model route --no-canary --expect REVISION, which model judge prints.

Examples:
  creditstream model rollback --expect 3 --why "complaints"
  creditstream model route --no-canary --expect 3 --why "the canary is worse"`
}

// Run writes the route back.
func (c *modelRollbackCmd) Run(p *process) error {
	w, err := beginWriting(p, &c.Kafka, c.Sign, c.Wait)
	if err != nil {
		return err
	}
	defer w.end()
	back, err := release.Rollback(w.ctx, c.Kafka.Config(p.log).For("route"), c.Kafka.Topics(), release.RollbackRequest{
		Expect: c.Sign.Expect, By: w.by, At: schemas.At(time.Now()), Why: c.Sign.Why, Engine: c.Engine,
		Before: func(back *release.RolledBack, changes []release.Difference) error {
			return c.announce(p, back, changes)
		},
	})
	if err != nil {
		return usageOfRoute(err)
	}
	line := lineOfWritten(back.Written)
	line.RolledBack = &rolledBack{To: back.To.Number, PassedOver: append([]release.PassedOver{}, back.Passed...), Canary: back.From.Route.Canary, Shadow: back.From.Route.Shadow}
	return printLine(p, c.JSON, line, w.wait)
}

// announce says what a rollback is about to do.
func (c *modelRollbackCmd) announce(p *process, back *release.RolledBack, changes []release.Difference) error {
	if !c.JSON {
		for _, one := range back.Passed {
			fmt.Fprintf(p.stdout, "passed over revision %d: %s\n", one.Revision, one.Reason)
		}
		fmt.Fprintf(p.stdout, "back to the champion and the policy of revision %d\n", back.To.Number)
	}
	return printChanges(p, c.JSON, changes)
}

// rolledBack is what a rollback says beside the route that it wrote.
type rolledBack struct {
	To         int64                `json:"to"` // revision whose champion and policy serve again
	PassedOver []release.PassedOver `json:"passed_over"`
	Canary     *schemas.Canary      `json:"canary"` // that ran, and no longer does
	Shadow     *string              `json:"shadow"`
}
