package kafka

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker that fails for good, without a reason, ends a reading after ten seconds, and
// no sooner; what was read stays read.
func TestReadCommitted_EndsWhereABrokerFailsForGood(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	config := Config{Brokers: cluster.ListenAddrs(), ClientID: "test"}
	client, err := kgo.NewClient(config.Options()...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "t"}, &kgo.Record{Topic: "t"}).FirstErr())
	var looks atomic.Int64
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		asked := request.(*kmsg.FetchRequest)
		if len(asked.Topics) == 0 || asked.Topics[0].Partitions[0].FetchOffset < 2 {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.FetchResponse)
		failed := kmsg.NewFetchResponseTopic()
		failed.Topic, failed.TopicID = asked.Topics[0].Topic, asked.Topics[0].TopicID
		partition := kmsg.NewFetchResponseTopicPartition()
		partition.ErrorCode = kerr.UnknownServerError.Code
		failed.Partitions = append(failed.Partitions, partition)
		response.Topics = append(response.Topics, failed)
		return response, nil, true
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
