package stream

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
)

// prepare checks the topics and commits where the group starts. It tries until
// Kafka answers; readiness says what is missing meanwhile.
func (s *Scorer) prepare(ctx context.Context) error {
	return member.Patiently(ctx, s.config.Log, s.tryPrepare, s.fatal, s.note)
}

func (s *Scorer) tryPrepare(ctx context.Context) error {
	if s.config.Claim != nil {
		if err := s.config.Claim(ctx); err != nil {
			return err
		}
	}
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
	if err := s.limits.read(ctx, adm); err != nil {
		return err
	}
	if err := member.RequireProtocol(ctx, adm, s.config.Protocol); err != nil {
		return err
	}
	if s.group, err = s.config.Group.Settle(ctx, adm, s.config.Log, t.Applications); err != nil {
		return err
	}
	s.reach.Of(s.group)
	err = s.reach.Begin(ctx, adm, s.config.From.End, func(ctx context.Context) (kadm.ListedOffsets, error) {
		return s.beginning(ctx, adm)
	})
	if err != nil {
		return err
	}
	return s.needs().Pass(ctx, t.Applications, s.config.Skips, s.config.Log)
}

// beginning is the offset of every partition that a new group begins at.
func (s *Scorer) beginning(ctx context.Context, adm *kadm.Client) (kadm.ListedOffsets, error) {
	from := s.config.From
	if from == (kafka.From{}) {
		scored, err := s.scoredBefore(ctx, adm)
		if err != nil {
			return nil, err
		}
		if scored {
			return nil, member.Permanent(nil, "group %q has no committed offsets, but %s already holds decisions from the stream: say where to begin, --from start, end or a time", s.group, s.config.Topics.Predictions)
		}
		from.Start = true
	}
	return from.Offsets(ctx, adm, s.config.Topics.Applications)
}
