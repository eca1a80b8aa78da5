package kafka_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
)

// A look asks the leader that the client knows, and looks who leads only where that one does not.
func TestLook_AsksWhoLeadsOnceAndAgainWhereThatMoved(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(1, topic))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kafka.Config{Brokers: cluster.ListenAddrs(), ClientID: "test"}.Options()...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}).FirstErr())
	var asked atomic.Int64
	cluster.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		asked.Add(1)
		return nil, nil, false
	})
	look := func() {
		v, err := kafka.Look(t.Context(), client, topic, 0, 0)
		require.NoError(t, err)
		require.Equal(t, 1, v.Records)
	}
	for range 20 {
		look()
	}
	require.Less(t, asked.Load(), int64(30), "each look is two fetches")
	for _, node := range []int32{0, 1, 0} {
		require.NoError(t, cluster.MoveTopicPartition(topic, 0, node))
		look()
	}
}
