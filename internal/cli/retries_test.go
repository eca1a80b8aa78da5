package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// failingPartition makes every produce request that goes to a partition fail for
// good until the test says otherwise. The partition's leader leads no other of the
// topic.
func failingPartition(t *testing.T, cluster *kfake.Cluster, topic string, partition int32) (mended *atomic.Bool) {
	for p := range int32(3) {
		node := int32(0)
		if p == partition {
			node = 1
		}
		require.NoError(t, cluster.MoveTopicPartition(topic, p, node))
	}
	mended = &atomic.Bool{}
	cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp, hit := r.ResponseKind().(*kmsg.ProduceResponse), false
		for _, t := range r.(*kmsg.ProduceRequest).Topics {
			topic := kmsg.NewProduceResponseTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				hit = hit || p.Partition == partition
				failed := kmsg.NewProduceResponseTopicPartition()
				failed.Partition, failed.ErrorCode = p.Partition, kerr.MessageTooLarge.Code
				topic.Partitions = append(topic.Partitions, failed)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, hit && !mended.Load()
	})
	return mended
}

// One of three partitions takes nothing at a batch's first attempt. Its retry, by
// way of Redis and the log, answers what was recorded as it was and decides the rest.
func TestRetriedBatch_IsRecordedOnce(t *testing.T) {
	t.Parallel()
	w := startAPIOn(t, []kfake.Opt{kfake.NumBrokers(2)}, nil)
	mended := failingPartition(t, w.broker.Cluster(), "t.predictions", 1)
	const n = 60
	var items []string
	for i := range n {
		items = append(items, applicationBody(fmt.Sprintf("B-%d", i)))
	}
	ask := func() (all []json.RawMessage, failed int, replayed bool) {
		status, body, header := w.do(http.MethodPost, "/predict/batch", `{"applications":[`+strings.Join(items, ",")+`]}`, "Idempotency-Key", "k")
		require.Equal(t, http.StatusOK, status, body)
		var answer struct{ Predictions []json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		return answer.Predictions, strings.Count(body, ":unrecorded"), header.Get("Idempotency-Replayed") == "true"
	}
	first, failed, _ := ask()
	require.NotZero(t, failed)
	require.Less(t, failed, n)
	again, failedAgain, replayed := ask()
	require.Equal(t, first, again)
	require.Equal(t, failed, failedAgain)
	require.False(t, replayed)

	mended.Store(true)
	second, left, replayed := ask()
	require.Zero(t, left)
	require.False(t, replayed)
	same := 0
	for i := range first {
		if string(first[i]) == string(second[i]) {
			same++
		}
	}
	require.Equal(t, n-failed, same, "what was recorded is answered as it was")
	third, _, replayed := ask()
	require.True(t, replayed)
	require.Equal(t, second, third)
	require.Len(t, w.predictions(n), n)
	var total int64
	require.Eventually(t, func() bool { // the client may not have heard yet which partitions have moved
		ends, err := kadm.NewClient(w.client).ListEndOffsets(t.Context(), "t.predictions")
		if err != nil || ends.Error() != nil {
			return false
		}
		total = 0
		ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
		return true
	}, time.Minute, 10*time.Millisecond)
	require.EqualValues(t, n, total, "each once")
	for _, key := range w.redis.Server().Keys() {
		if kind := w.redis.Server().Type(key); kind == "hash" {
			require.Less(t, len(w.redis.Server().HGet(key, "note")), 64+24*n, "positions alone")
		}
	}
}

// Requests of which nothing can be decided leave nothing in Redis.
func TestInvalidBatches_LeaveNothingInRedis(t *testing.T) {
	t.Parallel()
	w := startAPI(t)
	body := `{"applications":[` + strings.TrimSuffix(strings.Repeat(`{},`, 1000), ",") + `]}`
	for i := range 20 {
		status, answer, _ := w.do(http.MethodPost, "/predict/batch", body, "Idempotency-Key", fmt.Sprint("k-", i))
		require.Equal(t, http.StatusOK, status)
		require.Greater(t, len(answer), 100_000)
	}
	require.Empty(t, w.redis.Server().Keys())
}
