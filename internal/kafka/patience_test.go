package kafka

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
)

// twoRecords is a cluster with a topic t of one partition that holds two records.
func twoRecords(t *testing.T) (*kfake.Cluster, Config) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	config := Config{Brokers: cluster.ListenAddrs(), ClientID: "test"}
	client, err := kgo.NewClient(config.Options()...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "t"}, &kgo.Record{Topic: "t"}).FirstErr())
	return cluster, config
}

// A broker that fails for good, without a reason, ends a reading after ten seconds, and
// no sooner; what was read stays read.
func TestReadCommitted_EndsWhereABrokerFailsForGood(t *testing.T) {
	cluster, config := twoRecords(t)
	var looks atomic.Int64
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		asked := request.(*kmsg.FetchRequest)
		if len(asked.Topics) == 0 || asked.Topics[0].Partitions[0].FetchOffset < 2 {
			return nil, nil, false
		}
		return local.Refusal(request, kerr.UnknownServerError.Code), nil, true
	})
	began := time.Now()
	var got []int64
	r := config.newReading(Spans{"t": {0: {To: 5}}}, Sink{
		Each:       func(r *kgo.Record) error { got = append(got, r.Offset); return nil },
		Unreadable: func(u *UnreadableError) error { return u },
	})
	r.now = func() time.Time { return began.Add(time.Duration(looks.Add(1)) * time.Second) }
	require.ErrorIs(t, r.run(t.Context()), kerr.UnknownServerError)
	require.Equal(t, []int64{0, 1}, got)
	require.EqualValues(t, 11, looks.Load(), "once for the first failure, and then until ten seconds have passed")
}

// A look that fails because a leader moves says nothing: it is made again, as the client
// fetches again by itself.
func TestReadCommitted_OutlastsALookWhileALeaderMoves(t *testing.T) {
	cluster, config := twoRecords(t)
	var looks atomic.Int64
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		code := kerr.UnknownServerError.Code
		if kafkatest.IsLook(request) {
			looks.Add(1)
			code = kerr.NotLeaderForPartition.Code
		}
		if looks.Load() > 3 {
			return nil, nil, false
		}
		return local.Refusal(request, code), nil, true
	})
	var got []int64
	require.NoError(t, config.ReadCommitted(t.Context(), Spans{"t": {0: {To: 2}}}, Sink{
		Each:       func(r *kgo.Record) error { got = append(got, r.Offset); return nil },
		Unreadable: func(u *UnreadableError) error { return u },
	}))
	require.Equal(t, []int64{0, 1}, got)
	require.Greater(t, looks.Load(), int64(3))
}

// What passes is waited for; what is found in the log is not, nor what a caller says.
func TestPatience_WaitsForWhatPasses(t *testing.T) {
	clock := time.Now()
	p := Patience{now: func() time.Time { return clock }}
	damaged := &UnreadableError{Topic: "t", Err: kerr.CorruptMessage}
	for _, err := range []error{damaged, kerr.CorruptMessage, kerr.TopicAuthorizationFailed, errors.New("full")} {
		require.ErrorIs(t, p.Wait(t.Context(), err), err)
	}
	require.NoError(t, p.Wait(t.Context(), nil))
	moving := fmt.Errorf("looking at t/0: %w", kerr.NotLeaderForPartition)
	require.NoError(t, p.Wait(t.Context(), moving))
	clock = clock.Add(failingPatience)
	require.ErrorIs(t, p.Wait(t.Context(), moving), moving, "not forever")
	clock = clock.Add(forgottenAfter + 1)
	require.NoError(t, p.Wait(t.Context(), moving), "a failure much later is another")
	clock = clock.Add(failingPatience)
	require.Error(t, p.Wait(t.Context(), moving))
	p.Reset()
	require.NoError(t, p.Wait(t.Context(), moving))
}
