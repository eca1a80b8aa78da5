package tail

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/api/feed"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

const patience = time.Minute

// world is an embedded broker with the predictions topic.
type world struct {
	t      *testing.T
	broker *local.Kafka
	kafka  kafka.Config
	topics schemas.Topics
	client *kgo.Client
}

func newWorld(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn is one whose broker keeps its logs in a folder; empty: in memory.
func newWorldIn(t *testing.T, dir string) *world {
	broker, err := local.StartKafka(dir, kfake.SleepOutOfOrder())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, broker: broker, kafka: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"}, topics: schemas.NewTopics("t")}
	w.client, err = kgo.NewClient(append(w.kafka.Options(), kgo.TransactionalID("t"))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), []kafka.TopicSpec{{Name: w.topics.Predictions, Partitions: 3, Replication: 1}})
	require.NoError(t, err)
	return w
}

// prediction i: every third one is declined, every fifth comes through the API.
func prediction(i int) *schemas.Prediction {
	p := &schemas.Prediction{
		ApplicationID: fmt.Sprintf("A-%04d", i), AppliedAt: schemas.Timestamp(1764093600123456), DecidedAt: schemas.Timestamp(1764093600130000 + i),
		Channel: schemas.ChannelStream, DefaultProbability: float32(i%100) / 100, Decision: schemas.Approve, Points: 530,
		ModelVersion: "v1", Engine: "native", Route: schemas.RouteChampion, RouteRevision: 3, PolicyVersion: "3f9c1a7e",
		Reasons: []schemas.Reason{{Code: "UTILISATION", Contribution: 0.4}, {Code: "RECENT_DELAY", Contribution: 0.1}, {Code: "LIMIT", Contribution: 0.05}},
	}
	if i%3 == 0 {
		p.Decision, p.ModelVersion = schemas.Decline, "v2"
	}
	if i%5 == 0 {
		p.Channel = schemas.ChannelAPI
	}
	for k, rule := range schemas.FeatureRules {
		p.Features[k] = max(rule.Min, 0)
	}
	return p
}

// emit appends predictions in one transaction that ends one way or the other.
func (w *world) emit(from, to int, end kgo.TransactionEndTry) {
	require.NoError(w.t, w.client.BeginTransaction())
	for i := from; i < to; i++ {
		p := prediction(i)
		w.client.Produce(w.t.Context(), &kgo.Record{Topic: w.topics.Predictions, Key: []byte(p.ApplicationID), Value: schemas.AppendPrediction(nil, p)}, func(_ *kgo.Record, err error) {
			if err != nil {
				w.t.Error(err)
			}
		})
	}
	require.NoError(w.t, w.client.Flush(w.t.Context()))
	require.NoError(w.t, w.client.EndTransaction(w.t.Context(), end))
}

// ids reads until limit predictions have come (0: to the end of the log).
func (w *world) ids(c Config, limit int) map[string]bool {
	c.Kafka, c.Topics = w.kafka, w.topics
	ids := map[string]bool{}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	leftOut, err := Read(ctx, c, func(p *schemas.Prediction, value []byte) (bool, error) {
		var again schemas.Prediction
		require.NoError(w.t, schemas.DecodePrediction(value, &again))
		require.Equal(w.t, again.ApplicationID, p.ApplicationID)
		require.False(w.t, ids[p.ApplicationID], "shown twice")
		ids[p.ApplicationID] = true
		return len(ids) != limit, nil
	})
	require.NoError(w.t, err)
	require.NoError(w.t, ctx.Err())
	require.Zero(w.t, leftOut)
	return ids
}

func TestFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 60, kgo.TryCommit)
	w.emit(100, 160, kgo.TryAbort)
	from := kafka.From{Start: true}
	f := func(filter Filter, matches func(i int) bool) {
		t.Helper()
		want := map[string]bool{}
		for i := range 60 {
			if matches(i) {
				want[prediction(i).ApplicationID] = true
			}
		}
		require.Equal(t, want, w.ids(Config{From: from, Filter: filter}, 0))
	}
	f(Filter{}, func(int) bool { return true })
	f(Filter{ID: "A-0007"}, func(i int) bool { return i == 7 })
	f(Filter{ID: "A-0107"}, func(int) bool { return false })
	f(Filter{Decision: schemas.Decline}, func(i int) bool { return i%3 == 0 })
	f(Filter{Channel: schemas.ChannelAPI}, func(i int) bool { return i%5 == 0 })
	f(Filter{ModelVersion: "v1"}, func(i int) bool { return i%3 != 0 })
	f(Filter{MinProbability: 0.3}, func(i int) bool { return i >= 30 })
	f(Filter{Decision: schemas.Approve, Channel: schemas.ChannelAPI, MinProbability: 0.2}, func(i int) bool { return i%3 != 0 && i%5 == 0 && i >= 20 })
	require.Len(t, w.ids(Config{From: from}, 10), 10)
	require.Empty(t, w.ids(Config{}, 0), "the end")
	require.Empty(t, w.ids(Config{From: kafka.From{Time: time.Now().Add(time.Hour)}}, 0))
	require.Len(t, w.ids(Config{From: kafka.From{Time: time.Now().Add(-time.Hour)}}, 0), 60)
}

func TestFollowingShowsWhatComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 10, kgo.TryCommit)
	got := make(chan map[string]bool)
	go func() { got <- w.ids(Config{From: kafka.From{Start: true}, Follow: true}, 40) }()
	w.emit(100, 120, kgo.TryAbort)
	w.emit(10, 40, kgo.TryCommit)
	require.Len(t, <-got, 40)
}

func TestTheLastAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// shown are the ids that Read gives, in its order.
	shown := func(c Config, most int) (ids []string) {
		c.Kafka, c.Topics = w.kafka, w.topics
		_, err := Read(t.Context(), c, func(p *schemas.Prediction, value []byte) (bool, error) {
			require.NoError(t, schemas.DecodePrediction(value, new(schemas.Prediction)))
			ids = append(ids, p.ApplicationID)
			return len(ids) != most, nil
		})
		require.NoError(t, err)
		return ids
	}
	require.Empty(t, shown(Config{Last: 3}, 0), "there are none")
	w.emit(0, 60, kgo.TryCommit)
	w.emit(100, 400, kgo.TryAbort) // in the way of looking backwards
	w.emit(60, 63, kgo.TryCommit)
	w.emit(400, 500, kgo.TryAbort)
	f := func(filter Filter, last int, want ...int) {
		t.Helper()
		var ids []string
		for _, i := range want {
			ids = append(ids, prediction(i).ApplicationID)
		}
		require.Equal(t, ids, shown(Config{Last: last, Filter: filter}, 0))
	}
	f(Filter{}, 1, 62)
	f(Filter{}, 5, 58, 59, 60, 61, 62)
	f(Filter{Decision: schemas.Decline}, 3, 54, 57, 60)
	f(Filter{ID: "A-0007"}, 2, 7)
	f(Filter{ID: "A-0107"}, 2)
	require.Len(t, shown(Config{Last: 1000}, 0), 63)
	require.Len(t, shown(Config{Last: 1 << 62}, 0), 63)

	got, shownLast := make(chan []string), make(chan struct{})
	go func() {
		var ids []string
		_, err := Read(t.Context(), Config{Kafka: w.kafka, Topics: w.topics, Last: 2, Follow: true}, func(p *schemas.Prediction, _ []byte) (bool, error) {
			if ids = append(ids, p.ApplicationID); len(ids) == 2 {
				close(shownLast)
			}
			return len(ids) < 5, nil
		})
		assert.NoError(t, err)
		got <- ids
	}()
	<-shownLast
	w.emit(63, 66, kgo.TryCommit)
	ids := <-got
	require.Equal(t, []string{"A-0061", "A-0062"}, ids[:2])
	require.ElementsMatch(t, []string{"A-0063", "A-0064", "A-0065"}, ids[2:], "and what comes")
}

func TestWhatIsNoPredictionIsLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 3, kgo.TryCommit)
	plain, err := kgo.NewClient(w.kafka.Options()...)
	require.NoError(t, err)
	defer plain.Close()
	require.NoError(t, plain.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Predictions, Value: []byte("{}")}).FirstErr())
	w.emit(3, 6, kgo.TryCommit)
	shown := 0
	leftOut, err := Read(t.Context(), Config{Kafka: w.kafka, Topics: w.topics, From: kafka.From{Start: true}}, func(*schemas.Prediction, []byte) (bool, error) {
		shown++
		return true, nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, leftOut.Records)
	require.Equal(t, 6, shown)
}

func TestAMissingTopicIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topics.Predictions = "t.nowhere"
	_, err := Read(t.Context(), Config{Kafka: w.kafka, Topics: w.topics}, nil)
	require.ErrorContains(t, err, "t.nowhere")
	require.ErrorContains(t, err, "topics apply")
	require.ErrorContains(t, NewFollower(FollowerConfig{Kafka: w.kafka, Topics: w.topics}).Run(t.Context()), "topics apply")
}

func TestLinesAreAligned(t *testing.T) {
	t.Parallel()
	p := prediction(7)
	line := Line(p)
	require.Equal(t, "2025-11-25T18:00:00.130Z  A-0007                approve        0.0700     530  stream   UTILISATION, RECENT_DELAY +1          v1\n", line)
	for _, name := range []string{"APPLICATION", "DECISION", "CHANNEL", "REASONS", "MODEL"} {
		at := strings.Index(Header(), name)
		require.NotEqual(t, byte(' '), line[at], name)
		require.Equal(t, byte(' '), line[at-1], name)
	}
	p.Reasons = nil
	require.Contains(t, Line(p), "stream   -  ")
}

func TestAFeedFollowsTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 10, kgo.TryCommit)
	shown := feed.New()
	follower := NewFollower(FollowerConfig{Kafka: w.kafka, Topics: w.topics, Each: shown.Add, Log: slog.New(slog.DiscardHandler)})
	require.Error(t, follower.Ready())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- follower.Run(ctx) }()
	require.Eventually(t, func() bool { return follower.Ready() == nil }, patience, time.Millisecond)
	_, updates := shown.Subscribe(ctx, 1000)
	w.emit(100, 200, kgo.TryAbort)
	w.emit(10, 40, kgo.TryCommit)
	require.Eventually(t, func() bool { return shown.Snapshot().Totals.Decisions == 30 }, patience, time.Millisecond)
	s := shown.Snapshot()
	require.Len(t, s.Decisions, 30)
	require.Equal(t, map[string]int64{schemas.Approve: 20, schemas.Decline: 10}, s.Totals.ByDecision)
	require.Equal(t, map[string]int64{schemas.ChannelStream: 24, schemas.ChannelAPI: 6}, s.Totals.ByChannel)
	u := <-updates
	require.Positive(t, u.Totals.Decisions)
	cancel()
	require.NoError(t, <-done)
	for range updates { // ends, as the context has
		continue
	}
}

func TestAFeedReadsPartitionsThatWereAdded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shown := feed.New()
	follower := NewFollower(FollowerConfig{Kafka: w.kafka, Topics: w.topics, Each: shown.Add, Log: slog.New(slog.DiscardHandler), lookInterval: 10 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- follower.Run(ctx) }()
	require.Eventually(t, func() bool { return follower.Ready() == nil }, patience, time.Millisecond)
	grown, err := kadm.NewClient(w.client).UpdatePartitions(t.Context(), 5, w.topics.Predictions)
	require.NoError(t, err)
	require.NoError(t, grown.Error())
	plain, err := kgo.NewClient(append(w.kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer plain.Close()
	require.Eventually(t, func() bool {
		p := prediction(1)
		err := plain.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Predictions, Partition: 4, Value: schemas.AppendPrediction(nil, p)}).FirstErr()
		return err == nil && shown.Snapshot().Totals.Decisions > 0
	}, patience, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}
