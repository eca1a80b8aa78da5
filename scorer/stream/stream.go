// Package stream is the exactly-once loop around the scorer: committed
// applications in; predictions, dead letters and offsets out, in one transaction.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

const (
	// About what a large transaction takes to produce: the first part of it is on
	// its way while the last is made.
	lingerTime = 10 * time.Millisecond
	// fetchBytes is how much one fetch of a broker brings, packed, of all its partitions:
	// the client holds it unpacked, which is most of the memory that a backlog takes. About
	// as much as a transaction may hold; of one partition a fetch brings 1 MiB at most.
	fetchBytes = 3 << 19
	// How long a session rests after a transaction of fewer than quietBatch
	// applications. Kafka writes a transaction's markers after it has answered its
	// end; what is produced before they are there is put off by the broker, 20 ms by
	// default (add.partitions.to.txn.retry.backoff.ms).
	restTime   = 3 * time.Millisecond
	quietBatch = 1_000
	// What one transaction may hold when there is a backlog.
	maxBatch = 20_000
)

// Latencies take how long decisions took.
type Latencies interface {
	Observe(took time.Duration, n int) // n of them
}

// Config is what the loop needs.
type Config struct {
	Kafka      kafka.Config
	Topics     schemas.Topics
	Group      member.Names
	Instance   string                      // unique in the group, the same after a restart
	Sessions   int                         // transactional sessions of this process, at least 1
	Protocol   string                      // member.ProtocolClassic or member.ProtocolConsumer
	Static     bool                        // static membership, member.ProtocolClassic only
	Skips      []member.Skip               // batches that cannot be read, to be passed over at the start
	From       kafka.From                  // the zero value refuses to guess once predictions from the stream exist
	Claim      func(context.Context) error // waits until no other process works as this instance; nil: nobody asks
	Codec      *wire.Codec                 // nil: JSON only
	Live       func() *model.LiveSet       // nil result: nothing serves yet; once it is not nil it stays so
	Log        *slog.Logger
	Latencies  Latencies // from applied_at to the commit; nil: nobody asks
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now
}

// Scorer is the component.
type Scorer struct {
	config       Config
	group        string // what it goes by, see member.Names; settled before there are sessions
	metrics      *metrics
	open         *kafka.OpenWatch
	reach        *member.Reach
	limits       *limits
	link         member.Link // what sessions learn of how much Kafka takes
	flushTimeout time.Duration
	schemaTime   time.Duration // that a schema is waited for within a transaction
	pollSize     int           // 0: maxPoll
	endTimeout   time.Duration
	idle         time.Duration
	lagInterval  time.Duration
	scanQuiet    time.Duration // how long nothing may come of predictions before they are looked at

	mu       sync.Mutex // guards what follows
	sessions []*session
	why      error // why it is not ready beyond what its sessions say
	away     error // why Kafka could not be asked the last time
	avro     int   // dead letters in Avro that were not told of yet
	told     time.Time
}

