package tail

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

func TestBothFormatsAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fake := srfake.New()
	defer fake.Close()
	id, _, err := fake.RegisterSchema("any", sr.Schema{Schema: schemas.AvroSchema(schemas.EventPrediction), Type: sr.TypeAvro})
	require.NoError(t, err)
	client, err := registry.New(registry.Config{URL: fake.URL()})
	require.NoError(t, err)
	codec := wire.New(wire.Config{Registry: client})

	w.emit(0, 10, kgo.TryCommit)
	require.NoError(t, w.client.BeginTransaction())
	for i := 10; i < 30; i++ {
		value := schemas.AppendAvroPrediction(schemas.AppendAvroHeader(nil, uint32(id)), prediction(i))
		require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Predictions, Value: value}).FirstErr())
	}
	require.NoError(t, w.client.EndTransaction(t.Context(), kgo.TryCommit))
	// ids reads every value as JSON.
	require.Len(t, w.ids(Config{From: kafka.From{Start: true}, Codec: codec}, 0), 30)
	require.Len(t, w.ids(Config{From: kafka.From{Start: true}, Codec: codec, Filter: Filter{ID: "A-0017"}}, 0), 1)

	leftOut, err := Read(t.Context(), Config{Kafka: w.kafka, Topics: w.topics, From: kafka.From{Start: true}}, func(*schemas.Prediction, []byte) (bool, error) { return true, nil })
	require.NoError(t, err)
	require.EqualValues(t, 20, leftOut.Records, "what takes a registry is left out and counted")
}
