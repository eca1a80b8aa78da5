package release

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

// Where a transaction was aborted the log is looked at. A look that fails because a leader
// moves takes no route away: it is read again.
func TestFollower_ReadsARouteAgainWhereALookFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.release("v2")
	w.champion(-1, "v1")
	f := w.followSoon()
	w.serves(f, 0, "v1")
	held, letGo := kafkatest.Hold(w.broker.Cluster())
	<-held
	tx, err := kgo.NewClient(append(w.config.Options(), kgo.TransactionalID("aborts"))...)
	require.NoError(t, err)
	defer tx.Close()
	require.NoError(t, tx.BeginTransaction())
	require.NoError(t, tx.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Routes}).FirstErr())
	require.NoError(t, tx.EndTransaction(t.Context(), kgo.TryAbort))
	w.putRoute(schemas.Route{Champion: "v2", By: "test", Why: "test"})
	var looks atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if request.(*kmsg.FetchRequest).MaxWaitMillis != 500 || looks.Add(1) > 3 { // a look
			return nil, nil, false
		}
		return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
	})
	letGo()
	w.serves(f, 4, "v2")
	require.Greater(t, looks.Load(), int64(3))
}

// What is damaged stops its partition alone. All of it is named, and nothing else is read
// again for it.
func TestFollower_StopsOnlyWhereABatchIsDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.createTopics()
	w.release("v1")
	w.champion(-1, "v1")
	f := w.followSoon()
	w.serves(f, 0, "v1")
	held, letGo := kafkatest.Hold(w.broker.Cluster())
	<-held
	w.putRoute(schemas.Route{Champion: "v1", By: "test", Why: "test"})
	w.put("v2", version(t, "v2"))
	require.NoError(t, kafkatest.Records(dir, w.topics.Routes, 0, 2))
	require.NoError(t, kafkatest.Records(dir, w.topics.Models, 0, 1))
	letGo()
	named := func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "t.models/0 cannot be read at offset") && strings.Contains(err.Error(), "t.routes/0 cannot be read at offset 2")
	}
	w.eventually(func() bool { return named(f.Pending()) }, "it names both")
	var connections, fetches atomic.Int64
	for key, n := range map[kmsg.Key]*atomic.Int64{kmsg.ApiVersions: &connections, kmsg.Fetch: &fetches} {
		w.broker.Cluster().ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.broker.Cluster().KeepControl()
			n.Add(1)
			return nil, nil, false
		})
	}
	w.eventually(func() bool { return fetches.Load() > 100 }, "it looks again and again")
	require.Less(t, connections.Load(), int64(10), "no client begins anew")
	require.True(t, named(f.Pending()))
	w.serves(f, 0, "v1")
}

// No route is in a batch that no creditstream writes: the model of --model serves on, where
// there never was a route.
func TestOversizedBatch_IsNoRouteThatIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	require.NoError(t, kafkatest.Oversized(t.Context(), w.config.Brokers, w.topics.Routes, kafka.MaxBatch+1))
	f := w.fallingBack(-1)
	w.serves(f, -1, shippedVersion(t))
}
