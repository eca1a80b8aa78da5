package cli

import "github.com/creditstream/creditstream/schemas"

type scoreCmd struct {
	kafkaFlags
	listenFlags
	modelFlags
	memberFlags
	scoreFlags

	StopWithStdin bool `hidden:"" help:"Stop when standard input ends: the demo's scorer does not outlive it."`
}

// Run scores until a signal.
func (c *scoreCmd) Run(p *process) error {
	if c.StopWithStdin {
		p = p.with(untilClosed(p.ctx, p.stdin))
	}
	s, err := newServices(p, c.kafkaFlags, c.instanceFlags, schemas.EventPrediction)
	if err != nil {
		return err
	}
	defer s.close()
	s.alone = c.StopWithStdin // the demo has seen the one before end
	if err := c.addScorer(s, c.modelFlags, c.memberFlags); err != nil {
		return err
	}
	return s.serve(c.Listen)
}
