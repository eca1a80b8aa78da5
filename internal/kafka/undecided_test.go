package kafka

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/local"
)

// What an answer does not say was aborted is left out all the same, and what is
// handed on keeps its order. An embedded broker that cuts an answer at its bytes
// does not say which of its transactions were aborted.
func TestReadCommittedDoesNotRelyOnWhatAnAnswerSaysWasAborted(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	config := Config{Brokers: []string{broker.Addr()}, ClientID: "test"}
	var writers []*kgo.Client
	for i := range 3 {
		w, err := kgo.NewClient(append(config.Options(), kgo.TransactionalID(fmt.Sprint("writer-", i)))...)
		require.NoError(t, err)
		t.Cleanup(w.Close)
		writers = append(writers, w)
	}
	plain, err := kgo.NewClient(config.Options()...)
	require.NoError(t, err)
	t.Cleanup(plain.Close)
	_, err = CreateTopics(t.Context(), kadm.NewClient(plain), []TopicSpec{{Name: "t", Partitions: 1, Replication: 1}})
	require.NoError(t, err)
	// Transactions that overlap, most of them aborted, and records in none.
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var want []int64
	mine := make([][]int64, len(writers))
	write := func(w *kgo.Client) int64 {
		r := &kgo.Record{Topic: "t", Value: make([]byte, 500)}
		require.NoError(t, w.ProduceSync(t.Context(), r).FirstErr())
		return r.Offset
	}
	for range 300 {
		i := random.IntN(len(writers) + 1)
		if i == len(writers) {
			want = append(want, write(plain))
			continue
		}
		if mine[i] == nil {
			require.NoError(t, writers[i].BeginTransaction())
		}
		mine[i] = append(mine[i], write(writers[i]))
		if random.IntN(4) == 0 {
			commit := kgo.TransactionEndTry(random.IntN(3) == 0)
			require.NoError(t, writers[i].EndTransaction(t.Context(), commit))
			if commit {
				want = append(want, mine[i]...)
			}
			mine[i] = nil
		}
	}
	end := write(plain) + 1
	want = append(want, end-1)
	for i, w := range writers {
		if mine[i] != nil {
			require.NoError(t, w.EndTransaction(t.Context(), kgo.TryAbort))
		}
	}
	for _, most := range []int32{1, 2_000, 10_000, 1 << 20} {
		var got []int64
		read := Sink{Each: func(r *kgo.Record) error { got = append(got, r.Offset); return nil }}
		require.NoError(t, config.readCommitted(t.Context(), Spans{"t": {0: {To: end}}}, read, kgo.FetchMaxBytes(most), kgo.FetchMaxPartitionBytes(most)))
		require.IsIncreasing(t, got)
		require.ElementsMatch(t, want, got, "%d bytes at a time", most)
	}
}

// A span ends where it ends: what is past it decides and is not handed on.
func TestAMarkerPastTheEndOfASpanCounts(t *testing.T) {
	t.Parallel()
	record := func(offset, producer int64) *kgo.Record {
		return &kgo.Record{Topic: "t", Offset: offset, ProducerID: producer, Attrs: inTransaction()}
	}
	f := func(became byte, want ...int64) {
		var got []int64
		p := partitionReader{to: 2, out: Sink{Each: func(r *kgo.Record) error { got = append(got, r.Offset); return nil }}}
		require.NoError(t, p.take(record(0, 7), false))
		require.NoError(t, p.take(record(1, 8), false))
		require.False(t, p.isDone())
		require.NoError(t, p.take(record(2, 8), false))
		require.NoError(t, p.take(marker(3, 8, 1), false))
		require.Empty(t, got, "in order: the first is open")
		require.NoError(t, p.take(marker(4, 7, became), false))
		require.Equal(t, want, got)
		require.True(t, p.isDone())
	}
	f(1, 0, 1)
	f(0, 1)
}

// When retention has removed the markers, the broker's word is all there is.
func TestWithoutTheirMarkersRecordsAreTakenAsTheyCame(t *testing.T) {
	t.Parallel()
	var got []int64
	gaps := 0
	p := partitionReader{to: 5, out: Sink{
		Each: func(r *kgo.Record) error { got = append(got, r.Offset); return nil },
		Gap:  func(string, int32) { gaps++ },
	}}
	require.NoError(t, p.take(&kgo.Record{Offset: 1, ProducerID: 7, Attrs: inTransaction()}, true))
	require.NoError(t, p.take(marker(2, 9, 0), true))
	require.Empty(t, got)
	require.Zero(t, gaps, "told where it is")
	require.NoError(t, p.giveUp())
	require.Equal(t, []int64{1}, got)
	require.Equal(t, 2, gaps)
}

func inTransaction() kgo.RecordAttrs {
	return kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Transactional: true})
}

// marker ends a producer's transaction: 0 aborts, 1 commits.
func marker(offset, producer int64, became byte) *kgo.Record {
	return &kgo.Record{
		Topic: "t", Offset: offset, ProducerID: producer, Key: []byte{0, 0, 0, became},
		Attrs: kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Transactional: true, Control: true}),
	}
}
