// Package member is a member of a consumer group whose output and whose offsets
// are in one transaction: what it reads is answered exactly once.
package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/retry"
)

const (
	// SessionTimeout is how long the group waits for a member that is silent.
	SessionTimeout = 10 * time.Second
	// HeartbeatInterval is how often a member says that it lives, and is told that
	// the group rebalances.
	HeartbeatInterval = SessionTimeout / 10
	// All wait for the slowest member of a rebalance; a minute, the client's
	// default, would be a minute without answers.
	rebalanceTimeout = SessionTimeout
	// TransactionTimeout is below the session's: a member that hangs must not be
	// able to commit after its partitions moved.
	TransactionTimeout = 8 * time.Second
	// FlushTimeout is how long Kafka may take what a transaction writes, of its 8 s:
	// the rest is for its end.
	FlushTimeout = 6 * time.Second
	// What aborting may take where Kafka took too long.
	abortTimeout = TransactionTimeout - FlushTimeout
	// EndTimeout is what one transaction's produce and end may take, whatever
	// SIGTERM says.
	EndTimeout = 15 * time.Second
	// How long a member waits at most for a quota's throttle to pass before it begins
	// a transaction.
	maxPace = 30 * time.Second
	// How long a fetch waits for something to read. It does not delay what arrives,
	// but a partition just taken over waits for the fetch that is out.
	fetchWait = 500 * time.Millisecond
	// What handing the partitions over may take at the end.
	leaveTimeout = 3 * time.Second
	// IdleInterval is how often a member that has nothing to read looks whether its
	// transactional id is still its own.
	IdleInterval = 5 * time.Second
	// What that look may take: what comes meanwhile waits for it.
	holdsTimeout = 2 * time.Second
	// Between one client and the next.
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// Group protocols.
const (
	ProtocolClassic  = "classic"
	ProtocolConsumer = "consumer" // KIP-848: the broker assigns, its group configuration rules the timeouts
)

// Config is what a member needs.
type Config struct {
	Kafka      kafka.Config
	Group      string
	ID         string // transactional id: no other's in the cluster, and the same after a restart
	Topic      string // that is read
	Protocol   string // ProtocolClassic or ProtocolConsumer
	Static     bool   // static membership, ProtocolClassic only
	Reach      *Reach // where the topic's partitions are read from
	Log        *slog.Logger
	Flush      time.Duration // 0: FlushTimeout
	EndTimeout time.Duration // 0: EndTimeout
	Idle       time.Duration // 0: IdleInterval
	// Oversized says that the owner answers batches that are too large to be unpacked:
	// see Member.Oversized. Otherwise they are as those that cannot be read.
	Oversized bool
	Options   []kgo.Opt // the client's, beyond what every member has
	// Resolve says why an error ends the process, nil when a new client may help.
	Resolve func(ctx context.Context, err error) error
}

// Member is one member of the group with transactions of its own.
type Member struct {
	config   Config
	client   atomic.Pointer[kgo.Client]
	throttle *kafka.Throttle
	stalled  atomic.Pointer[slowError] // the last transaction was aborted for it; nil: it was not
	polled   fetched                   // since the last turn; the turn's own
	brought  int                       // by the last poll, markers included
	// Batches that are to be answered without being unpacked; the turn's own.
	oversized map[int32]Oversized
	order     order
	lost      *atomic.Bool // whether the client at work has lost its partitions
}

// New returns a Member that is not running yet.
func New(c Config) *Member {
	if c.EndTimeout == 0 {
		c.EndTimeout = EndTimeout
	}
	if c.Idle == 0 {
		c.Idle = IdleInterval
	}
	if c.Flush == 0 {
		c.Flush = FlushTimeout
	}
	m := &Member{config: c, throttle: kafka.NewThrottle(nil), polled: fetched{to: map[int32]int64{}}, lost: new(atomic.Bool)}
	m.order.begin()
	return m
}

// Client is the client at work, nil while there is none.
func (m *Member) Client() *kgo.Client { return m.client.Load() }

// Ready says whether it is a member by now.
func (m *Member) Ready() error {
	client := m.client.Load()
	if client == nil {
		return errors.New("not connected to Kafka")
	}
	if _, generation := client.GroupMetadata(); generation < 0 {
		return fmt.Errorf("not a member of group %s yet", m.config.Group)
	}
	if slow := m.stalled.Load(); slow != nil {
		return slow
	}
	return nil
}

// Turn polls, works and commits once. It says whether it committed anything. An
// error is one that only a new client gets over, or none.
type Turn func(ctx context.Context, sess *kgo.GroupTransactSession) (committed bool, err error)

// Run takes turns with one client after another until ctx ends or nothing would
// help.
func (m *Member) Run(ctx context.Context, turn Turn) error {
	log := m.config.Log.With("transactional_id", m.config.ID)
	attempt := func(ctx context.Context) (worked bool, err error) { return m.work(ctx, turn) }
	return retry.Until(ctx, retry.Pause{First: firstPause, Max: maxPause}, attempt, func(err error, in time.Duration) error {
		if why := m.config.Resolve(ctx, err); why != nil {
			return why
		}
		if in == 0 {
			log.Warn("the last transaction was not committed: its records are read by the next owner", "error", err)
			return nil
		}
		log.Warn("starting again with a new client", "error", err, "in", in)
		return nil
	})
}

// open connects and stores the client, whose requests all end with ctx.
func (m *Member) open(ctx context.Context) (*kgo.GroupTransactSession, error) {
	c := m.config
	// The group may be joined before the client is returned.
	var client *kgo.Client
	returned := make(chan struct{})
	defer close(returned)
	lost := new(atomic.Bool)
	m.lost = lost
	opts := append(c.Kafka.Options(),
		kgo.WithContext(ctx),
		kgo.ConsumerGroup(c.Group),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { lost.Store(true) }),
		kgo.ConsumeTopics(c.Topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // see fetched
		kgo.SessionTimeout(SessionTimeout),
		kgo.HeartbeatInterval(HeartbeatInterval),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.FetchMaxWait(fetchWait),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtCommitted()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, o map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			<-returned
			return c.Reach.Adjust(ctx, client, o)
		}),
		kgo.TransactionalID(c.ID),
		kgo.TransactionTimeout(TransactionTimeout),
		kgo.WithHooks(m.throttle),
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
		opts = append(opts, kgo.InstanceID(c.ID))
	}
	sess, err := kgo.NewGroupTransactSession(append(opts, c.Options...)...)
	if err != nil {
		return nil, Permanent(err, "the Kafka client refuses its settings") // nothing was asked of the network yet
	}
	client = sess.Client()
	m.client.Store(client)
	return sess, nil
}

