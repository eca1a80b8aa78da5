package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"

	"github.com/creditstream/creditstream/internal/retry"
)

// Patiently tries until it succeeds, fatal says that it never will, or ctx ends;
// note is told what is missing meanwhile.
func Patiently(ctx context.Context, log *slog.Logger, try func(context.Context) error, fatal func(error) error, note func(error)) error {
	attempt := func(ctx context.Context) (bool, error) { return false, try(ctx) }
	return retry.Until(ctx, retry.Pause{First: firstPause, Max: maxPause}, attempt, func(err error, in time.Duration) error {
		if why := fatal(err); why != nil {
			return why
		}
		if in == 0 { // it was stopped, which is nobody's failure
			return nil
		}
		note(err)
		log.Warn("cannot start yet", "error", err, "in", in)
		return nil
	})
}

// Together runs workers until all have returned; the first that fails ends the others
// and is the error. note is told at once: the others may take a while to drain.
func Together(ctx context.Context, note func(error), workers ...func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, work := range workers {
		group.Go(func() error {
			err := work(ctx)
			if err != nil {
				note(err)
			}
			return err
		})
	}
	return group.Wait()
}

// hasCommits says whether a group has committed an offset of a topic.
func hasCommits(ctx context.Context, adm *kadm.Client, group, topic string) (bool, error) {
	committed, err := adm.FetchOffsetsForTopics(ctx, group, topic)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return false, fmt.Errorf("reading the offsets of group %s: %w", group, err)
	}
	for _, o := range committed[topic] {
		if o.Err == nil && o.At >= 0 {
			return true, nil
		}
	}
	return false, nil
}

// Begin commits a starting offset for every partition of a topic of which the
// group has none: from then on nothing is read again or skipped in silence.
func Begin(ctx context.Context, adm *kadm.Client, group, topic string, beginning func(context.Context) (kadm.ListedOffsets, error)) error {
	if has, err := hasCommits(ctx, adm, group, topic); err != nil || has {
		return err
	}
	listed, err := beginning(ctx)
	if err != nil {
		return err
	}
	// Looking back may have taken long, and another replica may have begun. Past
	// this line only one that begins, works and leaves again within the time of
	// one request could be overwritten.
	if has, err := hasCommits(ctx, adm, group, topic); err != nil || has {
		return err
	}
	err = adm.CommitAllOffsets(ctx, group, listed.Offsets())
	if !isOneOf(err, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.StaleMemberEpoch) {
		if err != nil {
			err = fmt.Errorf("committing where to begin: %w", err)
		}
		return err
	}
	// The group has members, and only a member may commit: another replica, which
	// committed for all before it joined.
	has, err := hasCommits(ctx, adm, group, topic)
	if err == nil && !has {
		return Permanent(nil, "group %q has members but no committed offsets of %s: it is used by something else; choose another --group", group, topic)
	}
	return err
}
