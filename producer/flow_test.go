package producer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBrokersThatAcknowledgeNothingAreNoticed(t *testing.T) {
	t.Parallel()
	var f flow
	now := time.Unix(1_800_000_000, 0)
	after := func(d time.Duration) time.Time { now = now.Add(d); return now }
	require.Zero(t, f.stalled(now), "nothing was sent")
	f.sent(now)
	f.landed(after(time.Second))
	require.Equal(t, now, f.last())
	require.Zero(t, f.stalled(after(time.Hour)), "nothing is open")
	f.sent(now)
	require.Zero(t, f.stalled(now), "a pause before is not held against the brokers")
	f.sent(after(9 * time.Second))
	require.Zero(t, f.stalled(now))
	require.Equal(t, 11*time.Second, f.stalled(after(2*time.Second)))
	f.landed(now)
	require.Zero(t, f.stalled(now), "one of two has come back")
	require.Equal(t, 10*time.Second, f.stalled(after(10*time.Second)))
	f.landed(now)
	require.Zero(t, f.stalled(after(time.Hour)))
}
