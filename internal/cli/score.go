package cli

import (
	"context"
	"io"

	"github.com/creditstream/creditstream/internal/app"
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
	config, err := appConfig(p, &c.Kafka, c.Member.Instance, c.Model, schemas.EventPrediction)
	if err != nil {
		return err
	}
	config.Alone = c.StopWithStdin // the demo has seen the one before end
	s := app.New(config)
	defer s.Close()
	if err := addScorer(s, &c.Score, &c.Kafka, &c.Member); err != nil {
		return err
	}
	return serve(p, s, c.Listen)
}

// addScorer adds a scorer.
func addScorer(s *app.Services, f *flags.Score, k *flags.Kafka, m *flags.Member) error {
	config, err := f.Config(k.Prefix, m)
	if err != nil {
		return err
	}
	_, err = s.AddScorer(config)
	return err
}

// untilClosed ends the context it returns when r ends.
func untilClosed(ctx context.Context, r io.Reader) context.Context {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, r) // an error ends it, too
		stop()
	}()
	return ctx
}
