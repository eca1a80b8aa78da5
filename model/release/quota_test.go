package release

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafkatest"
)

// Over a quota nothing comes for a while that is there: a reader that starts waits for it
// with the client it has. To read it with another would use up the same quota.
func TestReader_WaitsForAQuotaWhenItStarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.champion(-1, "v1")
	var over atomic.Bool
	var others atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if kafkatest.IsLook(request) || request.(*kmsg.FetchRequest).MaxBytes > 50<<20 { // more than the client asks for by default
			others.Add(1)
		}
		if over.Load() {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.FetchResponse)
		response.ThrottleMillis = 100
		return response, nil, true
	})
	r, err := openReader(t.Context(), w.config, w.topics, time.Hour, time.Second, nil)
	require.NoError(t, err)
	defer r.close()
	require.NoError(t, r.findEnds(t.Context()))
	w.eventually(func() bool { return r.silence.Throttled(r.client) }, "it is throttled before it waits")
	var topics []string
	take := func(rec *kgo.Record) { topics = append(topics, rec.Topic) }
	require.NoError(t, r.poll(t.Context(), take))
	require.Empty(t, topics)
	over.Store(true)
	for !r.caughtUp() {
		require.NoError(t, r.poll(t.Context(), take))
	}
	require.ElementsMatch(t, []string{w.topics.Models, w.topics.Routes}, topics)
	require.Zero(t, others.Load())
}