func (m *Member) leave(sess *kgo.GroupTransactSession, cut context.CancelFunc) {
	m.client.Store(nil)
	m.config.Reach.forget(sess.Client())
	Leave(sess, cut, m.config.Log.With("transactional_id", m.config.ID))
}

// Leave hands the partitions to the other members, which would otherwise wait
// for the session's timeout, and closes the client. Closing alone would leave the
// group too. But in the middle of a rebalance it waits for the slowest member, and a
// process that stops would be killed waiting: leaving first, for so long and no
// longer, is what bounds it. After that the client's requests are cut short.
func Leave(sess *kgo.GroupTransactSession, cut context.CancelFunc, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := sess.Client().LeaveGroupContext(ctx); err != nil && !errors.Is(err, kerr.UnknownMemberID) {
		log.Warn("could not leave the group", "error", err)
		cut()
	}
	sess.Close()
	cut()
}

// work takes turns with one client. worked says whether one committed anything.
func (m *Member) work(ctx context.Context, turn Turn) (worked bool, err error) {
	// SIGTERM must not reach the client: it finishes the transaction begun.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	sess, err := m.open(requests)
	if err != nil {
		cut()
		return false, err
	}
	defer m.leave(sess, cut)
	if err := m.take(ctx, sess.Client()); err != nil {
		if ctx.Err() != nil {
			return false, nil
		}
		return false, fmt.Errorf("taking transactional id %s: %w", m.config.ID, err)
	}
	m.polled.reset()
	m.oversized = map[int32]Oversized{}
	m.order.begin()
	defer m.order.end()
	for ctx.Err() == nil {
		committed, err := turn(ctx, sess)
		if err != nil {
			return worked, err
		}
		if committed || m.polled.records == 0 {
			m.config.Reach.pass(m.polled.to)
		}
		m.polled.reset()
		worked = worked || committed
	}
	return worked, nil
}

