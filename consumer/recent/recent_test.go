package recent

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

const prefix = "credit"

var (
	topics = schemas.NewTopics(prefix)
	noon   = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
)

type world struct {
	t      *testing.T
	kafka  kafka.Config
	client *kgo.Client
}

func newWorld(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn is a world whose log is in a folder; empty: in memory.
func newWorldIn(t *testing.T, dir string) *world {
	k, err := local.StartKafka(dir)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	w := &world{t: t, kafka: kafka.Config{Brokers: []string{k.Addr()}, Prefix: prefix, ClientID: "test"}}
	w.client, err = kgo.NewClient(append(w.kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), []kafka.TopicSpec{
		{Name: topics.Predictions, Partitions: 3, Replication: 1}, {Name: topics.Outcomes, Partitions: 1, Replication: 1},
	})
	require.NoError(t, err)
	return w
}

// decided is a decision that was made so many seconds after noon.
func decided(second int) schemas.Prediction {
	at := schemas.At(noon.Add(time.Duration(second) * time.Second))
	return schemas.Prediction{
		ApplicationID: fmt.Sprintf("A-%05d", second), AppliedAt: at, DecidedAt: at, Channel: schemas.ChannelStream, DefaultProbability: 0.25,
		Decision: schemas.Refer, Reasons: []schemas.Reason{{Code: "LIMIT", Contribution: 0.1}}, ModelVersion: "v", Engine: "native",
		Route: schemas.RouteChampion, PolicyVersion: "3f9c1a7e", Features: schemas.Features{int32(second + 1), 2, 2, 1, 30},
	}
}

// predict writes decisions to a partition.
func (w *world) predict(partition int32, seconds ...int) {
	records := make([]*kgo.Record, 0, len(seconds))
	for _, s := range seconds {
		p := decided(s)
		records = append(records, &kgo.Record{Topic: topics.Predictions, Partition: partition, Timestamp: p.DecidedAt.Time(), Key: []byte(p.ApplicationID), Value: schemas.AppendPrediction(nil, &p)})
	}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
}

func (w *world) tell(second int, defaulted uint8) {
	o := schemas.Outcome{ApplicationID: decided(second).ApplicationID, Defaulted: defaulted, ObservedAt: schemas.At(noon.Add(time.Hour))}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), &kgo.Record{
		Topic: topics.Outcomes, Timestamp: noon.Add(time.Hour), Key: []byte(o.ApplicationID), Value: schemas.AppendOutcome(nil, &o),
	}).FirstErr())
}

func (w *world) last(n int) (ids []string, decisions []Decision, apart Apart) {
	w.t.Helper()
	decisions, apart, err := Read(w.t.Context(), Config{Kafka: w.kafka, Topics: topics, N: n})
	require.NoError(w.t, err)
	for _, d := range decisions {
		ids = append(ids, d.ApplicationID)
	}
	return ids, decisions, apart
}

func ids(seconds ...int) (ids []string) {
	for _, s := range seconds {
		ids = append(ids, decided(s).ApplicationID)
	}
	return ids
}

func upTo(from, to int) (seconds []int) {
	for s := from; s < to; s++ {
		seconds = append(seconds, s)
	}
	return seconds
}

func TestTheNewestOfAllPartitions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, _, _ := w.last(10)
	require.Empty(t, got)
	// One partition has the newest 1,000, another nothing but old ones.
	w.predict(0, upTo(2000, 3000)...)
	w.predict(1, upTo(0, 1000)...)
	w.predict(2, 1500, 2500)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: topics.Predictions, Timestamp: noon, Value: []byte("nonsense")}).FirstErr())

	got, _, apart := w.last(3)
	require.Equal(t, ids(2997, 2998, 2999), got)
	require.Equal(t, Apart{LeftOut: LeftOut{Records: 1}}, apart)
	got, _, _ = w.last(502)
	require.Equal(t, ids(append([]int{2499, 2500}, upTo(2500, 3000)...)...), got)
	got, _, _ = w.last(1003)
	require.Equal(t, ids(999, 1500)[:2], got[:2])
	got, _, _ = w.last(5000)
	require.Len(t, got, 2002, "there are no more")
	require.Equal(t, ids(0)[0], got[0])
}

func TestOutcomesThatAreKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.predict(0, upTo(0, 100)...)
	w.tell(98, 1)
	w.tell(98, 0) // again: the first counts
	w.tell(99, 0)
	w.tell(7, 1)
	_, d, _ := w.last(3)
	require.Equal(t, []bool{false, true, true}, []bool{d[0].Known, d[1].Known, d[2].Known})
	require.Equal(t, []uint8{0, 1, 0}, []uint8{d[0].Defaulted, d[1].Defaulted, d[2].Defaulted})
	require.Equal(t, decided(97).Features, d[0].Features)
	require.Empty(t, d[0].Reasons)
}

// An outcome is of the last decision before it, by the id that stands in it.
func TestRead_LabelsTheDecisionThatAnOutcomeIsOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := func(second int, id string) *kgo.Record {
		p := decided(second)
		p.ApplicationID = id
		return &kgo.Record{Topic: topics.Predictions, Timestamp: p.DecidedAt.Time(), Key: []byte(id), Value: schemas.AppendPrediction(nil, &p)}
	}
	other := id(30, "A")
	other.Key = nil
	require.NoError(t, w.client.ProduceSync(t.Context(), id(10, "A"), id(20, "A"), other, id(40, "B")).FirstErr())
	outcome := func(id, key string, observed, told int, defaulted uint8) {
		o := schemas.Outcome{ApplicationID: id, Defaulted: defaulted, ObservedAt: schemas.At(noon.Add(time.Duration(observed) * time.Second))}
		require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{
			Topic: topics.Outcomes, Timestamp: noon.Add(time.Duration(told) * time.Second), Key: []byte(key), Value: schemas.AppendOutcome(nil, &o),
		}).FirstErr())
	}
	outcome("A", "A", 25, 100, 1)  // of the second
	outcome("A", "B", 15, 101, 0)  // of the first, whatever the key says
	outcome("A", "A", 16, 102, 1)  // of the first again
	outcome("A", "A", 9, 103, 1)   // of none
	outcome("B", `"B"`, 99, 35, 1) // told before it was decided
	outcome("C", "A", 99, 104, 1)  // of nobody here
	_, d, apart := w.last(4)
	require.Equal(t, Apart{PredictionKeyDiffers: 1, Outcomes: labels.Counts{
		Read: 6, Matched: 2, Duplicate: 1, Unmatched: 3, Before: 1, KeyDiffers: 3,
	}}, apart)
	require.Equal(t, []bool{true, true, false, false}, []bool{d[0].Known, d[1].Known, d[2].Known, d[3].Known})
	require.Equal(t, []uint8{0, 1}, []uint8{d[0].Defaulted, d[1].Defaulted})
	// Of what is not among the last, none of the last has the outcome.
	_, d, _ = w.last(2)
	require.Equal(t, []bool{false, false}, []bool{d[0].Known, d[1].Known})
}

func TestHowManyIsBounded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, -1, Most + 1} {
		_, _, err := Read(t.Context(), Config{N: n})
		require.ErrorContains(t, err, "expected 1 … 1000000")
	}
}

// A damaged batch is no foreign record: it is named, once, wherever spans end in it.
func TestUnreadableBatch_IsNamedBesideTheLastDecisions(t *testing.T) {
	t.Parallel()
	for _, header := range []bool{false, true} {
		dir := t.TempDir()
		w := newWorldIn(t, dir)
		w.predict(0, 1, 2, 3)
		w.predict(0, 4, 5)
		w.predict(0, 6)
		require.NoError(t, kafkatest.Flip(dir, topics.Predictions, 0, 3, header))
		w.client.Close()
		ids, _, apart := w.last(10)
		require.Equal(t, []string{"A-00001", "A-00002", "A-00003", "A-00006"}, ids)
		require.Zero(t, apart.Records)
		require.EqualValues(t, 2, apart.Unreadable.Offsets)
		require.Equal(t, []string{topics.Predictions + "/0@3"}, apart.Unreadable.At)
	}
}
