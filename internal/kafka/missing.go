package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// lookTime is what looking for everything that is missing may take.
const lookTime = 5 * time.Second

// AlsoMissing is an error as it was, and where it says that topics or grants are
// missing, with all others that are: whoever uses them piece by piece would hear of
// one piece after another.
func (c Config) AlsoMissing(ctx context.Context, err error, access ...[]Access) error {
	topics, grants := missing(err)
	if len(topics) == 0 && len(grants) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	client, connectErr := c.Quiet().Connect(ctx)
	if connectErr != nil {
		return err
	}
	defer client.Close()
	all := slices.Concat(access...)
	have, unknown, lookErr := lookFor(kadm.WithAuthorizedOps(ctx), kadm.NewClient(client), topicsOf(all))
	if lookErr != nil {
		return err
	}
	unknown = slices.DeleteFunc(unknown, func(t string) bool { return slices.Contains(topics, t) })
	if len(unknown) > 0 {
		err = fmt.Errorf("%w; also: %w", err, &MissingTopicsError{unknown})
	}
	if denied, ok := errors.AsType[*AccessError](notAllowed(have, all)); ok {
		denied.Missing = slices.DeleteFunc(denied.Missing, func(a Access) bool { return slices.Contains(grants, a) })
		if len(denied.Missing) > 0 {
			err = fmt.Errorf("%w; also: %w", err, denied)
		}
	}
	return err
}

// completed is an error whose hints can be pasted.
type completed struct {
	text string
	err  error
}

func (e *completed) Error() string { return e.text }

func (e *completed) Unwrap() error { return e.err }

// Complete fills in the flags of this deployment where an error says which topics are
// missing, and what to run; any other it leaves as it is.
func (c Config) Complete(err error) error {
	if topics, _ := missing(err); len(topics) == 0 {
		return err
	}
	text := err.Error()
	if whole := strings.ReplaceAll(text, sameFlags, c.Flags()); whole != text {
		return &completed{whole, err}
	}
	return err
}

// missing are the topics and the grants that an error names, and those that it
// wraps or joins.
func missing(err error) (topics []string, grants []Access) {
	switch e := err.(type) { //nolint:errorlint // it is unwrapped here, also where it joins several
	case *MissingTopicsError:
		return e.Topics, nil
	case *AccessError:
		return nil, e.Missing
	case interface{ Unwrap() error }:
		return missing(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			t, g := missing(one)
			topics, grants = append(topics, t...), append(grants, g...)
		}
	}
	return topics, grants
}
