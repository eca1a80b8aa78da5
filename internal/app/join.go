package app

import (
	"context"
	"errors"

	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/aggregate"
	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/schemas"
)

// decided is what outcomes are joined with: what the view keeps in Redis.
type decided struct {
	store *view.Store // of the cluster whose outcomes they are
}

// Claim is part of aggregate.Decisions.
func (d decided) Claim(ctx context.Context, claims []counting.Claim) ([]counting.Claimed, error) {
	asked := make([]view.Claim, len(claims))
	for i, c := range claims {
		asked[i] = view.Claim{
			ID: c.ApplicationID, Outcome: c.Outcome,
			Of: labels.Outcome{Observed: c.Observed, Appended: c.Appended.UnixMilli()},
		}
	}
	found, err := d.store.Claim(ctx, asked)
	if err != nil {
		return nil, refusal(err)
	}
	answers := make([]counting.Claimed, len(found))
	for i, f := range found {
		answers[i] = counting.Claimed{Probability: float64(f.Probability), ModelVersion: f.ModelVersion, Declined: f.Decision == schemas.Decline}
		switch f.Found {
		case labels.Undecided:
			answers[i].State = counting.Unknown
		case labels.Before:
			answers[i].State = counting.Before
		case labels.TooOld:
			answers[i].State = counting.TooOld
		case labels.Matched:
			if answers[i].State = counting.Repeated; f.First {
				answers[i].State = counting.Matched
			}
		}
	}
	return answers, nil
}

// Passed is part of aggregate.Decisions.
func (d decided) Passed(ctx context.Context, log aggregate.Log, ends map[int32]int64) (bool, error) {
	passed, err := d.store.Passed(ctx, log, ends)
	return passed, refusal(err)
}

// refusal makes a no of Redis, and a view of another cluster's log, an error that is not
// tried again.
func refusal(err error) error {
	if _, other := errors.AsType[*view.OtherLogError](err); other {
		return refusedError{err}
	}
	if redisconn.Refused(err) {
		return refusedError{redisconn.Explain(err)}
	}
	return err
}

type refusedError struct{ error }

// Permanent says that trying again would not help.
func (refusedError) Permanent() bool { return true }

// Unwrap is part of errors.Is and errors.As.
func (e refusedError) Unwrap() error { return e.error }
