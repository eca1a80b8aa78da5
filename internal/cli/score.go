package cli

import (
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/schemas"
)

type scoreCmd struct {
	Kafka  flags.Kafka  `embed:""`
	Listen flags.Listen `embed:""`
	Model  flags.Model  `embed:""`
	Member flags.Member `embed:""`
	Score  flags.Score  `embed:""`

	StopWithStdin bool `hidden:"" help:"Stop when standard input ends: the demo's scorer does not outlive it."`
}

// Run scores until a signal.
func (c *scoreCmd) Run(p *process) error {
	if c.StopWithStdin {
		p = p.with(untilClosed(p.ctx, p.stdin))
	}
	s, err := newServices(p, &c.Kafka, c.Member.Instance, schemas.EventPrediction)
	if err != nil {
		return err
	}
	defer s.close()
	s.alone = c.StopWithStdin // the demo has seen the one before end
	if err := addScorer(s, &c.Score, c.Model, c.Member); err != nil {
		return err
	}
	return s.serve(c.Listen.Address)
}
