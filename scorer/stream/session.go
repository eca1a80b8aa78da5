package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// session is one member of the group with a transaction of its own.
type session struct {
	parent *Scorer
	id     string // transactional id
	client atomic.Pointer[kgo.Client]

	limit  int                       // applications in the next transaction
	poison map[schemas.Source]string // records that fail for good, and why

	scorer      *scorer.Scorer
	apps        []schemas.Application
	sources     []*kgo.Record // of each application
	predictions []schemas.Prediction
	letters     []*kgo.Record
	classes     []string // of each dead letter
	values      []byte   // the predictions' values, one behind the other
}

func newSession(s *Scorer, id string) *session {
	return &session{parent: s, id: id, limit: maxBatch, poison: map[schemas.Source]string{}, scorer: scorer.New()}
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
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		worked, err := s.work(ctx)
		s.client.Store(nil)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			log.Warn("the last transaction did not end: its applications are scored by the next owner", "error", err)
			break
		}
		if why := s.parent.fatal(err); why != nil {
			return why
		}
		if worked {
			pause = 100 * time.Millisecond
		}
		log.Warn("starting again with a new client", "error", err, "in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
	return nil
}

// open connects and stores the client.
func (s *session) open() (*kgo.GroupTransactSession, error) {
	c := s.parent.config
	stored := make(chan struct{}) // the group may be joined before the client is returned
	defer close(stored)
	sess, err := kgo.NewGroupTransactSession(append(c.Kafka.Options(),
		kgo.ConsumerGroup(c.Group),
		kgo.ConsumeTopics(c.Topics.Applications),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(sessionTimeout/10),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtCommitted()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, o map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			<-stored
			return s.parent.adjust(ctx, s.client.Load(), o)
		}),
		kgo.TransactionalID(s.id),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.ProducerBatchMaxBytes(maxRecord),
		kgo.RecordDeliveryTimeout(endTimeout),
	)...)
	if err == nil {
		s.client.Store(sess.Client())
	}
	return sess, err
}

// work scores with one client. worked says whether it committed anything.
func (s *session) work(ctx context.Context) (worked bool, err error) {
	sess, err := s.open()
	if err != nil {
		return false, err
	}
	defer sess.Close()
	for {
		live := s.parent.config.Live()
		if live == nil {
			select {
			case <-ctx.Done():
				return worked, nil
			case <-time.After(50 * time.Millisecond):
				continue
			}
		}
		fetches := sess.PollRecords(ctx, s.limit)
		if ctx.Err() != nil {
			// What was polled is not committed: the next owner reads it again.
			return worked, nil
		}
		for _, e := range fetches.Errors() {
			if kerr.IsRetriable(e.Err) {
				continue
			}
			return worked, fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		committed, err := s.transact(sess, live, fetches)
		if err != nil {
			return worked, err
		}
		worked = worked || committed
	}
}

// transact answers what was polled in one transaction. It says whether that was
// committed; when it was not, the same records are polled again.
func (s *session) transact(sess *kgo.GroupTransactSession, live *release.LiveSet, fetches kgo.Fetches) (committed bool, err error) {
	m := s.parent.metrics
	// SIGTERM ends the polling, never a transaction.
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	began := s.parent.config.Now()
	if err := s.decide(live, fetches, began); err != nil {
		return false, err
	}
	m.scoring.Observe(s.parent.config.Now().Sub(began).Seconds())
	if err := sess.Begin(); err != nil {
		return false, err
	}
	failed := kgo.AbortingFirstErrPromise(sess.Client())
	s.produce(ctx, sess, failed)
	if err := sess.Client().Flush(ctx); err != nil {
		return false, fmt.Errorf("producing: %w", err)
	}
	cause := failed.Err()
	committed, err = sess.End(ctx, kgo.TransactionEndTry(cause == nil))
	if err != nil {
		return false, errors.Join(cause, err)
	}
	if !committed {
		m.aborts.Inc()
		if cause == nil {
			return false, nil // the group rebalanced
		}
		return false, s.failed(cause, fetches)
	}
	s.limit = min(2*s.limit, maxBatch)
	s.count(live, fetches, began)
	return true, nil
}

// isRecords says whether a produce failed because of a record itself.
func isRecords(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) ||
		errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.InvalidTimestamp)
}

