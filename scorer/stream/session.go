package stream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
)

// session is one member of the group with a transaction of its own.
type session struct {
	parent *Scorer
	id     string // transactional id
	client atomic.Pointer[kgo.Client]

	limit  int                       // applications in the next transaction
	poison map[schemas.Source]string // records that fail for good, and why
	batch  *batch
}

func newSession(s *Scorer, id string) *session {
	return &session{parent: s, id: id, limit: maxBatch, poison: map[schemas.Source]string{}, batch: newBatch(s.config.Codec)}
}

func (s *session) ready() error {
	client := s.client.Load()
	if client == nil {
		return errors.New("not connected to Kafka")
	}
	if _, generation := client.GroupMetadata(); generation < 0 {
		return fmt.Errorf("not a member of group %s yet", s.parent.config.Group)
	}
	return nil
}

// run works with one client after another until ctx ends or nothing would help.
func (s *session) run(ctx context.Context) error {
	log := s.parent.config.Log.With("transactional_id", s.id)
	pause := firstPause
	// A member that cannot score must not hold partitions that another could.
	for s.parent.config.Live() == nil {
		if !sleep(ctx, 50*time.Millisecond) {
			return nil
		}
	}
	if s.parent.config.Codec.Await(ctx) != nil {
		return nil //nolint:nilerr // told to stop is not a failure
	}
	for ctx.Err() == nil {
		worked, err := s.work(ctx)
		if err == nil {
			return nil
		}
		if why := s.parent.resolve(ctx, err); why != nil {
			return why
		}
		if ctx.Err() != nil {
			log.Warn("the last transaction was not committed: its applications are scored by the next owner", "error", err)
			break
		}
		if worked {
			pause = firstPause
		}
		log.Warn("starting again with a new client", "error", err, "in", pause)
		sleep(ctx, pause)
		pause = min(2*pause, maxPause)
	}
	return nil
}

// sleep waits, and says false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// open connects and stores the client, whose requests all end with ctx.
func (s *session) open(ctx context.Context) (*kgo.GroupTransactSession, error) {
	c := s.parent.config
	// The group may be joined before the client is returned.
	var client *kgo.Client
	returned := make(chan struct{})
	defer close(returned)
	opts := append(c.Kafka.Options(),
		kgo.WithContext(ctx),
		kgo.ConsumerGroup(c.Group),
		kgo.ConsumeTopics(c.Topics.Applications),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(sessionTimeout/10),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.FetchMaxWait(fetchWait),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtCommitted()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, o map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			<-returned
			return s.parent.adjust(ctx, client, o)
		}),
		kgo.TransactionalID(s.id),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.ProducerBatchMaxBytes(maxRecord),
		// Records linger until the flush at the transaction's end, which waits for
		// nothing: sent one by one as they come, a backlog makes many small batches.
		kgo.ProducerLinger(lingerTime),
	)
	switch c.Protocol {
	case ProtocolConsumer:
		// The client takes the broker's side of the bargain only with a balancer
		// that the broker has too.
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	case ProtocolClassic:
		opts = append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	}
	if c.Static {
		opts = append(opts, kgo.InstanceID(s.id))
	}
	sess, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return nil, permanent(err, "the Kafka client refuses its settings") // nothing was asked of the network yet
	}
	client = sess.Client()
	s.client.Store(client)
	return sess, nil
}

// leave hands the partitions to the other members, which would otherwise wait
// for the session's timeout, and closes the client. In the middle of a rebalance
// both would wait for its slowest member: after a while the client's requests are
// cut short.
func (s *session) leave(sess *kgo.GroupTransactSession, cut context.CancelFunc) {
	s.client.Store(nil)
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := sess.Client().LeaveGroupContext(ctx); err != nil && !errors.Is(err, kerr.UnknownMemberID) {
		s.parent.config.Log.Warn("could not leave the group", "transactional_id", s.id, "error", err)
		cut()
	}
	sess.Close()
	cut()
}

// work scores with one client. worked says whether it committed anything.
func (s *session) work(ctx context.Context) (worked bool, err error) {
	// SIGTERM must not reach the client: it finishes the transaction begun.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	sess, err := s.open(requests)
	if err != nil {
		cut()
		return false, err
	}
	defer s.leave(sess, cut)
	if err := s.take(ctx, sess.Client()); err != nil {
		if ctx.Err() != nil {
			return false, nil
		}
		return false, fmt.Errorf("taking transactional id %s: %w", s.id, err)
	}
	for {
		fetches := sess.PollRecords(ctx, s.limit)
		if ctx.Err() != nil {
			// What was polled is not committed: the next owner reads it again.
			return worked, nil
		}
		for _, e := range fetches.Errors() {
			if err := s.polled(ctx, sess.Client(), e); err != nil {
				return worked, err
			}
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		committed, err := s.transact(ctx, sess, fetches)
		if err != nil {
			return worked, err
		}
		worked = worked || committed
		if committed && fetches.NumRecords() < quietBatch && !sleep(ctx, restTime) {
			return worked, nil
		}
	}
}

// take makes this process the holder of the transactional id before there is
// anything to write: what a predecessor left open is aborted at once, and a
// holder that still runs is fenced.
func (s *session) take(ctx context.Context, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, s.parent.endTimeout)
	defer cancel()
	_, _, err := client.ProducerID(ctx)
	return err
}

