package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
)

// session is one member of the group with a transaction of its own.
type session struct {
	parent *Scorer
	id     string // transactional id
	member *member.Member

	limit  int                       // applications in the next transaction
	poison map[schemas.Source]string // records that fail for good, and why
	batch  *batch
}

func newSession(s *Scorer, id string) *session {
	c := s.config
	return &session{
		parent: s, id: id, limit: maxBatch, poison: map[schemas.Source]string{}, batch: newBatch(c.Codec),
		member: member.New(member.Config{
			Kafka: c.Kafka, Group: c.Group, ID: id, Topic: c.Topics.Applications, Protocol: c.Protocol, Static: c.Static,
			Reach: s.reach, Log: c.Log, EndTimeout: s.endTimeout, Idle: s.idle, Resolve: s.resolve,
			Options: []kgo.Opt{
				kgo.ProducerBatchMaxBytes(maxRecord),
				// Records linger until the flush at the transaction's end, which waits for
				// nothing: sent one by one as they come, a backlog makes many small batches.
				kgo.ProducerLinger(lingerTime),
			},
		}),
	}
}

// run scores until ctx ends or nothing would help.
func (s *session) run(ctx context.Context) error {
	// A member that cannot score must not hold partitions that another could.
	for s.parent.config.Live() == nil {
		if !member.Sleep(ctx, 50*time.Millisecond) {
			return nil
		}
	}
	if s.parent.config.Codec.Await(ctx) != nil {
		return nil //nolint:nilerr // told to stop is not a failure
	}
	return s.member.Run(ctx, s.turn)
}

// turn answers what one poll brings.
func (s *session) turn(ctx context.Context, sess *kgo.GroupTransactSession) (committed bool, err error) {
	fetches, err := s.member.Poll(ctx, sess, s.limit)
	if ctx.Err() != nil {
		// What was polled is not committed: the next owner reads it again.
		return false, nil //nolint:nilerr // told to stop is not a failure
	}
	if err != nil || fetches.NumRecords() == 0 {
		return false, err
	}
	committed, err = s.transact(ctx, sess, fetches)
	if committed && fetches.NumRecords() < quietBatch {
		member.Sleep(ctx, restTime)
	}
	return committed, err
}

// transact answers what was polled in one transaction. It says whether that was
// committed; when it was not, the same records are polled again.
func (s *session) transact(ctx context.Context, sess *kgo.GroupTransactSession, fetches kgo.Fetches) (committed bool, err error) {
	m, now := s.parent.metrics, s.parent.config.Now
	decoding := now()
	if s.batch.decode(ctx, s.parent.config.Topics, fetches, s.poison, now) != nil {
		return false, nil //nolint:nilerr // told to stop while a schema could not be had
	}
	decoded := now()
	live := s.parent.config.Live() // one snapshot per transaction
	began := now()
	if err := s.batch.decide(live, began); err != nil {
		return false, member.Permanent(err, "scoring with model %s", live.Champion.Version)
	}
	m.scoring.Observe((decoded.Sub(decoding) + now().Sub(began)).Seconds())
	committed, cause, err := s.member.Commit(ctx, sess, now, func(ctx context.Context, promise func() func(*kgo.Record, error)) {
		s.batch.produce(ctx, sess, began, promise)
	})
	if cause != nil || err != nil {
		s.batch.drop()
	}
	if err != nil {
		return false, fmt.Errorf("answering %d applications: %w", fetches.NumRecords(), err)
	}
	if !committed {
		m.aborts.Inc()
		if cause == nil {
			return false, nil // the group rebalanced
		}
		return false, s.failed(ctx, cause, fetches)
	}
	s.limit = min(2*s.limit, maxBatch)
	s.count(live, fetches, began)
	return true, nil
}

// failed learns from an aborted transaction: it must not fail the same way for
// ever. Half as many records are tried next; a single one goes to the dead letters,
// and if it is not that one's fault after all, its dead letter fails as well, which
// ends the process.
func (s *session) failed(ctx context.Context, cause error, fetches kgo.Fetches) error {
	if why := s.parent.resolve(ctx, cause); why != nil {
		return why
	}
	if !member.IsRecords(cause) {
		s.parent.config.Log.Warn("transaction aborted, reading its applications again", "transactional_id", s.id, "error", cause)
		return nil
	}
	if n := fetches.NumRecords(); n > 1 {
		s.limit = n / 2
		return nil
	}
	source := sourceOf(fetches.Records()[0])
	if _, again := s.poison[source]; again {
		return member.Permanent(cause, "application %s can neither be answered nor written to %s", source, s.parent.config.Topics.DLQ)
	}
	s.poison[source] = cause.Error()
	return nil
}

func sourceOf(r *kgo.Record) schemas.Source {
	return schemas.Source{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
}

// count notes a committed transaction.
func (s *session) count(live *release.LiveSet, fetches kgo.Fetches, began time.Time) {
	m, now, n := s.parent.metrics, s.parent.config.Now(), float64(fetches.NumRecords())
	m.records.Add(n)
	m.batch.Observe(n)
	m.transaction.Observe(now.Sub(began).Seconds())
	m.serving(live)
	b := s.batch
	for i := range b.sources {
		m.endToEnd.Observe(now.Sub(b.apps[i].AppliedAt.Time()).Seconds())
	}
	s.tellLatencies(now)
	for decision, n := range b.decisions() {
		m.decisions.WithLabelValues(decision).Add(float64(n))
	}
	for _, class := range b.classes {
		m.deadLetters.WithLabelValues(class).Inc()
	}
	if b.unread > 0 {
		s.parent.unread(b.unread, now)
	}
	if len(s.poison) > 0 {
		fetches.EachRecord(func(r *kgo.Record) { delete(s.poison, sourceOf(r)) })
	}
}

// mostTimed is how many applications of a transaction are handed to Latencies, each
// for its share of the others: they were all committed at once.
const mostTimed = 1_000

// tellLatencies tells how long the decisions of a committed batch took.
func (s *session) tellLatencies(now time.Time) {
	latencies, b := s.parent.config.Latencies, s.batch
	if latencies == nil {
		return
	}
	n := len(b.sources)
	step := 1 + n/mostTimed
	for i := 0; i < n; i += step {
		latencies.Observe(now.Sub(b.apps[i].AppliedAt.Time()), min(step, n-i))
	}
}