// failed learns from an aborted transaction: it must not fail the same way for
// ever. Half as many records are tried next; a single one goes to the dead letters.
func (s *session) failed(cause error, fetches kgo.Fetches) error {
	if !isRecords(cause) {
		if why := s.parent.fatal(cause); why != nil {
			return why
		}
		s.parent.config.Log.Warn("transaction aborted, reading its applications again", "error", cause)
		return nil
	}
	n := fetches.NumRecords()
	if n > 1 {
		s.limit = n / 2
		return nil
	}
	r := fetches.Records()[0]
	source := sourceOf(r)
	if _, again := s.poison[source]; again {
		return fmt.Errorf("application %s does not fit the dead letters either: %w", source, cause)
	}
	s.poison[source] = cause.Error()
	return nil
}

func sourceOf(r *kgo.Record) schemas.Source {
	return schemas.Source{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
}

// decide fills the predictions and dead letters of what was polled.
func (s *session) decide(live *release.LiveSet, fetches kgo.Fetches, now time.Time) error {
	s.apps, s.sources, s.letters, s.classes = s.apps[:0], s.sources[:0], s.letters[:0], s.classes[:0]
	dlq := s.parent.config.Topics.DLQ
	fetches.EachRecord(func(r *kgo.Record) {
		if len(s.poison) > 0 {
			if why, ok := s.poison[sourceOf(r)]; ok {
				class := schemas.ErrorClassPermanent
				if len(r.Value) > keptValue {
					class = schemas.ErrorClassTooLarge
				}
				s.letters = append(s.letters, deadLetter(dlq, r, class, why, now, true))
				s.classes = append(s.classes, class)
				return
			}
		}
		s.apps = append(s.apps, schemas.Application{})
		if err := schemas.DecodeApplication(r.Value, &s.apps[len(s.apps)-1]); err != nil {
			s.apps = s.apps[:len(s.apps)-1]
			class := errorClass(err)
			s.letters = append(s.letters, deadLetter(dlq, r, class, err.Error(), now, false))
			s.classes = append(s.classes, class)
			return
		}
		s.sources = append(s.sources, r)
	})
	for len(s.predictions) < len(s.apps) {
		s.predictions = append(s.predictions, schemas.Prediction{})
	}
	return s.scorer.Decide(live, schemas.ChannelStream, schemas.At(now), s.apps, s.predictions[:len(s.apps)])
}

// produce hands predictions and dead letters to the client.
func (s *session) produce(ctx context.Context, sess *kgo.GroupTransactSession, failed *kgo.FirstErrPromise) {
	// The last transaction's values are no longer the client's: it was flushed.
	s.values = s.values[:0]
	for i, r := range s.sources {
		from := len(s.values)
		s.values = schemas.AppendPrediction(s.values, &s.predictions[i])
		sess.Produce(ctx, &kgo.Record{
			Topic: s.parent.config.Topics.Predictions, Key: []byte(s.apps[i].ApplicationID),
			Value: s.values[from:len(s.values):len(s.values)], Headers: sourceHeaders(make([]kgo.RecordHeader, 0, 3), r),
		}, failed.Promise())
	}
	for _, d := range s.letters {
		sess.Produce(ctx, d, failed.Promise())
	}
}

// count notes a committed transaction.
func (s *session) count(live *release.LiveSet, fetches kgo.Fetches, began time.Time) {
	m, now := s.parent.metrics, s.parent.config.Now()
	m.records.Add(float64(fetches.NumRecords()))
	m.batch.Observe(float64(fetches.NumRecords()))
	m.transaction.Observe(now.Sub(began).Seconds())
	m.revision.Set(float64(live.Revision))
	m.model.Reset()
	m.model.WithLabelValues(live.Champion.Version).Set(1)
	decisions := map[string]int{}
	for i := range s.apps {
		decisions[s.predictions[i].Decision]++
		m.endToEnd.Observe(now.Sub(s.apps[i].AppliedAt.Time()).Seconds())
	}
	for decision, n := range decisions {
		m.decisions.WithLabelValues(decision).Add(float64(n))
	}
	for _, class := range s.classes {
		m.deadLetters.WithLabelValues(class).Inc()
	}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if n := len(p.Records); n > 0 {
			m.lag.WithLabelValues(strconv.Itoa(int(p.Partition))).Set(float64(max(0, p.HighWatermark-p.Records[n-1].Offset-1)))
			for _, r := range p.Records {
				if len(s.poison) == 0 {
					break
				}
				delete(s.poison, sourceOf(r))
			}
		}
	})
}