// polled is what an error of a poll asks for: nil, the client goes on.
func (s *session) polled(ctx context.Context, client *kgo.Client, e kgo.FetchError) error {
	loss, lost := errors.AsType[*kgo.ErrDataLoss](e.Err)
	switch {
	case lost || errors.Is(e.Err, kerr.OffsetOutOfRange):
		at := int64(-1)
		if lost {
			at = loss.ConsumedTo
		}
		return s.parent.fellOut(ctx, client, e.Partition, at)
	case passes(e.Err):
		if why := s.parent.resolve(ctx, e.Err); why != nil {
			return why
		}
		s.parent.config.Log.Warn("reading applications", "transactional_id", s.id, "error", e.Err)
		return nil
	}
	return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
}

// transact answers what was polled in one transaction. It says whether that was
// committed; when it was not, the same records are polled again.
func (s *session) transact(ctx context.Context, sess *kgo.GroupTransactSession, fetches kgo.Fetches) (committed bool, err error) {
	m, now := s.parent.metrics, s.parent.config.Now
	decoding := now()
	if s.batch.decode(ctx, s.parent.config.Topics, fetches, s.poison, now) != nil {
		return false, nil // told to stop while a schema could not be had
	}
	decoded := now()
	live := s.parent.config.Live() // one snapshot per transaction
	// SIGTERM ends the polling, never a transaction.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.parent.endTimeout)
	defer cancel()
	began := now()
	if err := s.batch.decide(live, began); err != nil {
		return false, permanent(err, "scoring with model %s", live.Champion.Version)
	}
	m.scoring.Observe((decoded.Sub(decoding) + now().Sub(began)).Seconds())
	committed, cause, err := s.commit(end, sess, began)
	if cause != nil || err != nil {
		s.batch.drop()
	}
	if end.Err() != nil && !committed {
		return false, permanent(both(cause, err), "a transaction of %d applications did not end within %s; the broker aborts it", fetches.NumRecords(), s.parent.endTimeout)
	}
	if took := now().Sub(began); took > transactionTimeout && (isFenced(err) || isFenced(cause)) {
		return false, &lateError{took, both(cause, err)}
	}
	if err != nil {
		return false, both(cause, err)
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

// commit writes the batch and ends its transaction. cause is the first produce
// that failed: the transaction is then aborted, for its offsets would otherwise
// be committed without it.
func (s *session) commit(ctx context.Context, sess *kgo.GroupTransactSession, at time.Time) (committed bool, cause, err error) {
	if err := sess.Begin(); err != nil {
		return false, nil, err
	}
	failed := kgo.AbortingFirstErrPromise(sess.Client())
	s.batch.produce(ctx, sess, at, failed.Promise)
	if err := sess.Client().Flush(ctx); err != nil {
		return false, nil, fmt.Errorf("producing: %w", err)
	}
	cause = failed.Err()
	committed, err = sess.End(ctx, kgo.TransactionEndTry(cause == nil))
	return committed, cause, err
}

// failed learns from an aborted transaction: it must not fail the same way for
// ever. Half as many records are tried next; a single one goes to the dead letters.
func (s *session) failed(ctx context.Context, cause error, fetches kgo.Fetches) error {
	if why := s.parent.resolve(ctx, cause); why != nil {
		return why
	}
	if !isRecords(cause) {
		s.parent.config.Log.Warn("transaction aborted, reading its applications again", "transactional_id", s.id, "error", cause)
		return nil
	}
	if n := fetches.NumRecords(); n > 1 {
		s.limit = n / 2
		return nil
	}
	source := sourceOf(fetches.Records()[0])
	if _, again := s.poison[source]; again {
		return permanent(cause, "application %s can neither be answered nor written to %s", source, s.parent.config.Topics.DLQ)
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
	for decision, n := range b.decisions() {
		m.decisions.WithLabelValues(decision).Add(float64(n))
	}
	for _, class := range b.classes {
		m.deadLetters.WithLabelValues(class).Inc()
	}
	if len(s.poison) > 0 {
		fetches.EachRecord(func(r *kgo.Record) { delete(s.poison, sourceOf(r)) })
	}
}
