package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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

	limit  int // applications in the next transaction
	poison map[schemas.Source]poisoned
	batch  *batch

	batchBytes sync.Map // topic → int32: how large the client makes batches
}

// poisoned is a record that fails for good.
type poisoned struct {
	why   string
	tries int // of its dead letter
}

// poisonRooms are how many bytes the dead letter of a record that failed may take,
// try after try: what the cluster says of its limits may be refused, or not be all.
// In the last there is nothing of what was received but digests.
var poisonRooms = []int{96 << 10, 16 << 10, leastRoom, 0}

// room is how many bytes its next dead letter may take.
func (p poisoned) room() int { return poisonRooms[p.tries] }

func newSession(s *Scorer, id string) *session {
	c := s.config
	one := &session{parent: s, id: id, limit: maxBatch, poison: map[schemas.Source]poisoned{}, batch: newBatch(c.Codec, c.Topics)}
	one.member = member.New(member.Config{
		Kafka: c.Kafka, Group: s.group, ID: id, Topic: c.Topics.Applications, Protocol: c.Protocol, Static: c.Static,
		Reach: s.reach, Log: c.Log, EndTimeout: s.endTimeout, Idle: s.idle, Resolve: s.resolve,
		Options: []kgo.Opt{
			kgo.ProducerBatchMaxBytesFn(one.maxBatchBytes),
			// Records linger until the flush at the transaction's end, which waits for
			// nothing: sent one by one as they come, a backlog makes many small batches.
			kgo.ProducerLinger(lingerTime),
		},
	})
	return one
}

// maxBatchBytes is how large a batch of a topic may be, as a new client asks.
func (s *session) maxBatchBytes(topic string) int32 {
	n := s.parent.limits.batch(topic)
	s.batchBytes.Store(topic, n)
	return n
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
	s.batch.room = s.parent.limits.room()
	if s.batch.decode(ctx, fetches, s.poison, now) != nil {
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
// with ever less of what was received. Where even a letter without any of that is
// refused, it is not that record's fault, and the process ends.
func (s *session) failed(ctx context.Context, cause error, fetches kgo.Fetches) error {
	if why := s.parent.resolve(ctx, cause); why != nil {
		return why
	}
	if !member.IsRecords(cause) {
		s.parent.config.Log.Warn("transaction aborted, reading its applications again", "transactional_id", s.id, "error", cause)
		return nil
	}
	if errors.Is(cause, kerr.MessageTooLarge) {
		if err := s.lowered(ctx); err != nil {
			return err
		}
	}
	if n := fetches.NumRecords(); n > 1 {
		s.limit = n / 2
		return nil
	}
	source := sourceOf(fetches.Records()[0])
	p, again := s.poison[source]
	switch {
	case !again:
		p.why = cause.Error()
	case p.tries == len(poisonRooms)-1:
		return member.Permanent(cause, "application %s can neither be answered nor written to %s, not even without its key, value and headers", source, s.parent.config.Topics.DLQ)
	default:
		p.tries++
	}
	s.poison[source] = p
	return nil
}

// lowered is an error where a topic takes less than the client was made for: a new
// one makes smaller batches.
func (s *session) lowered(ctx context.Context) error {
	client := s.member.Client()
	if client == nil {
		return nil
	}
	err := s.parent.limits.read(context.WithoutCancel(ctx), kadm.NewClient(client))
	if s.parent.fatal(err) != nil {
		return err
	}
	if err != nil {
		s.parent.config.Log.Warn("cannot read how large a batch may be", "transactional_id", s.id, "error", err)
		return nil //nolint:nilerr // it goes on with what it knew
	}
	s.batchBytes.Range(func(topic, bytes any) bool {
		if now := s.parent.limits.batch(topic.(string)); now < bytes.(int32) {
			err = fmt.Errorf("topic %s takes batches of %d bytes (max.message.bytes), less than before: %d", topic, now, bytes)
		}
		return err == nil
	})
	return err
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
