package tail

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Decision is a prediction as a page shows it.
type Decision struct {
	ApplicationID      string            `json:"application_id"`
	DecidedAt          schemas.Timestamp `json:"decided_at"`
	Channel            string            `json:"channel"`
	Decision           string            `json:"decision"`
	DefaultProbability float32           `json:"default_probability"`
	Points             int32             `json:"points"`
	Reasons            []schemas.Reason  `json:"reasons"` // most adverse first
	ModelVersion       string            `json:"model_version"`
	Route              string            `json:"route"`
}

// Totals count what a feed has seen.
type Totals struct {
	Since      time.Time        `json:"since"`
	Decisions  int64            `json:"decisions"`
	ByDecision map[string]int64 `json:"by_decision"`
	ByChannel  map[string]int64 `json:"by_channel"`
	PerSecond  float64          `json:"per_second"` // over the last whole seconds, at most rateSeconds
}

// Snapshot is what a page shows first.
type Snapshot struct {
	Totals
	Recent []Decision `json:"recent"` // newest first
}

// Update is what a subscriber has not been told yet.
type Update struct {
	Totals
	Decisions []Decision `json:"decisions"` // newest first, a sample
}

const (
	// How many decisions a feed remembers.
	keep = 50
	// What the rate is taken over.
	rateSeconds = 5
	// How often a subscriber hears of something new, at most.
	updateInterval = 250 * time.Millisecond
	// How often a feed looks whether the topic has more partitions.
	partitionsInterval = 30 * time.Second
)

// FeedConfig is what a Feed needs.
type FeedConfig struct {
	Kafka  kafka.Config
	Topics schemas.Topics
	Codec  *wire.Codec // nil: JSON only
	Log    *slog.Logger
	Now    func() time.Time // nil: time.Now

	lookInterval time.Duration // between looks whether there are more partitions; 0: partitionsInterval
}

// Feed follows predictions from the end of the log on and tells a page what is
// going on. It is a lifecycle.Component.
type Feed struct {
	config FeedConfig

	mu      sync.Mutex // guards what follows
	reading bool
	totals  Totals
	recent  [keep]Decision // number n lies at n % keep
	seconds [rateSeconds + 1]struct{ second, n int64 }
}

// NewFeed returns a Feed that is not running yet.
func NewFeed(c FeedConfig) *Feed {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.lookInterval == 0 {
		c.lookInterval = partitionsInterval
	}
	return &Feed{config: c, totals: Totals{Since: c.Now(), ByDecision: map[string]int64{}, ByChannel: map[string]int64{}}}
}

// Name is part of lifecycle.Component.
func (*Feed) Name() string { return "feed" }

// Ready is part of lifecycle.Component.
func (f *Feed) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.reading {
		return errors.New("not reading predictions")
	}
	return nil
}

// Run is part of lifecycle.Component. After an error it goes on at the end the
// log has then: a page shows what is going on now.
func (f *Feed) Run(ctx context.Context) error {
	attempt := func(ctx context.Context) (read bool, err error) {
		defer f.setReading(false)
		return f.follow(ctx)
	}
	return retry.Until(ctx, retry.Pause{First: 100 * time.Millisecond, Max: 5 * time.Second}, attempt, func(err error, in time.Duration) error {
		if in == 0 {
			f.config.Log.Debug("stopped while connecting", "error", err)
			return nil
		}
		if kafka.IsPermanent(err) {
			return f.config.Kafka.Explain(err)
		}
		f.config.Log.Warn("reading predictions again", "error", f.config.Kafka.Explain(err), "in", in)
		return nil
	})
}

