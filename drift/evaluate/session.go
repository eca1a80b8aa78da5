package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

// session is one membership of the group.
type session struct {
	parent *Evaluator
	group  *kgo.GroupTransactSession
	adm    *kadm.Client

	mu     sync.Mutex // guards what follows: the group's callbacks set it
	tenure *tenure    // nil: another evaluator works
	lost   bool       // the panes were owned, and are not any more

	stalls kafka.Stalls
	looked time.Time // for stalls
	stuck  *kafka.UnreadableError
}

// stallTicks is how many ticks lie between two looks at a log of which nothing comes.
const stallTicks = 5

// What a look may take: the panes wait for it.
const stallTimeout = 5 * time.Second

// look finds out whether the client waits in silence for panes that cannot be read.
func (s *session) look(ctx context.Context, t *tenure) error {
	e, now := s.parent, time.Now()
	if s.stuck != nil && t.Next() > s.stuck.From {
		e.config.Log.Info("the panes can be read again", "topic", s.stuck.Topic, "offset", t.Next())
		s.stuck = nil
	}
	if now.Sub(s.looked) >= stallTicks*e.config.Tick {
		s.looked = now
		look, cancel := context.WithTimeout(ctx, stallTimeout)
		defer cancel()
		stalled, err := s.stalls.Look(look, s.group.Client(), e.config.Topics.DriftPanes, map[int32]int64{0: t.Next()})
		switch {
		case err != nil: // what reads says what is wrong
		case len(stalled) == 0:
			s.stuck = nil
		case errors.Is(stalled[0], kgo.ErrMaxDecompress): // the client says so once, and passOver may not have heard
			s.stuck = nil
			kafka.ReadAgain(s.group.Client(), e.config.Topics.DriftPanes, 0, t.Next())
		case s.stuck == nil:
			s.stuck = stalled[0]
			e.config.Log.Error("panes cannot be read: nothing is evaluated until they can", "topic", s.stuck.Topic,
				"partition", s.stuck.Partition, "offset", s.stuck.From, "error", s.stuck.Err)
		}
	}
	if s.stuck == nil {
		return nil
	}
	return s.stuck
}

// open joins the group. ctx bounds every request of the client.
func (e *Evaluator) open(ctx context.Context) (*session, error) {
	s := &session{parent: e}
	// The group may be joined before the client is returned.
	returned := make(chan struct{})
	defer close(returned)
	gone := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		if len(partitions) > 0 {
			s.lose()
		}
	}
	group, err := kgo.NewGroupTransactSession(append(e.config.Kafka.Options(),
		kgo.WithContext(ctx),
		kgo.ConsumerGroup(Group(e.config.Kafka.Prefix)),
		kgo.ConsumeTopics(e.config.Topics.DriftPanes),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // without the last one's marker the end is never reached
		kgo.FetchMaxWait(fetchWait),
		kgo.SessionTimeout(member.SessionTimeout),
		kgo.HeartbeatInterval(member.HeartbeatInterval),
		kgo.RebalanceTimeout(member.SessionTimeout),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, o map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			<-returned
			return s.assigned(ctx, o)
		}),
		kgo.OnPartitionsRevoked(gone),
		kgo.OnPartitionsLost(gone),
		// One id for all: whoever takes over ends what the one before left open,
		// and shuts it out.
		kgo.TransactionalID(e.transactionalID()),
		kgo.TransactionTimeout(member.TransactionTimeout),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(1<<20),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("the Kafka client refuses its settings: %w", err)
	}
	s.group, s.adm = group, kadm.NewClient(group.Client())
	return s, nil
}

func (s *session) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = s.lost || s.tenure != nil
}

// owned is the tenure, nil while another evaluator works.
func (s *session) owned() (t *tenure, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tenure, s.lost
}