// take makes this process the holder of the transactional id before there is
// anything to write: what a predecessor left open is aborted at once, and a
// holder that still runs is fenced.
func (m *Member) take(ctx context.Context, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, m.config.EndTimeout)
	defer cancel()
	_, _, err := client.ProducerID(ctx)
	return err
}

// errLost says that a client is not in the group any more: its session timed out, say.
var errLost = errors.New("the group session has ended")

// lostWait is how long the client is asked why: it says so a moment after it has called back.
const lostWait = 100 * time.Millisecond

// whyLost is errLost with what the client says of it, or the error of one whose
// transactional id another process has taken meanwhile.
func (m *Member) whyLost(ctx context.Context, sess *kgo.GroupTransactSession) error {
	why := errLost
	ask, cancel := context.WithTimeout(ctx, lostWait)
	defer cancel()
	for why == errLost && ask.Err() == nil { //nolint:errorlint // it is that one, not wrapped
		for _, e := range sess.PollFetches(ask).Errors() {
			if session, ok := errors.AsType[*kgo.ErrGroupSession](e.Err); ok {
				why = fmt.Errorf("%w: %w", errLost, session)
			}
		}
	}
	return cmp.Or(m.holds(ctx, sess.Client()), why)
}

// Poll waits for something to read. Where nothing comes for a while, it looks
// whether another process has taken the transactional id: without a transaction
// there is nothing by which a broker would say so. An error is one that only a new
// client gets over, or none.
func (m *Member) Poll(ctx context.Context, sess *kgo.GroupTransactSession, limit int) (kgo.Fetches, error) {
	// The client calls back before it forgets its partitions. If End aborts in between, it
	// takes the loss for dealt with, and the client polls on: what it then reads is
	// committed without offsets, and answered again by the next owner.
	if m.lost.Load() {
		return nil, m.whyLost(ctx, sess)
	}
	m.forgetMoved(sess.Client())
	m.setBack(sess.Client())
	m.config.Reach.retry(ctx, sess.Client())
	m.config.Reach.lookForStalls(ctx, sess.Client())
	poll, cancel := context.WithTimeout(ctx, m.lookAgain(sess.Client(), m.config.Idle))
	fetches := sess.PollRecords(poll, limit)
	idle := poll.Err() != nil && ctx.Err() == nil && fetches.NumRecords() == 0
	cancel()
	if err := m.Polled(ctx, sess.Client(), fetches); err != nil || !idle {
		return fetches, err
	}
	return fetches, m.holds(ctx, sess.Client())
}

// holds looks whether the transactional id is still this client's, which must not
// be in a transaction: its own epoch grows with each. An error says that it is
// not; a look that fails says nothing.
func (m *Member) holds(ctx context.Context, client *kgo.Client) error {
	look, cancel := context.WithTimeout(ctx, holdsTimeout)
	defer cancel()
	id, epoch, err := client.ProducerID(look)
	if isFenced(err) {
		return err
	}
	if err != nil {
		return nil // the next transaction says what is wrong
	}
	all, err := kadm.NewClient(client).DescribeTransactions(look, m.config.ID)
	t := all[m.config.ID]
	if ctx.Err() != nil {
		return nil
	}
	if err = errors.Join(err, t.Err); err != nil {
		m.config.Log.Debug("cannot look who holds the transactional id", "transactional_id", m.config.ID, "error", err)
		return nil
	}
	if isAnothers(t, id, epoch) {
		return fmt.Errorf("transactional id %s is held by producer %d, epoch %d: %w", m.config.ID, t.ProducerID, t.ProducerEpoch, kerr.ProducerFenced)
	}
	return nil
}

