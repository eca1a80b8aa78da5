package kafka_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
)

func TestBounds_EndWhereATransactionIsOpen(t *testing.T) {
	h := newHeld(t, "LogAppendTime")
	h.write(h.plain, 0, 3)
	h.write(h.plain, 1, 2)
	require.NoError(t, h.holder.BeginTransaction())
	h.write(h.holder, 0, 1)
	h.write(h.plain, 0, 4)

	bounds, err := kafka.Bounds(t.Context(), h.admin, topic)
	require.NoError(t, err)
	require.Equal(t, kafka.Spans{topic: {0: {To: 3}, 1: {To: 2}}}, bounds)

	require.NoError(t, h.holder.EndTransaction(t.Context(), kgo.TryAbort))
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 2})
	_, err = h.admin.DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	bounds, err = kafka.Bounds(t.Context(), h.admin, topic)
	require.NoError(t, err)
	require.Equal(t, kafka.Spans{topic: {0: {From: 2, To: 9}, 1: {To: 2}}}, bounds)
}

func TestBounds_OfATopicThatIsMissingAreAnError(t *testing.T) {
	h := newHeld(t, "LogAppendTime")
	_, err := kafka.Bounds(t.Context(), h.admin, topic, "no-such-topic")
	require.ErrorContains(t, err, "no-such-topic")
}
