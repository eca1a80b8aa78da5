package lookup

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

// world is an embedded broker with a topic of predictions.
type world struct {
	t        *testing.T
	config   Config
	client   *kgo.Client
	progress bytes.Buffer
}

func newWorld(t *testing.T, partitions int32) *world {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t}
	w.config = Config{
		Kafka: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"}, Topics: schemas.NewTopics("t"),
		Progress: &w.progress, chunk: 16,
	}
	w.client, err = kgo.NewClient(w.config.Kafka.Options()...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), []kafka.TopicSpec{{Name: w.config.Topics.Predictions, Partitions: partitions, Replication: 1}})
	require.NoError(t, err)
	return w
}

// decide writes a decision where its key goes and returns where it stands.
func (w *world) decide(id string, at schemas.Timestamp) schemas.Source {
	p := schemas.Prediction{
		ApplicationID: id, AppliedAt: at, DecidedAt: at, Channel: schemas.ChannelAPI, DefaultProbability: 0.25, Decision: schemas.Approve,
		ModelVersion: "m", Engine: "native", Route: schemas.RouteChampion, PolicyVersion: "p",
	}
	for k, rule := range schemas.FeatureRules {
		p.Features[k] = rule.Min
	}
	r, err := w.client.ProduceSync(w.t.Context(), &kgo.Record{Topic: w.config.Topics.Predictions, Key: []byte(id), Value: schemas.AppendPrediction(nil, &p)}).First()
	require.NoError(w.t, err)
	return schemas.Source{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
}

func (w *world) find(id string, newest bool) (found []schemas.Source) {
	all, err := Decisions(w.t.Context(), w.config, id, newest)
	require.NoError(w.t, err)
	for _, f := range all {
		require.Equal(w.t, id, f.Prediction.ApplicationID)
		require.WithinDuration(w.t, time.Now(), f.Appended, time.Hour)
		found = append(found, f.Source)
	}
	return found
}

func TestDecisionsAreFoundNewestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	var wanted []schemas.Source
	for i := range 300 {
		w.decide(fmt.Sprintf("other-%d", i), 1)
		if i%60 == 7 {
			wanted = append([]schemas.Source{w.decide("A-1", schemas.Timestamp(i))}, wanted...)
		}
	}
	require.Equal(t, wanted, w.find("A-1", false))
	require.Contains(t, w.progress.String(), " offsets looked through, ")
	require.Equal(t, wanted[:1], w.find("A-1", true))
	require.Empty(t, w.find("A-2", false))
	require.Len(t, w.find("other-0", false), 1)

	at, err := At(t.Context(), w.config, wanted[2].Partition, wanted[2].Offset)
	require.NoError(t, err)
	require.Equal(t, wanted[2], at.Source)
}

// With more partitions a key may go elsewhere; what was decided before stays where it is.
func TestDecisionsFromBeforePartitionsWereAddedAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for i := range 20 {
		w.decide(fmt.Sprint("A-", i), schemas.Timestamp(i))
		w.decide(fmt.Sprint("A-", i), schemas.Timestamp(100+i))
	}
	_, err := kadm.NewClient(w.client).UpdatePartitions(t.Context(), 5, w.config.Topics.Predictions)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		topics, err := kadm.NewClient(w.client).ListTopics(t.Context(), w.config.Topics.Predictions)
		return err == nil && len(topics[w.config.Topics.Predictions].Partitions) == 5
	}, time.Minute, 10*time.Millisecond)
	for i := range 20 {
		id := fmt.Sprint("A-", i)
		require.Equal(t, []schemas.Source{{Topic: w.config.Topics.Predictions, Offset: int64(2*i + 1)}, {Topic: w.config.Topics.Predictions, Offset: int64(2 * i)}}, w.find(id, false))
		require.Len(t, w.find(id, true), 1)
	}
}

func TestAPlaceWithoutAPredictionIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	f := func(partition int32, offset int64, says string) {
		t.Helper()
		_, err := At(t.Context(), w.config, partition, offset)
		require.ErrorContains(t, err, says)
	}
	f(0, 0, "holds offsets from 0 up to 0, excluded")
	w.decide("A-1", 1)
	f(0, 1, "t.predictions/0/1: the partition holds offsets from 0 up to 1")
	f(7, 0, "there is no such partition")
	_, err := w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.config.Topics.Predictions, Key: []byte("A-2"), Value: []byte("{}")}).First()
	require.NoError(t, err)
	f(0, 1, "there is no committed prediction")
	require.Empty(t, w.find("A-2", false), "what is no prediction is no decision")
}
