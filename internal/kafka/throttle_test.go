package kafka

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestThrottle_RemembersWhatIsImposedOnProducing(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	clock := time.Unix(1000, 0)
	throttle := NewThrottle(NewThrottleLog(slog.New(slog.NewTextHandler(&log, nil))))
	now := func() time.Time { return clock }
	throttle.now, throttle.log.now = now, now
	answer := func(broker int32, key kmsg.Key, by time.Duration) {
		meta := kgo.BrokerMetadata{NodeID: broker}
		throttle.OnBrokerRead(meta, int16(key), 100, 0, 0, nil)
		if by > 0 {
			throttle.OnBrokerThrottle(meta, by, true)
		}
	}
	require.Zero(t, throttle.Until())
	answer(1, kmsg.Produce, 4*time.Second)
	answer(2, kmsg.Produce, time.Second)
	answer(1, kmsg.Fetch, time.Minute)
	answer(1, kmsg.Produce, 0)
	require.Equal(t, clock.Add(4*time.Second), throttle.Until(), "of the broker that takes longest; reading goes on")
	require.Equal(t, 5*time.Second, throttle.Imposed())
	require.Equal(t, 1, strings.Count(log.String(), "request=Produce throttle=4s broker=1"))
	require.Equal(t, 1, strings.Count(log.String(), "request=Fetch throttle=1m0s"))
	require.Equal(t, 2, strings.Count(log.String(), "\n"), "now and then, not with every answer")
	clock = clock.Add(sayAgain)
	answer(1, kmsg.Produce, time.Second)
	require.Equal(t, 3, strings.Count(log.String(), "\n"))
	require.Equal(t, clock.Add(time.Second), throttle.Until())
}

// A batch larger than a quota's window never comes: the log says so.
func TestThrottle_SaysWhatItMayMeanWhenNothingElseComes(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	clock := time.Unix(1000, 0)
	throttle := NewThrottle(NewThrottleLog(slog.New(slog.NewTextHandler(&log, nil))))
	now := func() time.Time { return clock }
	throttle.now, throttle.log.now = now, now
	fetch := func(by time.Duration) {
		meta := kgo.BrokerMetadata{NodeID: 1}
		throttle.OnBrokerWrite(meta, int16(kmsg.Fetch), 100, 0, 0, nil)
		throttle.OnBrokerRead(meta, int16(kmsg.Fetch), 100, 0, 0, nil)
		if by > 0 {
			throttle.OnBrokerThrottle(meta, by, true)
		}
	}
	nothing := func() int { return strings.Count(log.String(), "gives this client nothing") }
	for range 6 {
		fetch(10 * time.Second)
		clock = clock.Add(10 * time.Second)
	}
	require.Zero(t, nothing())
	fetch(10 * time.Second)
	require.Equal(t, 1, nothing())
	fetch(0)
	clock = clock.Add(10 * time.Second)
	fetch(10 * time.Second)
	require.Equal(t, 1, nothing(), "something came meanwhile")
}

// So it does where another client of the process is throttled as well, and named first.
func TestThrottle_SaysThatNothingElseComesBesideAnotherClient(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	clock := time.Unix(1000, 0)
	now := func() time.Time { return clock }
	named := NewThrottleLog(slog.New(slog.NewTextHandler(&log, nil)))
	named.now = now
	client := func() *Throttle {
		throttle := NewThrottle(named)
		throttle.now = now
		return throttle
	}
	starving, other := client(), client()
	fetch := func(throttle *Throttle, by time.Duration) {
		meta := kgo.BrokerMetadata{NodeID: 1}
		throttle.OnBrokerWrite(meta, int16(kmsg.Fetch), 100, 0, 0, nil)
		throttle.OnBrokerRead(meta, int16(kmsg.Fetch), 100, 0, 0, nil)
		if by > 0 {
			throttle.OnBrokerThrottle(meta, by, true)
		}
	}
	for range 7 { // the last after a minute
		fetch(other, time.Second) // the other is named, each time
		fetch(other, 0)
		clock = clock.Add(time.Second)
		fetch(starving, 10*time.Second)
		clock = clock.Add(sayAgain - time.Second)
	}
	require.Equal(t, 7, strings.Count(log.String(), "Kafka throttles this client"))
	require.Equal(t, 1, strings.Count(log.String(), "gives this client nothing"), log.String())
}
