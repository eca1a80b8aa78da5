// Package aggregate is the exactly-once loop around drift/counting: it reads decisions
// and outcomes, and puts panes and offsets into one transaction, so that no state is
// kept but the log.
package aggregate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// DefaultPast is how far back a group that has no commits begins, unless it is told
// otherwise: as far as the longest window reaches, so that every window is whole
// from the start.
const DefaultPast = 24 * time.Hour

// DefaultLateAfter is when an outcome is late: figures of outcomes tell of the past
// by as much.
const DefaultLateAfter = 7 * 24 * time.Hour

// commitInterval is how long what was counted waits for its commit. A backlog does
// not wait: its transactions are as large as what comes within that time.
const commitInterval = time.Second

// skipAfter is how often a batch that cannot be read is tried before it is skipped:
// figures of what can be read are worth more than none.
const skipAfter = 3

// Config is what an Aggregator needs.
type Config struct {
	Kafka      kafka.Config
	Topics     schemas.Topics
	Group      member.Names
	Instance   string // unique in the group, the same after a restart
	Sessions   int    // that count predictions; one more counts outcomes
	Protocol   string // member.ProtocolClassic or member.ProtocolConsumer
	Static     bool   // static membership, member.ProtocolClassic only
	From       kafka.From
	Bucket     time.Duration               // of decided_at, whole seconds; no pane reaches across
	LateAfter  time.Duration               // from when an outcome was observed until the log took it; 0: DefaultLateAfter
	Claim      func(context.Context) error // waits until no other process works as this instance; nil: nobody asks
	Codec      *wire.Codec                 // nil: JSON only
	Live       func() *model.LiveSet       // nil result: nothing serves yet; once it is not nil it stays so
	Decisions  Decisions                   // what outcomes are joined with
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now

	interval time.Duration // 0: commitInterval
	retry    time.Duration // at what cannot be read; 0: member.RetryInterval
}

// Aggregator is the component.
type Aggregator struct {
	config      Config
	group       string // what it goes by, see member.Names; settled before there are members
	metrics     *metrics
	predictions *member.Reach
	outcomes    *member.Reach
	open        []*kafka.OpenWatch
	lagInterval time.Duration
	unread      wire.Unread

	mu      sync.Mutex // guards what follows
	members []*member.Member
	why     error            // why it is not ready beyond what its members say
	away    map[string]error // why Kafka could not be asked the last time, by topic
	waits   error            // what outcomes wait for
}

