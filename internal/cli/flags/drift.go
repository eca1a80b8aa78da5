package flags

import (
	"log/slog"
	"time"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/kafka"
)

// Drift says how decisions are counted and judged.
type Drift struct {
	Evaluator Evaluator     `embed:""`
	Webhook   Webhook       `embed:""`
	Bucket    time.Duration `help:"Length of the buckets of time that decisions are counted in, in whole seconds." default:"5s" placeholder:"DURATION"`
	LateAfter time.Duration `help:"Count an outcome as late when it comes more than this long after it was observed." default:"168h" placeholder:"DURATION"`
}

// Config is how a member of the group counts and judges; from is where a group without
// commits begins.
func (f *Drift) Config(log *slog.Logger, r *Redis, m *Member, group, from string) (c app.Drift, err error) {
	if c.From, err = kafka.ParseFrom(from); err != nil {
		return c, Usage(err)
	}
	if c.Member, err = m.Config(); err != nil {
		return c, err
	}
	if f.Bucket < time.Second || f.Bucket%time.Second != 0 {
		return c, Usagef("--bucket %s: expected whole seconds, at least 1s", f.Bucket)
	}
	if f.LateAfter <= 0 {
		return c, Usagef("--late-after %s: expected more than 0", f.LateAfter)
	}
	if c.Evaluator.Webhook, err = f.Webhook.Config(log); err != nil {
		return c, err
	}
	c.Redis, c.Group, c.Bucket, c.LateAfter = r.Config(), group, f.Bucket, f.LateAfter
	c.Evaluator.Settings, err = f.Evaluator.Config()
	return c, err
}
