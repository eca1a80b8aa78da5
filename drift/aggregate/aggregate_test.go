package aggregate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

const (
	partitions = 4
	patience   = time.Minute
	tick       = 2 * time.Millisecond
)

// world is an embedded broker with the topics, what is known of decisions, and what
// was emitted.
type world struct {
	t         *testing.T
	broker    *local.Kafka
	config    Config
	client    *kgo.Client
	random    *rand.Rand
	live      atomic.Pointer[model.LiveSet]
	decisions *decisions
	emitted   []*schemas.Prediction
	malformed int
	outcomes  int
}

func newWorld(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn is one whose broker keeps its logs in a folder.
func newWorldIn(t *testing.T, dir string) *world {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	broker, err := local.StartKafka(dir, kfake.SleepOutOfOrder())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, broker: broker, random: rand.New(rand.NewPCG(seed, 1)), decisions: newDecisions()}
	w.serve(&model.Model{Version: "v1", Reference: drifttest.ShippedReference(t)})
	w.config = Config{
		Kafka: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"}, Topics: schemas.NewTopics("t"),
		Group: member.Names{Group: "drift"}, Instance: "one", Sessions: 2, Protocol: member.ProtocolClassic, From: kafka.From{Start: true},
		Bucket: time.Minute, Live: w.live.Load, Decisions: w.decisions, Log: slog.New(slog.DiscardHandler), interval: 5 * time.Millisecond,
	}
	w.client, err = kgo.NewClient(append(w.config.Kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Catalogue("t") {
		specs = append(specs, kafka.TopicSpec{Name: topic.Name, Partitions: min(partitions, topic.Partitions), Replication: 1, Configs: topic.Configs})
	}
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), specs)
	require.NoError(t, err)
	return w
}

func (w *world) serve(champion *model.Model) { w.live.Store(&model.LiveSet{Champion: champion}) }

// epoch is when the first decision is made: ten seconds before a minute ends.
var epoch = time.Date(2026, 11, 23, 10, 0, 50, 0, time.UTC)

// emit appends n decisions, one every second, and a malformed one after every
// fiftieth. Some are a day late.
func (w *world) emit(n int) {
	var records []*kgo.Record
	for range n {
		i := len(w.emitted)
		p := drifttest.AnyDecision(w.random, w.live.Load().Champion.Reference)
		for k, rule := range schemas.FeatureRules { // as the contract has it
			if v := p.Features[k]; v != schemas.Missing {
				p.Features[k] = max(rule.Min, min(rule.Max, v))
			}
		}
		p.ApplicationID, p.Engine, p.PolicyVersion = fmt.Sprintf("A-%06d", i), "native", "3f9c1a7e"
		p.DecidedAt = schemas.At(epoch.Add(time.Duration(i) * time.Second))
		if i%40 == 7 {
			p.DecidedAt = schemas.At(epoch.Add(-24 * time.Hour))
		}
		w.emitted = append(w.emitted, p)
		value := schemas.AppendPrediction(nil, p)
		records = append(records, &kgo.Record{Topic: w.config.Topics.Predictions, Partition: int32(i % partitions), Value: value})
		if i%50 == 49 {
			w.malformed++
			records = append(records, &kgo.Record{Topic: w.config.Topics.Predictions, Partition: int32(i % partitions), Value: value[:100]})
		}
	}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
}

// start runs an aggregator; stop ends it as SIGTERM would and returns its error.
func (w *world) start(instance string, change ...func(*Config)) (a *Aggregator, stop func() error) {
	c := w.config
	c.Instance, c.Registerer = instance, prometheus.NewRegistry()
	for _, f := range change {
		f(&c)
	}
	a, err := New(c)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	w.t.Cleanup(func() { _ = stop() })
	return a, stop
}

// panes are all that are committed, once they hold so many records of a topic.
func (w *world) panes(topic string, records int) (all []*drift.Pane) {
	reader, err := kgo.NewClient(append(w.config.Kafka.Options(), kgo.FetchMaxWait(20*time.Millisecond), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(w.config.Topics.DriftPanes))...)
	require.NoError(w.t, err)
	defer reader.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for seen := 0; seen < records; {
		fetches := reader.PollFetches(ctx)
		require.NoError(w.t, fetches.Err(), "%d of %d records in panes", seen, records)
		fetches.EachRecord(func(r *kgo.Record) {
			p, err := drift.DecodePane(r.Value)
			require.NoError(w.t, err)
			if p.Topic == topic {
				seen += int(p.Decisions + p.Malformed + p.Read)
				all = append(all, p)
			}
		})
	}
	return all
}

