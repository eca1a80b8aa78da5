package kafkatest

import (
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/local"
)

// Fail makes an embedded broker fail with UNKNOWN_SERVER_ERROR for the offsets of a
// partition that fails says, as Apache Kafka does where it steps on a batch of a former
// format on its way there. Of the other partitions nothing comes in that answer. It counts
// how often it did.
func Fail(cluster *kfake.Cluster, partition int32, fails func(offset int64) bool) *atomic.Int64 {
	n := new(atomic.Int64)
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		fetch := request.(*kmsg.FetchRequest)
		response := fetch.ResponseKind().(*kmsg.FetchResponse)
		failing := false
		for _, topic := range fetch.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition = p.Partition
				if p.Partition == partition && fails(p.FetchOffset) {
					rp.ErrorCode, rp.HighWatermark, failing = kerr.UnknownServerError.Code, -1, true
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			response.Topics = append(response.Topics, rt)
		}
		if failing {
			n.Add(1)
		}
		return response, nil, failing
	})
	return n
}

// Hold holds back what an embedded broker has until it is let go: nothing that is
// appended meanwhile is read. held is closed at the first fetch that it refuses: what the
// same client asked for before has then been answered.
func Hold(cluster *kfake.Cluster) (held <-chan struct{}, letGo func()) {
	var over atomic.Bool
	seen := make(chan struct{})
	once := sync.OnceFunc(func() { close(seen) })
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if over.Load() {
			return nil, nil, false
		}
		once()
		return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
	})
	return seen, func() { over.Store(true) }
}
