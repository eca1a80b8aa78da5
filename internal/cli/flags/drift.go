package flags

import "time"

// Drift says how decisions are counted and judged.
type Drift struct {
	Evaluator Evaluator     `embed:""`
	Webhook   Webhook       `embed:""`
	Bucket    time.Duration `help:"Length of the stretches of time that decisions are counted by, whole seconds." default:"5s" placeholder:"DURATION"`
	LateAfter time.Duration `help:"How long after it was observed an outcome may come and not be counted as late." default:"168h" placeholder:"DURATION"`
}

// Check refuses what cannot work and what is not safe.
func (f *Drift) Check() error {
	if f.Bucket < time.Second || f.Bucket%time.Second != 0 {
		return Usagef("--bucket %s: expected whole seconds, at least 1s", f.Bucket)
	}
	if f.LateAfter <= 0 {
		return Usagef("--late-after %s: expected more than 0", f.LateAfter)
	}
	return f.Webhook.Check()
}