// exact holds that what the panes count is what a recount of everything emitted
// gives, in every bucket.
func (w *world) exact() []*drift.Pane {
	all := w.panes(w.config.Topics.Predictions, len(w.emitted)+w.malformed)
	recount(w.t, w.config.Bucket, w.emitted, all)
	malformed := 0
	for _, p := range all {
		malformed += int(p.Malformed)
	}
	require.Equal(w.t, w.malformed, malformed)
	return all
}

// recount compares panes with the decisions that they count, over the bins of one
// reference.
func recount(t *testing.T, width time.Duration, decisions []*schemas.Prediction, all []*drift.Pane) {
	want := map[schemas.Timestamp]*counting.Counter{}
	bins := counting.NewBins(drifttest.ShippedReference(t))
	for _, p := range decisions {
		bucket := schemas.At(p.DecidedAt.Time().Truncate(width))
		if want[bucket] == nil {
			want[bucket] = counting.NewCounter(bins)
		}
		want[bucket].Add(p)
	}
	got := map[schemas.Timestamp]*drift.Pane{}
	for _, p := range all {
		require.Equal(t, int64(width/time.Second), p.Width)
		require.Less(t, p.From, p.To)
		if p.Decisions > 0 {
			got[p.Bucket] = sum(t, got[p.Bucket], p)
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	for bucket, c := range want {
		var p drift.Pane
		c.Fill(&p)
		sorted := sum(t, nil, &p)
		require.Len(t, got[bucket].Versions, len(sorted.Versions))
		for i := range sorted.Versions {
			require.InEpsilon(t, 1+sorted.Versions[i].Probabilities, 1+got[bucket].Versions[i].Probabilities, 1e-9)
			sorted.Versions[i].Probabilities, got[bucket].Versions[i].Probabilities = 0, 0
		}
		require.Equal(t, sorted, got[bucket], "bucket %s", bucket)
	}
}

// sum adds a pane's decisions to others'.
func sum(t *testing.T, to, p *drift.Pane) *drift.Pane {
	if to == nil {
		to = &drift.Pane{Reference: p.Reference, Features: make([]drift.FeatureCounts, len(p.Features))}
		for i := range to.Features {
			to.Features[i].Bins = make([]int64, len(p.Features[i].Bins))
		}
	}
	require.Equal(t, to.Reference, p.Reference)
	to.Decisions += p.Decisions
	for i, f := range p.Features {
		for k, n := range f.Bins {
			to.Features[i].Bins[k] += n
		}
		to.Features[i].Missing += f.Missing
		to.Features[i].OutOfRange += f.OutOfRange
	}
	for _, g := range p.Groups {
		at := slices.IndexFunc(to.Groups, func(h drift.GroupCounts) bool { return h.Attribute == g.Attribute && h.Group == g.Group })
		if at < 0 {
			at = len(to.Groups)
			to.Groups = append(to.Groups, drift.GroupCounts{Attribute: g.Attribute, Group: g.Group})
		}
		add(&to.Groups[at].Decided, g.Decided)
	}
	slices.SortFunc(to.Groups, func(a, b drift.GroupCounts) int {
		return strings.Compare(a.Attribute+"/"+a.Group, b.Attribute+"/"+b.Group)
	})
	name := func(v drift.VersionCounts) string {
		return v.ModelVersion + "/" + v.Route + "/" + v.Channel + "/" + v.ShadowVersion
	}
	for _, v := range p.Versions {
		at := slices.IndexFunc(to.Versions, func(u drift.VersionCounts) bool { return name(u) == name(v) })
		if at < 0 {
			at = len(to.Versions)
			to.Versions = append(to.Versions, drift.VersionCounts{
				ModelVersion: v.ModelVersion, Route: v.Route, Channel: v.Channel, ShadowVersion: v.ShadowVersion,
				Scores: map[int32]int64{}, ShadowScores: map[int32]int64{},
			})
		}
		u := &to.Versions[at]
		add(&u.Decided, v.Decided)
		u.Defaults += v.Defaults
		u.Probabilities += v.Probabilities
		u.ShadowFlips += v.ShadowFlips
		for bin, n := range v.Scores {
			u.Scores[bin] += n
		}
		for bin, n := range v.ShadowScores {
			u.ShadowScores[bin] += n
		}
	}
	slices.SortFunc(to.Versions, func(a, b drift.VersionCounts) int { return strings.Compare(name(a), name(b)) })
	return to
}

func add(to *drift.Decided, d drift.Decided) {
	to.Approve += d.Approve
	to.Refer += d.Refer
	to.Decline += d.Decline
}

func becomesReady(t *testing.T, a *Aggregator) {
	t.Helper()
	require.Eventually(t, func() bool { return a.Ready() == nil }, patience, tick)
}

func TestEveryDecisionIsCountedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(2000)
	a, stop := w.start("one")
	becomesReady(t, a)
	w.exact()
	w.emit(500)
	all := w.exact()
	require.NoError(t, stop())
	require.InDelta(t, 2500, testutil.ToFloat64(a.metrics.decisions), 0)
	require.InDelta(t, 50, testutil.ToFloat64(a.metrics.malformed.WithLabelValues(w.config.Topics.Predictions)), 0)
	// Another goes on where it stopped.
	w.emit(100)
	w.start("two")
	require.Greater(t, len(w.exact()), len(all))
}

// A pane ends where its bucket does; what is late has a pane of its own.
func TestPanesDoNotReachAcrossBuckets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(30) // twenty seconds of them in the second minute
	w.start("one", func(c *Config) { c.Bucket, c.interval = time.Minute, 200*time.Millisecond })
	counts := map[string]int64{}
	for _, p := range w.exact() {
		counts[p.Bucket.String()] += p.Decisions
	}
	require.Equal(t, map[string]int64{"2026-11-22T10:00:00Z": 1, "2026-11-23T10:00:00Z": 9, "2026-11-23T10:01:00Z": 20}, counts)
}

