package demo

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/deadletters"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// watch reads what the demo has decided as any reader would, committed records
// only, and notes when each decision became readable. It is a
// lifecycle.Component.
type watch struct {
	client *kgo.Client
	topics schemas.Topics
	codec  *wire.Codec
	began  time.Time     // latencies are those of applications since then
	enough int64         // stream decisions and dead letters after which done is closed; 0: never
	done   chan struct{} // closed once enough were read

	mu      sync.Mutex // guards what follows
	read    watched
	latency *ddsketch.DDSketch // applied_at to readable, seconds; decisions from the stream
	start   map[int32]int64    // of predictions, by partition: where watching began
	at      map[int32]int64    // and where it is
}

// watched is what has been read so far.
type watched struct {
	Stream      int64 // decisions from the stream
	API         int64 // decisions asked for over HTTP
	Decisions   map[string]int64
	DeadLetters int64
	First, Last time.Time // when a decision from the stream became readable
}

// latencyAccuracy is the relative error of the latencies shown.
const latencyAccuracy = 0.01

// newWatch notes where the topics end: what is decided from now on is watched.
func newWatch(ctx context.Context, k kafka.Config, topics schemas.Topics, codec *wire.Codec, enough uint64) (*watch, error) {
	sketch, err := ddsketch.NewDefaultDDSketch(latencyAccuracy)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(k.Options(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond),
	)...)
	if err != nil {
		return nil, err
	}
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topics.Predictions, topics.DLQ)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("looking where the topics end: %w", err)
	}
	client.AddConsumePartitions(ends.KOffsets())
	start := map[int32]int64{}
	for p, end := range ends[topics.Predictions] {
		start[p] = end.Offset
	}
	return &watch{
		client: client, topics: topics, codec: codec, began: time.Now(), enough: int64(enough), done: make(chan struct{}), latency: sketch,
		read: watched{Decisions: map[string]int64{}}, start: start, at: maps.Clone(start),
	}, nil
}

// Name is part of lifecycle.Component.
func (*watch) Name() string { return "watch" }

// Ready is part of lifecycle.Component.
func (*watch) Ready() error { return nil }

// Run is part of lifecycle.Component.
func (w *watch) Run(ctx context.Context) error {
	var p schemas.Prediction
	for ctx.Err() == nil {
		fetches := w.client.PollFetches(ctx)
		now := time.Now()
		kafka.PassOversized(w.client, fetches, nil)
		fetches.EachRecord(func(r *kgo.Record) {
			letter := r.Topic == w.topics.DLQ
			// Without the lock: it may wait for a schema.
			if letter && deadletters.IsMarker(r) || !letter && w.codec.DecodePrediction(ctx, r.Value, &p) != nil {
				return
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if letter {
				w.read.DeadLetters++
				w.answered()
			} else {
				w.at[r.Partition] = r.Offset + 1
				w.note(&p, now)
			}
		})
	}
	return nil
}

// note counts one decision that became readable at now; the caller holds mu.
func (w *watch) note(p *schemas.Prediction, now time.Time) {
	w.read.Decisions[p.Decision]++
	if p.Channel != schemas.ChannelStream {
		w.read.API++
		return
	}
	if w.read.Stream == 0 {
		w.read.First = now
	}
	w.read.Stream++
	w.read.Last = now
	if applied := p.AppliedAt.Time(); applied.After(w.began) { // not what an earlier run left behind
		// Only a value that is not a number of seconds is refused.
		_ = w.latency.Add(max(0, now.Sub(applied).Seconds()))
	}
	w.answered()
}

// answered ends the wait for enough; the caller holds mu.
func (w *watch) answered() {
	if w.read.Stream+w.read.DeadLetters == w.enough {
		close(w.done)
	}
}

// answers is how many applications of the stream were answered.
func (w *watch) answers() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.read.Stream + w.read.DeadLetters
}

// ahead is by how many offsets of predictions watching is ahead of another reader,
// of those since it began.
func (w *watch) ahead(reached map[int32]int64) (offsets int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, at := range w.at {
		offsets += max(0, at-max(w.start[p], reached[p]))
	}
	return offsets
}

// snapshot is what has been read so far and the latency at each quantile
// (0 … 1); zero before the first decision.
func (w *watch) snapshot(quantiles ...float64) (watched, []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.read
	s.Decisions = maps.Clone(s.Decisions)
	latencies := make([]time.Duration, len(quantiles))
	for i, q := range quantiles {
		if v, err := w.latency.GetValueAtQuantile(q); err == nil {
			latencies[i] = time.Duration(v * float64(time.Second))
		}
	}
	return s, latencies
}