func (f *Feed) follow(ctx context.Context) (read bool, err error) {
	r, err := open(ctx, f.config.Kafka, f.config.Topics.Predictions, kafka.From{}, true)
	if err != nil {
		return false, err
	}
	defer r.client.Close()
	f.setReading(true)
	var p schemas.Prediction
	looked := f.config.Now()
	for {
		fetches, broken, err := r.poll(ctx, min(quiet, f.config.lookInterval))
		if ctx.Err() != nil {
			return read, nil
		}
		if err != nil {
			return read, err
		}
		now := f.config.Now()
		if now.Sub(looked) >= f.config.lookInterval {
			looked = now
			if err := r.grown(ctx); err != nil {
				return read, err
			}
		}
		for i := fetches.RecordIter(); !i.Done(); {
			record := i.Next()
			r.next[record.Partition] = record.Offset + 1
			// What is no prediction is for the view to report.
			if !record.Attrs.IsControl() && f.config.Codec.DecodePrediction(ctx, record.Value, &p) == nil {
				f.add(&p, now)
				read = true
			}
		}
		err = r.passOver(ctx, broken, func(u *kafka.UnreadableError) error {
			f.config.Log.Warn("left out: a batch cannot be read", "topic", u.Topic, "partition", u.Partition, "offset", u.From, "next", u.To, "error", u.Err)
			return nil
		})
		if ctx.Err() != nil {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
}

func (f *Feed) setReading(reading bool) {
	f.mu.Lock()
	f.reading = reading
	f.mu.Unlock()
}

// add takes one prediction in. It does not know who subscribes: nobody can hold
// it up.
func (f *Feed) add(p *schemas.Prediction, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// The place of the decision that falls out is used again, but for its
	// reasons: those have been handed out.
	reasons := slices.Clone(p.Reasons)
	f.recent[f.totals.Decisions%keep] = Decision{
		ApplicationID: p.ApplicationID, DecidedAt: p.DecidedAt, Channel: p.Channel, Decision: p.Decision,
		DefaultProbability: p.DefaultProbability, Points: p.Points, Reasons: reasons,
		ModelVersion: p.ModelVersion, Route: p.Route,
	}
	f.totals.Decisions++
	f.totals.ByDecision[p.Decision]++
	f.totals.ByChannel[p.Channel]++
	second := now.Unix()
	s := &f.seconds[second%int64(len(f.seconds))]
	if s.second != second {
		s.second, s.n = second, 0
	}
	s.n++
}

// Snapshot is the state at this moment.
func (f *Feed) Snapshot() Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Snapshot{f.total(), f.latest()}
}

// total copies the totals. f.mu is held.
func (f *Feed) total() Totals {
	t := f.totals
	t.ByDecision, t.ByChannel = maps.Clone(t.ByDecision), maps.Clone(t.ByChannel)
	now := f.config.Now()
	var n int64
	for _, s := range f.seconds {
		if age := now.Unix() - s.second; age >= 1 && age <= rateSeconds {
			n += s.n
		}
	}
	if over := min(int64(rateSeconds), now.Unix()-t.Since.Unix()); over > 0 {
		t.PerSecond = float64(n) / float64(over)
	}
	return t
}

// latest are the decisions that are remembered, newest first. f.mu is held.
func (f *Feed) latest() []Decision {
	n := min(keep, f.totals.Decisions)
	latest := make([]Decision, 0, n)
	for i := range n {
		latest = append(latest, f.recent[(f.totals.Decisions-1-i)%keep])
	}
	return latest
}

// Subscribe returns the state at this moment, and tells what a subscriber that
// has it does not know until ctx ends, which closes the channel: up to four
// updates a second with at most perSecond decisions between them, the newest
// first. What was too much to tell follows when less comes, as long as it is
// among those a Snapshot would have: once nothing comes, the subscriber knows
// them all. One that is slow to receive finds only the latest update.
func (f *Feed) Subscribe(ctx context.Context, perSecond int) (Snapshot, <-chan Update) {
	updates := make(chan Update, 1)
	first := f.Snapshot()
	s := subscriber{totals: first.Totals}
	for n := first.Decisions - int64(len(first.Recent)); n < first.Decisions; n++ {
		s.told[n%keep] = n + 1
	}
	go func() {
		defer close(updates)
		ticker := time.NewTicker(updateInterval)
		defer ticker.Stop()
		var allowance float64 // decisions that may be told
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			allowance = min(allowance+float64(perSecond)*updateInterval.Seconds(), float64(max(1, perSecond)))
			select {
			case missed := <-updates:
				allowance += float64(len(missed.Decisions))
				s.missed()
			default:
			}
			u, changed := f.since(&s, int64(allowance))
			if !changed {
				continue
			}
			allowance -= float64(len(u.Decisions))
			updates <- u // there is room: only this goroutine sends
		}
	}()
	return first, updates
}

// subscriber is what one has been told.
type subscriber struct {
	totals Totals
	told   [keep]int64 // number n at n % keep, as n + 1
	last   []int64     // the numbers in the last update
}

// missed takes the last update back: it was not received.
func (s *subscriber) missed() {
	for _, n := range s.last {
		s.told[n%keep] = 0
	}
	s.totals = Totals{}
}

// since is what a subscriber has not been told, at most so many decisions. They
// count as told.
func (f *Feed) since(s *subscriber, most int64) (u Update, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u.Totals = f.total()
	s.last = s.last[:0]
	for n := u.Totals.Decisions - 1; n >= max(0, u.Totals.Decisions-keep) && int64(len(s.last)) < most; n-- {
		if s.told[n%keep] == n+1 {
			continue
		}
		s.told[n%keep] = n + 1
		s.last = append(s.last, n)
		u.Decisions = append(u.Decisions, f.recent[n%keep])
	}
	changed = len(s.last) > 0 || u.Totals.Decisions != s.totals.Decisions || u.PerSecond != s.totals.PerSecond
	s.totals = u.Totals
	return u, changed
}