// With a new champion decisions are counted over its bins, never in one pane with
// others.
func TestANewChampionBeginsNewPanes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(200)
	w.start("one")
	w.exact()
	old, first := w.live.Load().Champion.Reference, len(w.emitted)
	w.serve(&model.Model{Version: "v1-again", Reference: drifttest.ShippedReference(t)}) // the same bins and counts
	w.emit(200)
	w.exact()
	second := len(w.emitted)
	ref := drifttest.AnyReference(t, w.random)
	w.serve(&model.Model{Version: "v2", Reference: ref})
	w.emit(400)
	counts := map[string]int64{}
	for _, p := range w.panes(w.config.Topics.Predictions, len(w.emitted)+w.malformed) {
		counts[p.Reference] += p.Decisions
		if p.Reference == ref.Digest() {
			require.Len(t, p.Features[0].Bins, len(ref.Features[0].Edges)+1)
		}
	}
	delete(counts, "") // panes of malformed records alone
	require.Equal(t, map[string]int64{old.Digest(): int64(second), ref.Digest(): 400}, counts)
	require.Equal(t, 200, first)
}

// Whatever is refused and whoever comes and goes, the panes count what is there.
func TestCountsAreExactWhateverFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	failures := w.failNowAndThen(60, map[kmsg.Key][]*kerr.Error{
		kmsg.Produce:         {kerr.NotLeaderForPartition, kerr.UnknownServerError, kerr.InvalidTxnState, kerr.OutOfOrderSequenceNumber, kerr.TransactionAbortable},
		kmsg.TxnOffsetCommit: {kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.CoordinatorNotAvailable, kerr.UnknownTopicOrPartition},
		kmsg.EndTxn:          {kerr.CoordinatorLoadInProgress, kerr.TransactionAbortable, kerr.UnknownServerError, kerr.InvalidTxnState},
		kmsg.Heartbeat:       {kerr.UnknownMemberID},
	})
	_, stopOne := w.start("one")
	_, stopTwo := w.start("two")
	for range 8 {
		w.emit(300)
		w.panes(w.config.Topics.Predictions, len(w.emitted)/2)
		switch w.random.IntN(3) {
		case 0:
			require.NoError(t, stopOne())
			_, stopOne = w.start("one")
		case 1:
			require.NoError(t, stopTwo())
			_, stopTwo = w.start("two")
		}
	}
	w.exact()
	require.Positive(t, failures.Load())
}