// isAnothers says whether a transactional id is held by another than the producer
// that is given. A lower epoch is what a coordinator says that has not heard yet.
func isAnothers(t kadm.DescribedTransaction, id int64, epoch int16) bool {
	// While a transaction ends, the coordinator may already have answered with the
	// id and the epoch that it begins to hold when the markers are written.
	if !slices.Contains([]string{"Empty", "Ongoing", "CompleteCommit", "CompleteAbort"}, t.State) {
		return false
	}
	return t.ProducerID != id || t.ProducerEpoch > epoch
}

// Polled takes the markers of transactions out of what a poll brought. The error is
// what the errors of the poll ask for: nil, the client goes on.
func (m *Member) Polled(ctx context.Context, client *kgo.Client, fetches kgo.Fetches) error {
	return m.polledWithin(ctx, client, fetches, gapTimeout)
}

func (m *Member) polledWithin(ctx context.Context, client *kgo.Client, fetches kgo.Fetches, look time.Duration) error {
	m.takeOut(ctx, client, fetches, look)
	m.config.Reach.read(fetches)
	m.brought = fetches.NumRecords()
	m.polled.take(fetches)
	for _, e := range fetches.Errors() {
		if err := m.failed(ctx, client, e); err != nil {
			return err
		}
	}
	return nil
}

func (m *Member) failed(ctx context.Context, client *kgo.Client, e kgo.FetchError) error {
	loss, lost := errors.AsType[*kgo.ErrDataLoss](e.Err)
	switch {
	case e.Topic == "" && errors.Is(e.Err, context.DeadlineExceeded):
		return nil // nothing came while the poll was to wait
	case lost || errors.Is(e.Err, kerr.OffsetOutOfRange):
		at := int64(-1)
		if lost {
			at = loss.ConsumedTo
		}
		return m.config.Reach.fellOut(ctx, client, e.Partition, at)
	case m.tooLarge(e):
		return nil
	case kafka.IsUnreadable(e), kafka.IsFailing(e.Err): // the client would ask again at once, forever
		next := m.config.Reach.stop(ctx, client, e.Partition, e.Err)
		if _, set := m.order.back[e.Partition]; next >= 0 && !set {
			m.order.back[e.Partition] = next
		}
		return nil
	case passes(e.Err):
		if why := m.config.Resolve(ctx, e.Err); why != nil {
			return why
		}
		m.config.Log.Warn("reading "+m.config.Topic, "transactional_id", m.config.ID, "error", e.Err)
		return nil
	}
	return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
}

// More takes what has been fetched by now, within a transaction: it waits for
// nothing. An error is one that only a new client gets over, or none.
func (m *Member) More(ctx context.Context, sess *kgo.GroupTransactSession, limit int) (kgo.Fetches, error) {
	fetches := sess.PollRecords(nil, limit) //nolint:staticcheck // nil: nothing is waited for
	return fetches, m.polledWithin(ctx, sess.Client(), fetches, lookTimeout)
}

// Brought is how many records the last poll brought, with the markers that were
// taken out: as many as it was to bring where more are waiting.
func (m *Member) Brought() int { return m.brought }

// Pace waits while a quota keeps the client from producing: a transaction begun
// before would only hold back those who read. It says false when ctx ended first.
func (m *Member) Pace(ctx context.Context) bool {
	d := min(time.Until(m.throttle.Until()), maxPace)
	return d <= 0 || retry.Sleep(ctx, d)
}

// Imposed is the sum of all that quotas have imposed on what was produced.
func (m *Member) Imposed() time.Duration { return m.throttle.Imposed() }

// Produce hands records to the client, each with a promise of its own. An error
// aborts the transaction.
type Produce func(ctx context.Context, promise func() func(*kgo.Record, error)) error

