package aggregate

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

const (
	// What one poll hands over at most.
	maxPoll = 20_000
	// Panes that are refused for good end the process; so many attempts show that
	// it is for good.
	maxRefusals = 5
)

// session is a member of the group that commits what it has counted.
type session struct {
	parent   *Aggregator
	member   *member.Member
	event    schemas.Event // of the topic
	topic    string
	log      *slog.Logger
	refusals int // of panes, one after another
}

func newSession(a *Aggregator, id string, event schemas.Event, topic string, reach *member.Reach, options ...kgo.Opt) session {
	c := a.config
	return session{
		parent: a, event: event, topic: topic, log: c.Log.With("transactional_id", id),
		member: member.New(member.Config{
			Kafka: c.Kafka, Group: a.group, ID: id, Topic: topic, Protocol: c.Protocol, Static: c.Static,
			Reach: reach, Log: c.Log, Resolve: a.needs().Resolve, Options: options,
		}),
	}
}

// learn asks for the schemas of the next records, all at once: reading them would ask
// for one after the other.
func (s *session) learn(ctx context.Context, ahead *kgo.FetchesRecordIter) error {
	return s.parent.config.Codec.Learn(ctx, s.event, func(yield func(schemas.Source, []byte) bool) {
		for range wire.LearnWindow {
			if ahead.Done() {
				return
			}
			r := ahead.Next()
			if !yield(schemas.Source{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, r.Value) {
				return
			}
		}
	})
}

// gather polls until it is time to commit: a while after the first record that has
// come, or when each says that there is enough. It waits for the first record.
func (s *session) gather(ctx context.Context, sess *kgo.GroupTransactSession, each func(*kgo.Record) (enough bool, err error)) (records int, err error) {
	now, due, enough := s.parent.config.Now, time.Time{}, false
	for {
		fetches, err := s.poll(ctx, sess, records > 0, due.Sub(now()))
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err != nil {
			return 0, err
		}
		ahead := fetches.RecordIter()
		for iter, n := fetches.RecordIter(), 0; !iter.Done(); n++ {
			if n%wire.LearnWindow == 0 {
				if err := s.learn(ctx, ahead); err != nil {
					return 0, err
				}
			}
			full, err := each(iter.Next())
			if err != nil {
				return 0, err
			}
			enough = enough || full
		}
		if records == 0 {
			due = now().Add(s.parent.config.interval)
		}
		records += fetches.NumRecords()
		if records == 0 || enough || !now().Before(due) {
			return records, nil
		}
	}
}

// poll waits for the first record, and for others no longer than is left.
func (s *session) poll(ctx context.Context, sess *kgo.GroupTransactSession, begun bool, left time.Duration) (kgo.Fetches, error) {
	if !begun {
		return s.member.Poll(ctx, sess, maxPoll)
	}
	poll, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	fetches := sess.PollRecords(poll, maxPoll)
	return fetches, s.member.Polled(ctx, sess.Client(), fetches)
}

// commit writes panes and ends their transaction.
func (s *session) commit(ctx context.Context, sess *kgo.GroupTransactSession, records int, all []*drift.Pane) (committed bool, err error) {
	c, m := s.parent.config, s.parent.metrics
	out := make([]*kgo.Record, 0, len(all))
	for _, p := range all {
		value, err := drift.AppendPane(nil, p)
		if err != nil {
			return false, member.Permanent(err, "writing a pane of %s/%d from %d", p.Topic, p.Partition, p.From)
		}
		out = append(out, &kgo.Record{Topic: c.Topics.DriftPanes, Value: value})
	}
	committed, cause, err := s.member.Commit(ctx, sess, c.Now, func(ctx context.Context, promise func() func(*kgo.Record, error)) error {
		for _, r := range out {
			sess.Produce(ctx, r, promise())
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("counting %d records of %s: %w", records, s.topic, err)
	}
	if !committed {
		m.aborts.Inc()
		if cause == nil {
			return false, nil // the group rebalanced
		}
		return false, s.failed(ctx, cause)
	}
	s.refusals = 0
	m.batch.Observe(float64(records))
	m.panes.Add(float64(len(all)))
	for _, p := range all {
		m.decisions.Add(float64(p.Decisions))
		m.outcomes.WithLabelValues("matched").Add(float64(p.Matched))
		m.outcomes.WithLabelValues("unmatched").Add(float64(p.NoMatch))
		m.outcomes.WithLabelValues("duplicate").Add(float64(p.Repeated))
		m.apart.WithLabelValues("outcome_too_old").Add(float64(p.TooOld))
		m.apart.WithLabelValues("outcome_before_decision").Add(float64(p.Before))
		m.apart.WithLabelValues("outcome_key_differs").Add(float64(p.KeyDiffers))
		m.late.Add(float64(p.Late))
		m.declined.Add(float64(p.Declined))
		m.malformed.WithLabelValues(p.Topic).Add(float64(p.Malformed))
	}
	return true, nil
}

// failed learns from an aborted transaction: it must not fail the same way for
// ever.
func (s *session) failed(ctx context.Context, cause error) error {
	if why := s.parent.needs().Resolve(ctx, cause); why != nil {
		return why
	}
	if member.IsRecords(cause) {
		if s.refusals++; s.refusals == maxRefusals {
			return member.Permanent(cause, "panes can not be written to %s", s.parent.config.Topics.DriftPanes)
		}
	}
	s.log.Warn("transaction aborted, counting its records again", "error", cause)
	return nil
}

// malformed says whether a decoding error is the record's own, which is then left
// out and counted. Any other error is ctx's, or ends the process.
func (s *session) malformed(r *kgo.Record, err error) (bool, error) {
	if !wire.IsBroken(err) {
		return false, err
	}
	if s.parent.unread.Note(s.log, s.parent.config.Now(), r.Topic, "what was left out is counted as malformed, and not again", err) {
		return true, nil
	}
	s.log.Error("left out: not what belongs on the topic", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", schemas.WithoutValues(err))
	return true, nil
}
