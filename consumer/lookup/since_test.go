package lookup

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
)

// application is what decide decides on.
func application(id string, at schemas.Timestamp) schemas.Application {
	a := schemas.Application{ApplicationID: id, AppliedAt: at}
	for k, rule := range schemas.FeatureRules {
		a.Features[k] = rule.Min
	}
	return a
}

// published is where the decisions on applications are found, by index.
func (w *world) published(since time.Time, applications ...schemas.Application) map[int]schemas.Source {
	found, err := Since(w.t.Context(), w.config, since, applications)
	require.NoError(w.t, err)
	at := map[int]schemas.Source{}
	for i, f := range found {
		if f != nil {
			require.Equal(w.t, applications[i].ApplicationID, f.Prediction.ApplicationID)
			at[i] = schemas.Source{Topic: w.config.Topics.Predictions, Partition: f.At.Partition, Offset: f.At.Offset}
		}
	}
	return at
}

func TestSince_FindsWhatItsWriterWasNotToldOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	began := time.Now().Add(-time.Minute)
	require.Empty(t, w.published(began, application("A-1", 1)), "nothing is there")
	for i := range 50 {
		w.decide(fmt.Sprint("B-", i), 1)
	}
	first := w.decide("A-1", 1)
	w.decide("A-1", 2)
	w.decide("A-2", 1)
	other := application("A-2", 1)
	other.Features[4]++
	require.Equal(t, map[int]schemas.Source{0: first}, w.published(began, application("A-1", 1), application("A-1", 3), other, application("A-3", 1)),
		"neither another attempt's nor another applicant's nor one of other features")
	require.Empty(t, w.published(time.Now().Add(time.Minute), application("A-1", 1)), "it is older")
	last := w.decide("A-1", 1)
	require.Equal(t, map[int]schemas.Source{0: last, 1: last}, w.published(began, application("A-1", 1), application("A-1", 1)), "the one in force")
}

// Others' transactions hold nothing up, and what they take back is not found.
func TestSince_LooksPastOpenTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client, err := kgo.NewClient(append(w.config.Kafka.Options(), kgo.TransactionalID("open"))...)
	require.NoError(t, err)
	defer client.Close()
	began := time.Now().Add(-time.Minute)
	first := w.decide("A-1", 1)
	require.NoError(t, client.BeginTransaction())
	p := schemas.Prediction{
		ApplicationID: "A-2", AppliedAt: 1, Channel: schemas.ChannelStream, Decision: schemas.Approve,
		ModelVersion: "m", Engine: "native", Route: schemas.RouteChampion, PolicyVersion: "p", Features: application("", 0).Features,
	}
	record := &kgo.Record{Topic: w.config.Topics.Predictions, Key: []byte("A-2"), Value: schemas.AppendPrediction(nil, &p)}
	require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	third := w.decide("A-3", 1)
	require.Equal(t, map[int]schemas.Source{0: first, 2: third}, w.published(began, application("A-1", 1), application("A-2", 1), application("A-3", 1)))
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryAbort))
	require.Equal(t, map[int]schemas.Source{0: first, 2: third}, w.published(began, application("A-1", 1), application("A-2", 1), application("A-3", 1)))
}

// What retention has removed is not waited for.
func TestSince_BeginsWhereTheLogDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	first, second := w.decide("A-1", 1), w.decide("A-2", 1)
	_, err := w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.config.Topics.Predictions, Key: []byte("A-2"), Value: []byte("something else")}).First()
	require.NoError(t, err)
	offsets := kadm.Offsets{}
	offsets.AddOffset(first.Topic, 0, second.Offset, -1)
	_, err = kadm.NewClient(w.client).DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	require.Equal(t, map[int]schemas.Source{1: second}, w.published(time.Unix(1, 0), application("A-1", 1), application("A-2", 1)))
}
