package kafka_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
)

// A batch that was aborted and is too large for a client to see that holds up nothing: not
// what lies behind it, and not the end where nothing does.
func TestReadCommitted_GetsPastAnAbortedBatchThatIsTooLarge(t *testing.T) {
	t.Parallel()
	_, config, client := damaged(t, 1)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}).FirstErr())
	require.NoError(t, kafkatest.AbortedOversized(t.Context(), config.Brokers, topic, kafka.MaxBatch+1)) // 1 and its marker
	got, broken := readUpTo(t, config, 2)
	require.Equal(t, []int64{0}, got)
	require.Empty(t, broken)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}).FirstErr())
	got, broken = readUpTo(t, config, 4)
	require.Equal(t, []int64{0, 3}, got)
	require.Empty(t, broken)
	u, next, err := kafka.Unreadable(t.Context(), client, topic, 0, 1)
	require.NoError(t, err)
	require.Nil(t, u)
	require.EqualValues(t, 2, next)
}

// An earlier transaction of the same producer that was aborted takes nothing along.
func TestUnreadable_NamesACommittedBatchBehindAnAbortedOne(t *testing.T) {
	t.Parallel()
	_, config, client := damaged(t, 1)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}).FirstErr())
	tx, err := kgo.NewClient(append(config.Options(), kgo.TransactionalID("both"), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(100<<20), kgo.MaxBufferedBytes(200<<20), kgo.BrokerMaxWriteBytes(200<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))...)
	require.NoError(t, err)
	defer tx.Close()
	for _, one := range []struct {
		value []byte
		end   kgo.TransactionEndTry
	}{{nil, kgo.TryAbort}, {make([]byte, kafka.MaxBatch+1), kgo.TryCommit}} {
		require.NoError(t, tx.BeginTransaction())
		require.NoError(t, tx.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: one.value}).FirstErr())
		require.NoError(t, tx.EndTransaction(t.Context(), one.end))
	}
	u, next, err := kafka.Unreadable(t.Context(), client, topic, 0, 1)
	require.NoError(t, err)
	require.NotNil(t, u)
	require.Equal(t, kafka.Span{From: 3, To: 4}, kafka.Span{From: u.From, To: u.To})
	require.EqualValues(t, 4, next)
}

// What the client complains of and a look can read is waited for, not asked for without end.
func TestAhead_IsInDoubtWhereALookCanRead(t *testing.T) {
	t.Parallel()
	_, config, client := damaged(t, 1)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}).FirstErr())
	places := kafka.NewPlaces(config)
	defer places.Close()
	u, next, err := places.Ahead(t.Context(), client, kgo.FetchError{Topic: topic, Err: errors.New("encoded crc")}, 0)
	require.Nil(t, u)
	require.Zero(t, next)
	require.True(t, kafka.IsPassing(err))
	_, _, err = places.Ahead(t.Context(), client, kgo.FetchError{Topic: topic}, 0)
	require.NoError(t, err, "nothing has come, and nothing is wrong")
}