// assigned begins a tenure and says where its panes begin. A second one within a
// session would meet records polled for the first.
func (s *session) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	topic := s.parent.config.Topics.DriftPanes
	if _, ours := offsets[topic]; !ours {
		return offsets, nil
	}
	if t, _ := s.owned(); t != nil {
		s.lose()
		return offsets, nil
	}
	if _, _, err := s.group.Client().ProducerID(ctx); err != nil {
		return nil, fmt.Errorf("taking transactional id %s: %w", s.parent.transactionalID(), err)
	}
	t, err := s.parent.takeOver(ctx, s.adm)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenure = t
	offsets[topic][0] = kgo.NewOffset().At(t.Next())
	return offsets, nil
}

// worked says whether this session wrote a status.
func (s *session) worked() bool {
	t, _ := s.owned()
	return t != nil && !t.written.IsZero()
}

var errLost = errors.New("another evaluator has taken over")

// work is a member of the group until ctx ends. worked says whether it wrote a
// status.
func (e *Evaluator) work(ctx context.Context) (worked bool, err error) {
	// SIGTERM must not reach the client: it finishes the transaction begun.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	s, err := e.open(requests)
	if err != nil {
		cut()
		return false, err
	}
	defer member.Leave(s.group, cut, e.config.Log.With("group", Group(e.config.Kafka.Prefix)))
	defer e.metrics.forget()
	due := time.Now()
	for {
		poll, cancel := context.WithDeadline(ctx, due)
		fetches := s.group.PollRecords(poll, maxPoll)
		cancel()
		if ctx.Err() != nil {
			return s.worked(), nil
		}
		if err := failed(fetches); err != nil {
			return s.worked(), err
		}
		t, lost := s.owned()
		if lost {
			return s.worked(), errLost
		}
		if t != nil {
			fetches.EachRecord(func(r *kgo.Record) { e.fold(t, r) })
			s.passOver(ctx, fetches, t)
		}
		if time.Now().Before(due) {
			continue
		}
		due = time.Now().Add(e.config.Tick)
		if err := s.tick(ctx, t); err != nil {
			return s.worked(), err
		}
	}
}

// passOver goes on behind batches that unpack to more than any aggregator writes. One that
// was aborted holds nothing to tell of.
func (s *session) passOver(ctx context.Context, fetches kgo.Fetches, t *tenure) {
	e, client := s.parent, s.group.Client()
	kafka.PassOversized(client, fetches, func(large *kgo.ErrDecompressTooLarge) {
		if large.NextOffset <= t.Next() {
			return
		}
		t.Skip(large.NextOffset - 1)
		look, cancel := context.WithTimeout(ctx, stallTimeout)
		defer cancel()
		if aborted, err := kafka.Aborted(look, client, large.Topic, large.Partition, large.Offset); err == nil && aborted {
			return
		}
		e.metrics.malformed.Add(float64(large.NextOffset - large.Offset))
		e.config.Log.Error("panes ignored", "topic", large.Topic, "offset", large.Offset, "next", large.NextOffset, "error", kafka.Reason(large))
	})
}

// failed is the first error of a poll that neither the client nor passOver gets over.
func failed(fetches kgo.Fetches) error {
	for _, f := range fetches.Errors() {
		_, session := errors.AsType[*kgo.ErrGroupSession](f.Err)
		if errors.Is(f.Err, context.DeadlineExceeded) || errors.Is(f.Err, kgo.ErrMaxDecompress) || kerr.IsRetriable(f.Err) || session && !kafka.IsPermanent(f.Err) {
			continue
		}
		return fmt.Errorf("reading %s/%d: %w", f.Topic, f.Partition, kafka.Reason(f.Err))
	}
	return nil
}

