package deadletters

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

// The client takes "invalid epoch" from a log that begins past what it wrote there
// for the broker's having forgotten it, asks for a new epoch and produces again.
// Where the broker gives it one (before Kafka 2.5 all do, to whoever asks) another
// replay's fence is overcome: the transaction could be committed.
func TestAFencedClientWithANewEpochCommitsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var pairs []pair
	for i := range 2 { // of one key and one partition: what the first is acknowledged, the second can miss
		l := &kgo.Record{Topic: w.config.Topics.DLQ, Key: []byte("A"), Value: []byte("{"), Headers: letterHeaders(i, schemas.ErrorClassDecode)}
		w.write(l)
		pairs = append(pairs, pair{Position{l.Partition, l.Offset}, original(l, w.config.Topics), marker(l, w.config.Topics)})
	}
	first, err := openWriter(t.Context(), w.config)
	require.NoError(t, err)
	t.Cleanup(first.close)
	require.NoError(t, first.write(t.Context(), pairs[:1]))
	require.EqualValues(t, 1, w.replayed().Replayed, "another replay takes the second")

	// The two records may travel apart: what is refused goes by the epoch, not by when
	// it comes.
	producer, epoch, err := first.client.ProducerID(t.Context())
	require.NoError(t, err)
	var fenced, renewed atomic.Bool
	cluster := w.broker.Cluster()
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		produce := request.(*kmsg.ProduceRequest)
		var b kmsg.RecordBatch
		readable := b.ReadFrom(produce.Topics[0].Partitions[0].Records) == nil
		if !readable || b.ProducerID != producer || b.ProducerEpoch != epoch {
			renewed.Store(readable)
			return nil, nil, false
		}
		fenced.Store(true)
		return forgotten(produce), nil, true
	})
	require.ErrorIs(t, first.write(t.Context(), pairs[1:]), errTaken)
	require.True(t, fenced.Load() && renewed.Load())
	require.Equal(t, map[string]int{"0/0": 1, "0/1": 1}, w.markers())
	require.Equal(t, map[string]int{"t.applications.dlq/0/0": 1, "t.applications.dlq/0/1": 1}, w.replayedFrom())
}

// forgotten refuses a producer's epoch in logs that retention has emptied.
func forgotten(request *kmsg.ProduceRequest) kmsg.Response {
	response := local.Refusal(request, kerr.InvalidProducerEpoch.Code).(*kmsg.ProduceResponse)
	for t := range response.Topics {
		for p := range response.Topics[t].Partitions {
			response.Topics[t].Partitions[p].LogStartOffset = 1000
		}
	}
	return response
}
