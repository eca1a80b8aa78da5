package kafka_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
)

// writeThrees appends batches of three records to partition 0.
func writeThrees(t *testing.T, client *kgo.Client, batches int) {
	t.Helper()
	for range batches {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}, &kgo.Record{Topic: topic}, &kgo.Record{Topic: topic}).FirstErr())
	}
}

// A broker that steps on a batch of a former format fails and does not say why, for the
// offsets of the batch, of the one before it and of what its index does not lead behind.
// It hands out the bytes to who asks for the first offset of a batch before it: the batch
// is named then, and reading goes on where the broker does.
func TestReadCommitted_GoesOnWhereABrokerFailsAtADamagedBatch(t *testing.T) {
	t.Parallel()
	for _, magic := range []byte{0, 1} {
		dir, config, client, broker := damagedBroker(t, 1)
		writeThrees(t, client, 8)
		require.NoError(t, kafkatest.Format(magic)(dir, topic, 0, 13))
		// 12 … 14 are damaged; its index leads to 0 and 17.
		steps := func(at int64) bool { return at > 9 && at < 17 }
		kafkatest.Fail(broker.Cluster(), 0, steps)
		got, broken := readUpTo(t, config, 24)
		require.Equal(t, []kafka.Span{{From: 12, To: 17}}, broken)
		require.Equal(t, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 18, 19, 20, 21, 22, 23}, got)
		u, _, err := kafka.Unreadable(t.Context(), client, topic, 0, 12)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("the broker fails at the batch at offset 12, which says that its format is %d, not 2", magic), u.Err.Error())
		require.False(t, kafka.IsFailing(u.Err))
		// So where it is to be read on behind the batch, and fails there.
		u, _, err = kafka.Unreadable(t.Context(), client, topic, 0, 15)
		require.NoError(t, err)
		require.Equal(t, kafka.Span{From: 15, To: 17}, kafka.Span{From: u.From, To: u.To})
	}
}

// Where the broker shows no damaged batch that it fails at, it is waited for: it may fail
// for any other reason.
func TestUnreadable_BlamesNoBatchThatWasNotSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage kafkatest.Damage // of 12 … 14; nil: none
		fails  func(at int64) bool
	}{
		"what is there is as it was written":        {nil, func(at int64) bool { return at > 9 }},
		"it answers nothing before":                 {kafkatest.Format(0), func(at int64) bool { return at <= 14 }},
		"it shows no more than what comes before":   {kafkatest.Length, func(at int64) bool { return at > 9 }},
		"a batch before it, which it does not mind": {kafkatest.Records, func(at int64) bool { return at > 14 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _, client, broker := damagedBroker(t, 1)
			writeThrees(t, client, 8)
			if c.damage != nil {
				require.NoError(t, c.damage(dir, topic, 0, 13))
			}
			kafkatest.Fail(broker.Cluster(), 0, c.fails)
			at := int64(12)
			if !c.fails(at) {
				at = 15
			}
			_, _, err := kafka.Unreadable(t.Context(), client, topic, 0, at)
			require.ErrorIs(t, err, kerr.UnknownServerError)
		})
	}
	// One that answered when it was asked again had failed for another reason.
	dir, _, client, broker := damagedBroker(t, 1)
	writeThrees(t, client, 8)
	require.NoError(t, kafkatest.Format(0)(dir, topic, 0, 13))
	once := true
	kafkatest.Fail(broker.Cluster(), 0, func(at int64) bool {
		defer func() { once = once && at != 18 }()
		return at == 18 && once || at > 12 && at < 18
	})
	_, _, err := kafka.Unreadable(t.Context(), client, topic, 0, 18)
	require.ErrorIs(t, err, kerr.UnknownServerError)
	u, _, err := kafka.Unreadable(t.Context(), client, topic, 0, 18)
	require.NoError(t, err)
	require.Nil(t, u)
}

// A broker fails for the offset right before a batch of a former format, also where the
// batches before that were looked at: those are in order.
func TestDisorder_GoesOnWhereABrokerFailsRightBeforeABatch(t *testing.T) {
	t.Parallel()
	dir, _, client, broker := damagedBroker(t, 1)
	writeThrees(t, client, 8)
	require.NoError(t, kafkatest.Format(0)(dir, topic, 0, 13))
	failed := kafkatest.Fail(broker.Cluster(), 0, func(at int64) bool { return at > 9 && at < 17 && at != 12 })
	u, checked, err := kafka.Disorder(t.Context(), client, topic, 0, 6, 20)
	require.NoError(t, err)
	require.Nil(t, u)
	require.EqualValues(t, 12, checked)
	require.EqualValues(t, 1, failed.Load())
}
