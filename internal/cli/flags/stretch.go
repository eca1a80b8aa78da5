package flags

import (
	"time"
)

// Stretch says by when they were decided which predictions are meant.
type Stretch struct {
	From string `help:"Only what was decided at this time or later: start or an RFC 3339 time." placeholder:"start|TIME"`
	To   string `help:"Only what was decided before this RFC 3339 time." placeholder:"TIME"`
}

// Config is the two times, zero where there is no bound.
func (f Stretch) Config() (from, to time.Time, err error) {
	if f.From != "" {
		if from, err = since(f.From); err != nil {
			return from, to, err
		}
	}
	if f.To != "" {
		if to, err = Time("to", f.To); err != nil {
			return from, to, err
		}
	}
	if !to.IsZero() && !from.Before(to) {
		return from, to, Usagef("--from %s --to %s: expected a time before --to", f.From, f.To)
	}
	return from, to, nil
}
