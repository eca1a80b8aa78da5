package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// session is one member of the group with a transaction of its own.
type session struct {
	parent *Scorer
	id     string // transactional id
	member *member.Member

	size   *member.Size // of the next transaction
	client *kgo.GroupTransactSession
	poison map[schemas.Source]poisoned
	transaction

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
	one := &session{parent: s, id: id, size: member.NewSizeOf(c.Sessions, maxBatch, &s.link), poison: map[schemas.Source]poisoned{}, transaction: newTransaction(c.Codec, c.Topics)}
	one.most = cmp.Or(s.pollSize, maxPoll)
	one.member = member.New(member.Config{
		Kafka: c.Kafka, Group: s.group, ID: id, Topic: c.Topics.Applications, Protocol: c.Protocol, Static: c.Static,
		Reach: s.reach, Log: c.Log, Flush: s.flushTimeout, EndTimeout: s.endTimeout, Idle: s.idle, Resolve: s.resolve, Oversized: true,
		Options: []kgo.Opt{
			kgo.FetchMaxBytes(fetchBytes),
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
		if !retry.Sleep(ctx, 50*time.Millisecond) {
			return nil
		}
	}
	if s.parent.config.Codec.Await(ctx) != nil {
		return nil //nolint:nilerr // told to stop is not a failure
	}
	return s.member.Run(ctx, s.turn)
}

// turn answers what is there in one transaction.
func (s *session) turn(ctx context.Context, sess *kgo.GroupTransactSession) (committed bool, err error) {
	if s.client != sess {
		s.client = sess
		s.size.Restart()
	}
	if !s.member.Pace(ctx) {
		return false, nil
	}
	if large, ok := s.member.Oversized(); ok {
		return s.refuseBatch(ctx, sess, large)
	}
	fetches, err := s.member.Poll(ctx, sess, s.nextPoll(s.size.Records()))
	if ctx.Err() != nil {
		// What was polled is not committed: the next owner reads it again.
		return false, nil //nolint:nilerr // told to stop is not a failure
	}
	if err != nil || fetches.NumRecords() == 0 {
		return false, err
	}
	committed, err = s.transact(ctx, sess, fetches)
	if committed && s.polled() < quietBatch {
		retry.Sleep(ctx, restTime)
	}
	s.release()
	return committed, err
}

// transact answers what was polled, and what comes while Kafka takes it in, in one
// transaction. It says whether that was committed; when it was not, the same
// records are polled again.
func (s *session) transact(ctx context.Context, sess *kgo.GroupTransactSession, fetches kgo.Fetches) (committed bool, err error) {
	m, now := s.parent.metrics, s.parent.config.Now
	scoring, err := s.decode(ctx, fetches)
	if err != nil {
		return false, nil //nolint:nilerr // told to stop while a schema could not be had
	}
	live := s.parent.config.Live() // one snapshot per transaction
	began, imposed := now(), s.member.Imposed()
	committed, cause, err := s.member.Commit(ctx, sess, now, func(produce context.Context, promise func() func(*kgo.Record, error)) error {
		for {
			b, at := s.last(), now()
			if err := b.decide(live, at); err != nil {
				return member.Permanent(err, "scoring with model %s", live.Champion.Version)
			}
			scoring += now().Sub(at)
			b.produce(produce, sess, at, promise)
			if !s.mayGrow(ctx, sess.Client(), now().Sub(began)) {
				return nil
			}
			more, err := s.member.More(ctx, sess, s.nextPoll(s.size.Records()-s.brought))
			if err != nil || more.NumRecords() == 0 {
				return err
			}
			decoding, err := s.decodeSoon(ctx, more)
			if err != nil {
				return err
			}
			scoring += decoding
		}
	})
	took := now().Sub(began)
	if slow := cmp.Or(err, cause); member.IsSlow(slow) {
		s.size.GaveUp(s.polled())
	}
	if cause != nil || err != nil {
		s.drop()
	}
	if err != nil {
		return false, fmt.Errorf("answering %d applications: %w", s.polled(), err)
	}
	if !committed {
		m.aborts.Inc()
		if cause == nil {
			return false, nil // the group rebalanced
		}
		return false, s.failed(ctx, cause)
	}
	s.alone = false
	s.size.Committed(s.brought, took+s.member.Imposed()-imposed)
	m.scoring.Observe(scoring.Seconds())
	s.count(live, took)
	return true, nil
}

// failed learns from an aborted transaction: it must not fail the same way for
// ever. Half as many records are tried next; a single one goes to the dead letters,
// with ever less of what was received. Where even a letter without any of that is
// refused, it is not that record's fault, and the process ends.
func (s *session) failed(ctx context.Context, cause error) error {
	if why := s.parent.resolve(ctx, cause); why != nil {
		return why
	}
	if !member.IsRecords(cause) {
		s.parent.config.Log.Warn("transaction aborted, reading its applications again", "transactional_id", s.id, "error", cause,
			"applications", s.polled(), "next", s.size.Records())
		return nil
	}
	if errors.Is(cause, kerr.MessageTooLarge) {
		if err := s.lowered(ctx); err != nil {
			return err
		}
	}
	if n := s.polled(); n > 1 {
		s.size.Refused(n)
		return nil
	}
	source := sourceOf(s.fetches[0].Records()[0])
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
func (s *session) count(live *model.LiveSet, took time.Duration) {
	m, now, n := s.parent.metrics, s.parent.config.Now(), float64(s.polled())
	m.records.Add(n)
	m.batch.Observe(n)
	m.transaction.Observe(took.Seconds())
	m.serving(live)
	unread := 0
	for _, b := range s.batches[:len(s.fetches)] {
		for i := range b.sources {
			took, why := endToEnd(b.apps[i].AppliedAt.Time(), now)
			m.endToEnd.Observe(took.Seconds())
			if why != "" {
				m.implausible.WithLabelValues(why).Inc()
			}
		}
		s.observeLatencies(b, now)
		for decision, n := range b.decisions() {
			m.decisions.WithLabelValues(decision).Add(float64(n))
		}
		for _, class := range b.classes {
			m.deadLetters.WithLabelValues(class).Inc()
		}
		unread += b.unread
	}
	if unread > 0 {
		s.parent.unread(unread, now)
	}
	if len(s.poison) > 0 {
		for _, fetches := range s.fetches {
			fetches.EachRecord(func(r *kgo.Record) { delete(s.poison, sourceOf(r)) })
		}
	}
}

// maxTimed is how many applications of a poll are handed to Latencies, each for its
// share of the others: they were all committed at once.
const maxTimed = 1_000

// observeLatencies hands on how long the decisions of a committed batch took.
func (s *session) observeLatencies(b *batch, now time.Time) {
	latencies := s.parent.config.Latencies
	if latencies == nil {
		return
	}
	n := len(b.sources)
	step := 1 + n/maxTimed
	for i := 0; i < n; i += step {
		took, _ := endToEnd(b.apps[i].AppliedAt.Time(), now)
		latencies.Observe(took, min(step, n-i))
	}
}