// failNowAndThen lets requests of the aggregators fail, the first of each kind and
// then one in four, up to so many. It returns how many have.
func (w *world) failNowAndThen(most int64, codes map[kmsg.Key][]*kerr.Error) *atomic.Int64 {
	var (
		mu       sync.Mutex // guards chance and begun
		chance   = rand.New(rand.NewPCG(w.random.Uint64(), 2))
		begun    = map[kmsg.Key]bool{}
		failures atomic.Int64
	)
	for key, some := range codes {
		w.broker.Cluster().ControlKey(int16(key), func(request kmsg.Request) (kmsg.Response, error, bool) {
			w.broker.Cluster().KeepControl()
			if p, ok := request.(*kmsg.ProduceRequest); ok && p.TransactionID == nil {
				return nil, nil, false // the test's own
			}
			mu.Lock()
			defer mu.Unlock()
			if first := !begun[key]; failures.Load() == most || !first && chance.IntN(4) > 0 {
				return nil, nil, false
			}
			begun[key] = true
			failures.Add(1)
			return local.Refusal(request, some[chance.IntN(len(some))].Code), nil, true
		})
	}
	return &failures
}

// Panes that no broker takes end the process, which says so.
func TestPanesThatAreRefusedForGoodEndTheProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(10)
	w.broker.Cluster().ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		return local.Refusal(request, kerr.InvalidRecord.Code), nil, true
	})
	c := w.config
	c.Registerer = prometheus.NewRegistry()
	a, err := New(c)
	require.NoError(t, err)
	err = a.Run(t.Context())
	require.ErrorContains(t, err, "panes can not be written to t.drift.panes")
	require.Equal(t, err, a.Ready())
}

// A group begins where it is told, else where the longest window does.
func TestWhereAGroupBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(100)
	_, stop := w.start("one", func(c *Config) { c.Group, c.From = member.Names{Group: "end"}, kafka.From{End: true} })
	adm := kadm.NewClient(w.client)
	begun := func(group string) (sum int64) {
		require.Eventually(t, func() bool {
			o, err := adm.FetchOffsets(t.Context(), group)
			return err == nil && len(o[w.config.Topics.Predictions]) == partitions && len(o[w.config.Topics.Outcomes]) == partitions
		}, patience, tick)
		o, err := adm.FetchOffsets(t.Context(), group)
		require.NoError(t, err)
		o.Each(func(o kadm.OffsetResponse) { sum += o.At })
		return sum
	}
	require.Equal(t, int64(102), begun("end"))
	require.NoError(t, stop())
	// By the broker's clock all was appended a moment ago, by another in a year.
	_, stop = w.start("one", func(c *Config) { c.Group, c.From = member.Names{Group: "default"}, kafka.From{} })
	require.NotEmpty(t, w.exact())
	require.NoError(t, stop())
	_, stop = w.start("one", func(c *Config) {
		c.Group, c.From, c.Now = member.Names{Group: "later"}, kafka.From{}, func() time.Time { return time.Now().Add(365 * 24 * time.Hour) }
	})
	require.Equal(t, int64(102), begun("later"))
	require.NoError(t, stop())
}

func TestWithoutAModelNothingIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(20)
	served := w.live.Swap(nil)
	a, _ := w.start("one")
	require.Eventually(t, func() bool { return errors.Is(a.Ready(), errNoModel) }, patience, tick)
	w.live.Store(served)
	w.exact()
	becomesReady(t, a)
}

func TestAMissingTopicIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.config
	c.Topics.DriftPanes, c.Registerer = "t.elsewhere", prometheus.NewRegistry()
	a, err := New(c)
	require.NoError(t, err)
	require.ErrorContains(t, a.Run(t.Context()), "t.elsewhere")
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	f := func(says string, change func(*Config)) {
		c := Config{Group: member.Names{Group: "g"}, Instance: "i", Sessions: 1, Bucket: time.Second, Protocol: member.ProtocolClassic}
		change(&c)
		_, err := New(c)
		require.ErrorContains(t, err, says)
	}
	f("at least one session", func(c *Config) { c.Sessions = 0 })
	f("bucket 500ms", func(c *Config) { c.Bucket = 500 * time.Millisecond })
	f("bucket 1.5s", func(c *Config) { c.Bucket = 1500 * time.Millisecond })
	f("classic", func(c *Config) { c.Static, c.Protocol = true, member.ProtocolConsumer })
}