// Commit writes what produce hands to the client and ends the transaction, all
// within EndTimeout and whatever becomes of ctx. cause is produce's error or the
// first record's that failed: the transaction is then aborted, for its offsets would
// otherwise be committed without it. So it is where Kafka takes longer than
// FlushTimeout: IsSlow. Where neither is said the group rebalanced, and what was
// polled is polled again by its owner.
func (m *Member) Commit(ctx context.Context, sess *kgo.GroupTransactSession, now func() time.Time, produce Produce) (committed bool, cause, err error) {
	committed, cause, err = m.commit(ctx, sess, now, produce, nil)
	if !committed {
		m.fetchAgain(sess.Client())
	}
	return committed, cause, err
}

// commit is Commit; also, where it is not nil, commits more in the transaction.
func (m *Member) commit(ctx context.Context, sess *kgo.GroupTransactSession, now func() time.Time, produce Produce, also func(context.Context) error) (committed bool, cause, err error) {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.config.EndTimeout)
	defer cancel()
	began, imposed := now(), m.throttle.Imposed()
	committed, cause, err = transact(m.notBeyond(end), sess, m.config.Flush, produce, also)
	if committed {
		m.setBack(sess.Client())
	} else {
		m.fetchAborted(sess.Client())
		m.order.abort()
	}
	slow, _ := errors.AsType[*slowError](cause)
	if slow != nil {
		slow.throttle = max(m.throttle.Imposed()-imposed, time.Until(m.throttle.Until()))
	}
	if committed || slow != nil {
		m.stalled.Store(slow)
	}
	if end.Err() != nil && !committed {
		return false, nil, Permanent(both(cause, err), "a transaction did not end within %s; the broker aborts it", m.config.EndTimeout)
	}
	if took := now().Sub(began); took > TransactionTimeout && (isFenced(err) || isFenced(cause)) {
		return false, nil, &lateError{took, both(cause, err)}
	}
	if err != nil {
		return false, nil, both(cause, err)
	}
	return committed, cause, nil
}

// Transact puts what produce hands in and the offsets into one transaction and ends
// it. cause is produce's error or the first record's that failed, or that Kafka took
// longer than FlushTimeout: the transaction is then aborted, for its offsets would
// otherwise be committed without it.
func Transact(ctx context.Context, sess *kgo.GroupTransactSession, produce Produce) (committed bool, cause, err error) {
	return transact(ctx, sess, FlushTimeout, produce, nil)
}

func transact(ctx context.Context, sess *kgo.GroupTransactSession, within time.Duration, produce Produce, also func(context.Context) error) (committed bool, cause, err error) {
	if err := sess.Begin(); err != nil {
		return false, nil, err
	}
	flush, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	failed := kgo.AbortingFirstErrPromise(sess.Client())
	cause = produce(flush, failed.Promise)
	if cause == nil {
		cause = sess.Client().Flush(flush)
	}
	if cause == nil {
		cause = failed.Err() // it waits for whatever is underway: nothing is
	}
	if cause != nil && flush.Err() != nil && ctx.Err() == nil {
		cause = &slowError{within: within, err: cause}
		// What is underway has to be answered before the transaction can be aborted;
		// where it is not, a new client aborts it by taking the transactional id.
		abort, cancel := context.WithTimeout(ctx, abortTimeout)
		defer cancel()
		_, err = sess.End(abort, kgo.TryAbort)
		return false, cause, onOneLine(err)
	}
	if cause == nil && also != nil {
		cause = also(ctx)
	}
	committed, err = sess.End(ctx, kgo.TransactionEndTry(cause == nil))
	return committed, cause, onOneLine(err)
}

// RequireProtocol fails where the cluster cannot do what a group protocol takes.
func RequireProtocol(ctx context.Context, adm *kadm.Client, protocol string) error {
	if protocol != ProtocolConsumer {
		return nil
	}
	// The client would quietly use the classic protocol instead.
	has, err := kafka.ServerSideGroups(ctx, adm)
	if err == nil && !has {
		err = Permanent(nil, "group protocol %s takes Kafka 4; set --group-protocol %s", ProtocolConsumer, ProtocolClassic)
	}
	return err
}