// tick evaluates, unless there is nothing new.
func (s *session) tick(ctx context.Context, t *tenure) error {
	e := s.parent
	switch {
	case t == nil:
		if _, generation := s.group.Client().GroupMetadata(); generation < 0 {
			e.note(fmt.Errorf("not a member of group %s yet", Group(e.config.Kafka.Prefix)))
		} else {
			e.note(nil) // it waits for the one that works
		}
		return nil
	case t.Left() > 0:
		if err := s.look(ctx, t); err != nil {
			e.note(err)
			return nil
		}
		e.note(fmt.Errorf("reading the panes of its windows again, %d left", t.Left()))
		return nil
	}
	e.serve(t)
	if err := s.look(ctx, t); err != nil {
		e.note(err)
		return nil
	}
	if err := e.quiet(ctx, t, s.adm); err != nil {
		return fmt.Errorf("looking for the end of the panes: %w", err)
	}
	quiet := e.config.Now().Sub(t.written)
	if len(t.told) > 0 || t.changed && quiet >= e.config.Between || quiet >= e.config.Every {
		return s.write(ctx, t)
	}
	return nil
}

// write evaluates and puts status, alerts and offsets into one transaction.
func (s *session) write(ctx context.Context, t *tenure) error {
	e := s.parent
	began := time.Now()
	now := e.config.Now()
	status := t.Status(schemas.At(now))
	e.metrics.evaluation.Observe(time.Since(began).Seconds())
	records, err := e.records(t, status)
	if err != nil {
		return err
	}
	// SIGTERM ends the evaluating, never a transaction.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), member.EndTimeout)
	defer cancel()
	committed, cause, err := member.Transact(ctx, s.group, func(ctx context.Context, promise func() func(*kgo.Record, error)) error {
		for _, r := range records {
			s.group.Produce(ctx, r, promise())
		}
		return nil
	})
	if err = errors.Join(cause, err); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	if !committed { // the group rebalanced: it is known at the next tick whether this one still owns the panes
		e.metrics.aborts.Inc()
		return nil
	}
	told, before := t.told, []schemas.Alert(nil)
	if t.written.IsZero() { // what the owner before wrote last may not have reached whoever is told
		before = earlier(status, told)
	}
	t.told, t.changed, t.written = nil, false, now
	e.metrics.show(status)
	e.note(nil)
	e.announce(told, before)
	return nil
}

// justResolved is how long the owner before may have had to tell of an alert that
// was over, and may not have come to it.
const justResolved = time.Minute

// earlier are the alerts of a status that fire or were just resolved, and are not
// among those told.
func earlier(status *drift.Status, told []schemas.Alert) (before []schemas.Alert) {
	for _, a := range status.Alerts {
		again := slices.ContainsFunc(told, func(t schemas.Alert) bool { return t.Alert == a.Alert.Alert })
		lately := status.EvaluatedAt-a.Since < schemas.Timestamp(justResolved.Microseconds())
		if !again && (a.State == schemas.AlertFiring || lately) {
			before = append(before, a.Alert)
		}
	}
	return before
}

// announce logs and counts alerts that are in the log now, and hands them to the
// notifier with those that were there before.
func (e *Evaluator) announce(told, before []schemas.Alert) {
	for _, a := range told {
		e.metrics.told.WithLabelValues(a.State).Inc()
		e.config.Log.Warn("drift alert", "alert", a.Alert, "state", a.State, "statistic", a.Statistic, "value", a.Value, "threshold", a.Threshold)
	}
	if all := slices.Concat(before, told); e.config.Notifier != nil && len(all) > 0 {
		e.config.Notifier.Notify(all)
	}
}

// records are a status with the state to go on from, and the alerts not yet told.
func (e *Evaluator) records(t *tenure, status *drift.Status) ([]*kgo.Record, error) {
	value, err := json.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	state, err := t.State()
	if err != nil {
		return nil, err
	}
	records := []*kgo.Record{{Topic: e.config.Topics.DriftStatus, Value: value, Headers: []kgo.RecordHeader{{Key: headerState, Value: state}}}}
	for i := range t.told {
		a := &t.told[i]
		records = append(records, &kgo.Record{Topic: e.config.Topics.DriftAlerts, Key: []byte(a.Alert), Value: schemas.AppendAlert(nil, a)})
	}
	return records, nil
}