// New returns an Aggregator that is not running yet.
func New(c Config) (*Aggregator, error) {
	switch {
	case c.Group.Group == "" || c.Instance == "" || c.Sessions < 1:
		return nil, errors.New("the aggregator needs a group, an instance and at least one session")
	case c.Bucket < time.Second || c.Bucket%time.Second != 0:
		return nil, fmt.Errorf("bucket %s: expected whole seconds, at least one", c.Bucket)
	case c.Static && c.Protocol != member.ProtocolClassic:
		return nil, fmt.Errorf("static membership needs group protocol %s", member.ProtocolClassic)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.LateAfter == 0 {
		c.LateAfter = DefaultLateAfter
	}
	if c.interval == 0 {
		c.interval = commitInterval
	}
	m := newMetrics(c.Registerer)
	var open []*kafka.OpenWatch
	reach := func(topic string) *member.Reach {
		of := prometheus.Labels{"topic": topic}
		watch := kafka.NewOpenWatch(kafka.OpenWatchConfig{
			Component: "drift", Topic: topic, Log: c.Log, Registerer: c.Registerer, Now: c.Now, Since: c.Kafka.Since,
		})
		open = append(open, watch)
		return member.NewReach(member.ReachConfig{
			Group: c.Group.Group, Topic: topic, Log: c.Log, Skips: skipAfter, Retry: c.retry,
			Lag: m.lag.MustCurryWith(of), Unreachable: m.unreachable.MustCurryWith(of), Unreadable: m.unreadable.MustCurryWith(of),
			Removed: m.removed.MustCurryWith(of), Open: watch,
		})
	}
	a := &Aggregator{
		config: c, group: c.Group.Group, metrics: m, predictions: reach(c.Topics.Predictions), outcomes: reach(c.Topics.Outcomes), lagInterval: member.LagInterval,
		why: errors.New("starting"), away: map[string]error{},
	}
	a.open = open
	return a, nil
}

// Name is part of lifecycle.Component.
func (*Aggregator) Name() string { return "drift" }

// Ready says whether every session is a member of the group.
func (a *Aggregator) Ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.why != nil {
		return a.why
	}
	for _, err := range a.away {
		if err != nil {
			return err
		}
	}
	for topic, r := range map[string]*member.Reach{a.config.Topics.Predictions: a.predictions, a.config.Topics.Outcomes: a.outcomes} {
		if stopped := r.Waits(); r.Stuck() && stopped != nil {
			return fmt.Errorf("every partition of %s that this replica owns is stopped: %w", topic, stopped)
		}
		if r.Stuck() {
			return fmt.Errorf("every partition of %s that this replica owns is stopped: the next offset is outside the log (metric creditstream_drift_unreachable_offsets)", topic)
		}
	}
	for _, m := range a.members {
		if err := m.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// Pending says what outcomes wait for, and what waits behind transactions that were left
// open; the rest is counted.
func (a *Aggregator) Pending() error {
	a.mu.Lock()
	waits := []error{a.waits}
	a.mu.Unlock()
	for _, w := range a.open {
		waits = append(waits, w.Pending())
	}
	for _, r := range []*member.Reach{a.predictions, a.outcomes} {
		waits = append(waits, r.Waits())
	}
	return errors.Join(waits...)
}

func (a *Aggregator) note(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.why = why
}

// Run counts until ctx ends, then finishes the transactions it has begun. What was
// counted and is in none is counted again by the next owner.
func (a *Aggregator) Run(ctx context.Context) error {
	if err := a.run(ctx); err != nil {
		a.note(err)
		return err
	}
	return nil
}

func (a *Aggregator) run(ctx context.Context) error {
	if err := member.Patiently(ctx, a.config.Log, a.tryPrepare, a.needs().Fatal, a.note); err != nil {
		return err
	}
	// A member that has no bins must not hold partitions that another could count.
	for a.config.Live() == nil {
		a.note(errNoModel)
		if !retry.Sleep(ctx, livePause) {
			return nil
		}
	}
	var workers []func(context.Context) error
	var counters, joiners []*member.Member
	for i := range a.config.Sessions {
		s := newPredictions(a, a.needs().TransactionalID(strconv.Itoa(i)))
		counters, workers = append(counters, s.member), append(workers, s.run)
	}
	j := newOutcomes(a, a.needs().TransactionalID("outcomes"))
	joiners, workers = append(joiners, j.member), append(workers, j.run)
	workers = append(workers, a.watch(a.predictions, a.config.Topics.Predictions, counters), a.watch(a.outcomes, a.config.Topics.Outcomes, joiners))
	a.mu.Lock()
	a.members = slices.Concat(counters, joiners)
	a.why = nil
	a.mu.Unlock()
	return member.Together(ctx, a.note, workers...)
}

var errNoModel = errors.New("no model serves, over whose reference decisions are counted: release one and route to it, or set --model shipped")

// livePause is between looks for a model.
const livePause = 50 * time.Millisecond

func (a *Aggregator) watch(r *member.Reach, topic string, members []*member.Member) func(context.Context) error {
	return func(ctx context.Context) error {
		return r.Watch(ctx, a.lagInterval, members, a.needs().Resolve, func(err error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.away[topic] = err
		})
	}
}

func (a *Aggregator) tryPrepare(ctx context.Context) error {
	if a.config.Claim != nil {
		if err := a.config.Claim(ctx); err != nil {
			return err
		}
	}
	client, err := a.config.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	needs := a.needs()
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(needs.Reads...), kafka.Writes(needs.Writes...)); err != nil {
		return err
	}
	if err := member.RequireProtocol(ctx, adm, a.config.Protocol); err != nil {
		return err
	}
	from := a.config.From
	if from == (kafka.From{}) {
		from.Time = a.config.Now().Add(-DefaultPast)
	}
	if a.group, err = a.config.Group.Settle(ctx, adm, a.config.Log, needs.Reads...); err != nil {
		return err
	}
	a.predictions.Of(a.group)
	a.outcomes.Of(a.group)
	for topic, reach := range map[string]*member.Reach{a.config.Topics.Predictions: a.predictions, a.config.Topics.Outcomes: a.outcomes} {
		err := reach.Begin(ctx, adm, from.End, func(ctx context.Context) (kadm.ListedOffsets, error) {
			return from.Offsets(ctx, adm, topic)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// needs is what the aggregator's errors name.
func (a *Aggregator) needs() member.Needs {
	c, t := a.config, a.config.Topics
	return member.Needs{
		Who: "drift aggregator", Kafka: c.Kafka, Group: a.group, Instance: c.Instance,
		Reads: []string{t.Predictions, t.Outcomes}, Writes: []string{t.DriftPanes},
	}
}