// New returns a Scorer that is not running yet.
func New(c Config) (*Scorer, error) {
	switch {
	case c.Group.Group == "" || c.Instance == "" || c.Sessions < 1:
		return nil, errors.New("the scorer needs a group, an instance and at least one session")
	case c.Protocol != member.ProtocolClassic && c.Protocol != member.ProtocolConsumer:
		return nil, fmt.Errorf("group protocol %q: expected %s or %s", c.Protocol, member.ProtocolClassic, member.ProtocolConsumer)
	case c.Static && c.Protocol != member.ProtocolClassic:
		return nil, fmt.Errorf("static membership needs group protocol %s: with %s a killed member's id stays taken until its session expires", member.ProtocolClassic, c.Protocol)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	m := newMetrics(c.Registerer)
	s := &Scorer{
		config: c, group: c.Group.Group, metrics: m, limits: newLimits(c.Topics), flushTimeout: member.FlushTimeout, schemaTime: growTime, endTimeout: member.EndTimeout, idle: member.IdleInterval, lagInterval: member.LagInterval, scanQuiet: scanQuiet, why: errors.New("starting"),
	}
	s.open = kafka.NewOpenWatch(kafka.OpenWatchConfig{
		Component: "score", Topic: c.Topics.Applications, Log: c.Log, Registerer: c.Registerer, Now: c.Now, Since: c.Kafka.Since,
	})
	s.reach = s.newReach(member.RetryInterval)
	return s, nil
}

// newReach tries what cannot be read again after a while.
func (s *Scorer) newReach(retry time.Duration) *member.Reach {
	c, m := s.config, s.metrics
	return member.NewReach(member.ReachConfig{
		Group: s.group, Topic: c.Topics.Applications, Log: c.Log, Retry: retry, Lag: m.lag, Unreachable: m.unreachable, Unreadable: m.unreadable,
		Removed: m.removed, Open: s.open,
	})
}

// Name is part of lifecycle.Component.
func (*Scorer) Name() string { return "scorer" }

// Ready says whether every session is a member of the group and a model serves.
// A partition that is stopped does not make it unready while others go on.
func (s *Scorer) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != nil {
		return s.why
	}
	if s.away != nil {
		return s.away
	}
	if s.reach.Stuck() {
		why := "the next offset is outside the log (metric creditstream_scorer_unreachable_offsets)"
		if unreadable := s.reach.Stopped(); unreadable != "" {
			why = unreadable + " (metric creditstream_scorer_unreadable_offsets)"
		}
		return errors.New("every partition of this replica is stopped: " + why)
	}
	if s.config.Live() == nil {
		return errors.New("no model serves: release one and route to it, or set --model shipped")
	}
	for _, one := range s.sessions {
		if err := one.member.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// Pending says which applications wait behind transactions that their producers have
// left open, and which partitions have stopped at a batch that cannot be read; the
// others are answered.
func (s *Scorer) Pending() error { return errors.Join(s.open.Pending(), s.reach.Waits()) }

// note says why the scorer is not ready.
func (s *Scorer) note(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = why
}

// tellInterval is how often it is said that applications cannot be read.
const tellInterval = time.Minute

// unread tells now and then of applications in Avro, which take a registry that was
// not named: teams may have changed over to it before this process has.
func (s *Scorer) unread(n int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.avro += n
	if !s.told.IsZero() && now.Sub(s.told) < tellInterval {
		return
	}
	s.config.Log.Warn("applications in Avro go to the dead letters: to read them, set --schema-registry; dlq replay hands them in again",
		"applications", s.avro, "topic", s.config.Topics.Applications)
	s.avro, s.told = 0, now
}

// Run scores until ctx ends, then finishes the transactions it has begun.
func (s *Scorer) Run(ctx context.Context) error {
	if err := s.run(ctx); err != nil {
		s.note(err)
		return err
	}
	return nil
}

func (s *Scorer) run(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	members := make([]*member.Member, s.config.Sessions)
	var workers []func(context.Context) error
	s.mu.Lock()
	for i := range members {
		one := newSession(s, s.needs().TransactionalID(strconv.Itoa(i)))
		s.sessions, members[i], workers = append(s.sessions, one), one.member, append(workers, one.run)
	}
	s.why = nil
	s.mu.Unlock()
	return member.Together(ctx, s.note, append(workers, func(ctx context.Context) error {
		return s.reach.Watch(ctx, s.lagInterval, members, s.resolve, func(err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.away = err
		})
	})...)
}

// needs is what the scorer's errors name.
func (s *Scorer) needs() member.Needs {
	c, t := s.config, s.config.Topics
	return member.Needs{
		Who: "scorer", Kafka: c.Kafka, Group: s.group, Instance: c.Instance,
		Reads: []string{t.Applications}, Writes: []string{t.Predictions, t.DLQ},
	}
}

func (s *Scorer) fatal(err error) error { return s.needs().Fatal(err) }

func (s *Scorer) resolve(ctx context.Context, err error) error { return s.needs().Resolve(ctx, err) }
