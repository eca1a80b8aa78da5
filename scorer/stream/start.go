package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/creditstream/creditstream/internal/kafka"
)

// From is where a group that has never committed begins. The zero value refuses
// to guess once predictions from the stream exist.
type From struct {
	Start bool
	End   bool
	Time  time.Time
}

// ParseFrom reads start, end, an RFC 3339 time or nothing.
func ParseFrom(text string) (From, error) {
	switch text {
	case "":
		return From{}, nil
	case "start":
		return From{Start: true}, nil
	case "end":
		return From{End: true}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return From{}, fmt.Errorf("--from %q: expected start, end or an RFC 3339 time", text)
	}
	return From{Time: t}, nil
}

// prepare checks the topics and commits where the group starts. It tries until
// Kafka answers; readiness says what is missing meanwhile.
func (s *Scorer) prepare(ctx context.Context) error {
	pause := firstPause
	for ctx.Err() == nil {
		err := s.tryPrepare(ctx)
		if err == nil {
			return nil
		}
		if why := s.fatal(err); why != nil {
			return why
		}
		s.note(err)
		s.config.Log.Warn("cannot start yet", "error", err, "in", pause)
		sleep(ctx, pause)
		pause = min(2*pause, maxPause)
	}
	return nil
}

func (s *Scorer) tryPrepare(ctx context.Context) error {
	client, err := s.config.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	t := s.config.Topics
	// Predictions are read to find out where a first start may begin.
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(t.Applications, t.Predictions), kafka.Writes(t.Predictions, t.DLQ)); err != nil {
		return err
	}
	if s.config.Protocol == ProtocolConsumer {
		// The client would quietly use the classic protocol instead.
		if has, err := kafka.ServerSideGroups(ctx, adm); err != nil || !has {
			if err == nil {
				err = permanent(nil, "group protocol %s takes Kafka 4; set --group-protocol %s", ProtocolConsumer, ProtocolClassic)
			}
			return err
		}
	}
	return s.start(ctx, adm)
}

// requireTopics asks the cluster, with a client of its own, whether the topics are
// there and may still be used.
func (s *Scorer) requireTopics(ctx context.Context) error {
	client, err := s.config.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	t := s.config.Topics
	return kafka.RequireAccess(ctx, kadm.NewClient(client), kafka.Reads(t.Applications), kafka.Writes(t.Predictions, t.DLQ))
}

// hasCommits says whether the group has committed an offset of applications.
func (s *Scorer) hasCommits(ctx context.Context, adm *kadm.Client) (bool, error) {
	topic := s.config.Topics.Applications
	committed, err := adm.FetchOffsetsForTopics(ctx, s.config.Group, topic)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return false, fmt.Errorf("reading the offsets of group %s: %w", s.config.Group, err)
	}
	for _, o := range committed[topic] {
		if o.Err == nil && o.At >= 0 {
			return true, nil
		}
	}
	return false, nil
}

// start commits a starting offset for every partition when the group has none:
// from then on nothing is scored again or skipped in silence.
func (s *Scorer) start(ctx context.Context, adm *kadm.Client) error {
	if has, err := s.hasCommits(ctx, adm); err != nil || has {
		return err
	}
	listed, err := s.beginning(ctx, adm)
	if err != nil {
		return err
	}
	// Looking back may have taken long, and another replica may have begun. Past
	// this line only one that begins, scores and leaves again within the time of
	// one request could be overwritten.
	if has, err := s.hasCommits(ctx, adm); err != nil || has {
		return err
	}
	err = adm.CommitAllOffsets(ctx, s.config.Group, listed.Offsets())
	if !isOneOf(err, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.StaleMemberEpoch) {
		if err != nil {
			err = fmt.Errorf("committing where to begin: %w", err)
		}
		return err
	}
	// The group has members, and only a member may commit: another replica, which
	// committed for all before it joined.
	has, err := s.hasCommits(ctx, adm)
	if err == nil && !has {
		return permanent(nil, "group %q has members but no committed offsets of %s: it is used by something else; choose another --group", s.config.Group, s.config.Topics.Applications)
	}
	return err
}

// beginning is the offset of every partition that a new group begins at.
func (s *Scorer) beginning(ctx context.Context, adm *kadm.Client) (kadm.ListedOffsets, error) {
	topic, from := s.config.Topics.Applications, s.config.From
	if from == (From{}) {
		scored, err := s.scoredBefore(ctx, adm)
		if err != nil {
			return nil, err
		}
		if scored {
			return nil, permanent(nil, "group %q has no committed offsets, but %s already holds decisions from the stream: say where to begin, --from start, end or a time", s.config.Group, s.config.Topics.Predictions)
		}
		from.Start = true
	}
	var (
		listed kadm.ListedOffsets
		err    error
	)
	switch {
	case from.Start:
		listed, err = adm.ListStartOffsets(ctx, topic)
	case from.End:
		listed, err = adm.ListCommittedOffsets(ctx, topic)
	default:
		listed, err = adm.ListOffsetsAfterMilli(ctx, from.Time.UnixMilli(), topic)
	}
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("looking where to begin: %w", err)
	}
	return listed, nil
}
