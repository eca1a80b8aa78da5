package dataset

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
)

func TestRead_NamesWhatLiesBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.prediction("A", 0, 0), w.prediction("B", 1, 0))
	hangs, err := kgo.NewClient(append(w.config.Kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("hangs"))...)
	require.NoError(t, err)
	t.Cleanup(hangs.Close)
	require.NoError(t, hangs.BeginTransaction())
	held := w.prediction("C", 0, 0)
	held.Timestamp = time.Now().Add(-time.Minute)
	require.NoError(t, hangs.ProduceSync(t.Context(), held).FirstErr())
	w.write(w.prediction("D", 0, 0), w.prediction("E", 1, 0))
	var ids []string
	counts, err := Read(t.Context(), w.config, func(p *schemas.Prediction, _ int8) error {
		ids = append(ids, p.ApplicationID)
		return nil
	})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"A", "B", "E"}, ids)
	require.Len(t, counts.Open, 1)
	require.EqualValues(t, 2, counts.Open[0].Records)
	require.Equal(t, held.Topic, counts.Open[0].Topic)
}
