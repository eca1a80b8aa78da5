package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestSilence_IsAThrottlesUntilAFetchIsAnsweredWithoutOne(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1000, 0)
	throttle := NewThrottle(nil)
	throttle.now = func() time.Time { return clock }
	client, err := kgo.NewClient(kgo.WithHooks(new(unpacker), throttle)) // asks nobody
	require.NoError(t, err)
	t.Cleanup(client.Close)
	answer := func(broker int32, key kmsg.Key, by time.Duration) {
		meta := kgo.BrokerMetadata{NodeID: broker}
		throttle.OnBrokerWrite(meta, int16(key), 100, 0, 0, nil)
		throttle.OnBrokerRead(meta, int16(key), 100, 0, 0, nil)
		if by > 0 {
			throttle.OnBrokerThrottle(meta, by, true)
		}
	}
	var s Silence
	f := func(want bool, why string) { t.Helper(); require.Equal(t, want, s.Throttled(client), why) }
	f(false, "no broker has said a thing")
	answer(1, kmsg.Produce, time.Minute)
	f(false, "that is no reading")
	answer(1, kmsg.Fetch, 2*time.Second)
	f(true, "the broker holds back what the client fetches")
	clock = clock.Add(2*time.Second + heldPatience - 1)
	f(true, "the next fetch may wait for records")
	clock = clock.Add(1)
	f(false, "it is long over, and the broker does not answer")
	answer(1, kmsg.Fetch, 2*time.Second)
	answer(2, kmsg.Fetch, 0)
	answer(2, kmsg.Fetch, 0)
	f(true, "another broker's answer says nothing of this one's partitions")
	answer(1, kmsg.Fetch, 0)
	f(true, "what the answer brought may not have been polled yet")
	answer(1, kmsg.Fetch, 2*time.Second)
	f(false, "a client that asks for the same broken batch again and again is throttled for that")
	s.Broken(client)
	f(true, "nothing was answered since")

	plain, err := kgo.NewClient()
	require.NoError(t, err)
	t.Cleanup(plain.Close)
	s.Broken(plain)
	require.False(t, s.Throttled(plain), "nobody takes note of its throttles")
}

// What a look has found stays found while a quota keeps the client from reading.
func TestStalls_KeepsWhatItHasFoundUnderAQuota(t *testing.T) {
	t.Parallel()
	throttle := NewThrottle(nil)
	client, err := kgo.NewClient(kgo.WithHooks(throttle)) // asks nobody
	require.NoError(t, err)
	t.Cleanup(client.Close)
	throttle.OnBrokerRead(kgo.BrokerMetadata{NodeID: 1}, int16(kmsg.Fetch), 100, 0, 0, nil)
	throttle.OnBrokerThrottle(kgo.BrokerMetadata{NodeID: 1}, time.Hour, true)
	found := &UnreadableError{Topic: "t", Partition: 0, From: 5, To: -1}
	stalls := Stalls{at: map[int32]int64{0: 5, 1: 7}, found: map[int32]*UnreadableError{0: found, 1: nil}}
	stalled, err := stalls.Look(t.Context(), client, "t", map[int32]int64{0: 5, 1: 7})
	require.NoError(t, err)
	require.Equal(t, []*UnreadableError{found}, stalled)
	stalled, err = stalls.Look(t.Context(), client, "t", map[int32]int64{0: 6, 1: 7})
	require.NoError(t, err)
	require.Empty(t, stalled, "it went on")
}
