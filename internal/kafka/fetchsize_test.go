package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestFetchSize_HalvesUnderThrottlesAndComesBack(t *testing.T) {
	t.Parallel()
	throttle := NewThrottle(nil)
	client, err := kgo.NewClient(kgo.WithHooks(throttle), kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(128<<10)) // asks nobody
	require.NoError(t, err)
	t.Cleanup(client.Close)
	answer := func(key kmsg.Key, by time.Duration) {
		throttle.OnBrokerWrite(kgo.BrokerMetadata{NodeID: 1}, int16(key), 100, 0, 0, nil)
		throttle.OnBrokerRead(kgo.BrokerMetadata{NodeID: 1}, int16(key), 100, 0, 0, nil)
		if by > 0 {
			throttle.OnBrokerThrottle(kgo.BrokerMetadata{NodeID: 1}, by, true)
		}
	}
	asks := func(total, partition int32, why string) {
		t.Helper()
		require.Equal(t, total, client.OptValue(kgo.FetchMaxBytes), why)
		require.Equal(t, partition, client.OptValue(kgo.FetchMaxPartitionBytes), why)
	}
	answer(kmsg.Produce, time.Second)
	answer(kmsg.Fetch, 0)
	answer(kmsg.Fetch, 0)
	asks(8<<20, 128<<10, "nothing that is fetched is throttled")
	answer(kmsg.Fetch, time.Second)
	asks(512<<10, 128<<10, "what was asked for may be far more than there is")
	answer(kmsg.Fetch, time.Second)
	answer(kmsg.Fetch, time.Second)
	answer(kmsg.Fetch, time.Second)
	asks(64<<10, 64<<10, "a partition's share is no more than the whole")
	for range 10 {
		answer(kmsg.Fetch, time.Second)
	}
	asks(smallestFetch, smallestFetch, "the least")
	answer(kmsg.Fetch, 0)
	answer(kmsg.Fetch, 0) // by then the one before is known to have had no throttle
	asks(2*smallestFetch, 2*smallestFetch, "there is room again")
	for range 20 {
		answer(kmsg.Fetch, 0)
	}
	asks(8<<20, 128<<10, "no more than at first")
}
