package aggregate

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// What one transaction joins at most.
	maxOutcomes = 5_000
	// What the client keeps of each partition at most while joining waits.
	outcomesBuffer = 128 << 10
)

// outcomes is a session that counts what became of loans. While joining waits it
// polls nothing, and the partitions wait with it.
type outcomes struct {
	session
	panes *counting.Panes

	known  []known
	broken []*kgo.Record
	claims []counting.Claim
}

// known is an outcome on its way through the join.
type known struct {
	record  *kgo.Record
	outcome counting.Outcome
}

func newOutcomes(a *Aggregator, id string) *outcomes {
	topic := a.config.Topics.Outcomes
	return &outcomes{
		session: newSession(a, id, schemas.EventOutcome, topic, a.outcomes, kgo.FetchMaxPartitionBytes(outcomesBuffer)),
		panes:   counting.NewPanes(topic, a.config.Bucket),
	}
}

func (s *outcomes) run(ctx context.Context) error { return s.member.Run(ctx, s.turn) }

// turn joins what comes until a commit is due, and commits.
func (s *outcomes) turn(ctx context.Context, sess *kgo.GroupTransactSession) (committed bool, err error) {
	s.panes.Reset()
	s.known, s.broken, s.claims = s.known[:0], s.broken[:0], s.claims[:0]
	records, err := s.gather(ctx, sess, func(r *kgo.Record) (enough bool, err error) {
		return len(s.known) >= maxOutcomes, s.take(ctx, r)
	})
	if err == nil && records > 0 {
		err = s.join(ctx, sess.Client())
	}
	if ctx.Err() != nil {
		// Not committed: the next owner joins them again, by the same claims.
		return false, nil //nolint:nilerr // told to stop is not a failure
	}
	if err != nil || records == 0 {
		return false, err
	}
	return s.commit(ctx, sess, records, s.panes.All())
}

// take reads one record.
func (s *outcomes) take(ctx context.Context, r *kgo.Record) error {
	var o schemas.Outcome
	if err := s.parent.config.Codec.DecodeOutcome(ctx, r.Value, &o); err != nil {
		left, err := s.malformed(r, err)
		if left {
			s.broken = append(s.broken, r)
		}
		return err
	}
	s.known = append(s.known, known{r, counting.Outcome{
		Defaulted: o.Defaulted == 1, Late: r.Timestamp.Sub(o.ObservedAt.Time()) > s.parent.config.LateAfter,
		KeyDiffers: string(r.Key) != o.ApplicationID,
	}})
	s.claims = append(s.claims, counting.Claim{ApplicationID: o.ApplicationID, Observed: o.ObservedAt, Appended: r.Timestamp})
	return nil
}

// join counts what was taken.
func (s *outcomes) join(ctx context.Context, client *kgo.Client) error {
	j := joiner{s.parent, client}
	var log Log
	err := j.patiently(ctx, func(ctx context.Context) (_ bool, err error) {
		log, err = logOf(ctx, kadm.NewClient(client), s.topic)
		return err == nil, err
	})
	if err != nil {
		return err
	}
	for i := range s.claims {
		s.claims[i].Outcome = outcomeName(log, s.known[i].record)
	}
	answers, err := j.join(ctx, s.claims)
	if err != nil {
		return err
	}
	for i, k := range s.known {
		k.outcome.Claimed = answers[i]
		s.panes.Outcome(k.record.Partition, k.record.Offset, schemas.At(k.record.Timestamp), k.outcome)
	}
	for _, r := range s.broken {
		s.panes.Malformed(r.Partition, r.Offset, schemas.At(r.Timestamp), nil)
	}
	return nil
}
