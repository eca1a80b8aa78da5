package view

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

const (
	sessionTimeout = 10 * time.Second
	// What one round trip to Redis carries: some 5 MB.
	maxBatch = 4_000
	// How often a quiet view looks whether Redis still has what was written.
	checkInterval = time.Second
)

// Latencies take how long predictions took to be readable.
type Latencies interface {
	Observe(took time.Duration, n int) // n of them
}

// Config is what the view needs.
type Config struct {
	Kafka     kafka.Config
	Topics    schemas.Topics
	Codec     *wire.Codec // nil: JSON only
	Redis     redis.UniversalClient
	Group     member.Names
	Lifetimes Lifetimes
	TakeOver  bool // a rebuild replaces the view of another cluster's log
	Log       *slog.Logger
	SkipAvro  bool      // Rebuild leaves out values in Avro where Codec has no registry; otherwise they end it
	Latencies Latencies // from decided_at until it can be read; nil: nobody asks
	// Gather is how long a fetch waits for more to come, so that one round trip to Redis
	// writes more; 0: it does not.
	Gather     time.Duration
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now

	batch int           // records one round trip carries at most; 0: maxBatch
	retry time.Duration // between one attempt at what cannot be read and the next; 0: checkInterval
	ends  time.Duration // between one look at where predictions end and the next; 0: endsInterval
}

// View is the component that follows the predictions topic into Redis.
type View struct {
	config  Config
	store   *Store
	metrics *metrics
	outage  outage
	open    *kafka.OpenWatch

	group string // what it goes by, see member.Names; "" until it is settled

	mu      sync.Mutex
	session *session // the one at work; nil: none
}

// New returns a View that is not running yet.
func New(c Config) (*View, error) {
	if c.Group.Group == "" {
		return nil, errors.New("the view needs a group")
	}
	if c.Lifetimes.Prediction <= 0 || c.Lifetimes.Decided <= 0 {
		return nil, fmt.Errorf("the view keeps predictions for %s and decisions for %s: expected more than nothing", c.Lifetimes.Prediction, c.Lifetimes.Decided)
	}
	c = c.withDefaults()
	v := &View{config: c, store: NewStore(c.Redis, c.Kafka.Prefix), metrics: newMetrics(c.Registerer)}
	v.outage = outage{log: c.Log, errors: v.metrics.redisErrors}
	v.open = kafka.NewOpenWatch(kafka.OpenWatchConfig{
		Component: "view", Topic: c.Topics.Predictions, Log: c.Log, Registerer: c.Registerer, Now: c.Now, Since: c.Kafka.Since,
	})
	return v, nil
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.batch == 0 {
		c.batch = maxBatch
	}
	if c.retry == 0 {
		c.retry = checkInterval
	}
	if c.ends == 0 {
		c.ends = endsInterval
	}
	return c
}

// Name is part of lifecycle.Component.
func (*View) Name() string { return "view" }

// Ready says whether Redis shows everything that the log held when this replica
// took its partitions over.
func (v *View) Ready() error {
	if err := v.outage.current(); err != nil {
		return err
	}
	v.mu.Lock()
	s := v.session
	v.mu.Unlock()
	if s == nil {
		return errors.New("not connected to Kafka")
	}
	return s.ready()
}

// Pending says which predictions wait behind transactions that were left open; the
// others are shown.
func (v *View) Pending() error { return v.open.Pending() }

// Reached is up to which offset Redis shows each partition that this replica follows.
func (v *View) Reached() map[int32]int64 {
	v.mu.Lock()
	s := v.session
	v.mu.Unlock()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := make(map[int32]int64, len(s.positions))
	for p, position := range s.positions {
		at[p] = position.next
	}
	return at
}

// Run follows the topic until ctx ends, with one session after another.
func (v *View) Run(ctx context.Context) error {
	attempt := func(ctx context.Context) (got bool, err error) {
		worked, err := v.work(ctx)
		_, behind := errors.AsType[*behindError](err)
		return behind || worked, err
	}
	return retry.Until(ctx, retry.Pause{First: 100 * time.Millisecond, Max: 5 * time.Second}, attempt, func(err error, in time.Duration) error {
		if in == 0 {
			v.config.Log.Debug("stopped within a batch, the next owner reads it again", "error", err)
			return nil
		}
		if why := v.fatal(err); why != nil {
			return why
		}
		v.config.Log.Warn("starting again", "error", v.config.Kafka.Explain(err), "in", in)
		return nil
	})
}

// work follows the topic with one client. worked says whether it wrote anything.
func (v *View) work(ctx context.Context) (worked bool, err error) {
	s, err := openSession(ctx, v)
	if err != nil {
		return false, err
	}
	v.mu.Lock()
	v.session = s
	v.mu.Unlock()
	watching, stopWatching := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { s.watch(watching) })
	defer func() {
		stopWatching()
		watch.Wait()
		v.mu.Lock()
		v.session = nil
		v.mu.Unlock()
		s.client.Close() // commits what was marked
		s.places.Close()
		v.open.Look(ctx, nil)
		v.metrics.lag.Reset()
		v.metrics.refilling.Set(0)
	}()
	checked := v.config.Now()
	for {
		poll, cancel := context.WithTimeout(ctx, min(checkInterval, v.config.retry))
		fetches := s.client.PollRecords(poll, v.config.batch)
		cancel()
		if ctx.Err() != nil {
			return worked, nil
		}
		var outside []kgo.FetchError
		broken := map[int32]kgo.FetchError{}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.DeadlineExceeded) || kerr.IsRetriable(e.Err) {
				continue
			}
			if kafka.IsUnreadable(e) || kafka.IsFailing(e.Err) {
				broken[e.Partition] = e // behind the records that came with it
				continue
			}
			if kafka.IsOutside(e.Err) {
				outside = append(outside, e)
				continue
			}
			return worked, fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		unseen := s.takeOut(ctx, fetches, broken)
		if ctx.Err() != nil {
			return worked, nil
		}
		if fetches.NumRecords() > 0 {
			if err := s.write(ctx, fetches); err != nil {
				return worked, err
			}
			worked = true
		}
		for _, e := range unseen { // behind the records that came before
			s.lookAgain(e)
		}
		for _, e := range outside {
			if err := s.comeBack(ctx, e); err != nil {
				return worked, err
			}
		}
		s.blame(ctx, broken)
		for _, e := range broken {
			if err := s.cannotRead(ctx, e); err != nil {
				return worked, err
			}
		}
		if now := v.config.Now(); fetches.NumRecords() == 0 || now.Sub(checked) >= checkInterval {
			checked = now
			s.tryAgain(ctx)
			if err := s.lookForStalls(ctx); err != nil {
				return worked, err
			}
			if err := s.check(ctx); err != nil {
				return worked, err
			}
		}
	}
}

// fatal says why an error ends the process, nil when a new client may help.
func (v *View) fatal(err error) error {
	topic := v.config.Topics.Predictions
	switch {
	case retry.IsPermanent(err):
		return err
	case redisconn.Refused(err):
		return redisconn.Explain(err)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return fmt.Errorf("not authorised: needs READ on topic %s: %w", topic, err)
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return fmt.Errorf("not authorised: needs READ on group %s: %w", cmp.Or(v.group, v.config.Group.Group), err)
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return fmt.Errorf("topic %s is gone; run: creditstream topics apply%s: %w", topic, v.config.Kafka.Flags(), err)
	case kafka.Refused(err):
		return v.config.Kafka.Explain(err)
	}
	return nil
}

// logNumber is a topic's id, short.
func logNumber(id [16]byte) uint32 { return binary.BigEndian.Uint32(id[:4]) }
