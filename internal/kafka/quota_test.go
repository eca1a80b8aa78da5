package kafka_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
)

// quota is a broker that answers some fetches as Kafka does over a quota, with nothing
// but a throttle, and takes note of those that are looks at the log.
type quota struct {
	broker   *local.Kafka
	dir      string
	asked    atomic.Int64
	looks    atomic.Int64
	throttle func(n int64, fetch *kmsg.FetchRequest) time.Duration // of the n-th fetch, from 1
}

func startQuota(t *testing.T, throttle func(n int64, fetch *kmsg.FetchRequest) time.Duration) *quota {
	q := &quota{dir: t.TempDir(), throttle: throttle}
	var err error
	q.broker, err = local.StartKafka(q.dir)
	require.NoError(t, err)
	t.Cleanup(q.broker.Close)
	client, err := kgo.NewClient(append(q.config(nil).Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(client), []kafka.TopicSpec{{Name: topic, Partitions: 1, Replication: 1}})
	require.NoError(t, err)
	for range 4 { // batches of three
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}, &kgo.Record{Topic: topic}, &kgo.Record{Topic: topic}).FirstErr())
	}
	q.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		q.broker.Cluster().KeepControl()
		fetch := request.(*kmsg.FetchRequest)
		if kafkatest.IsLook(fetch) {
			q.looks.Add(1)
		}
		by := q.throttle(q.asked.Add(1), fetch)
		if by == 0 {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.FetchResponse) // no topic, no session
		response.ThrottleMillis = int32(by.Milliseconds())
		return response, nil, true
	})
	return q
}

func (q *quota) config(log *slog.Logger) kafka.Config {
	return kafka.Config{Brokers: []string{q.broker.Addr()}, ClientID: "test", Log: log, Throttles: kafka.NewThrottleLog(log)}
}

// told counts what a log says of throttles.
type told struct{ throttles atomic.Int64 }

func (l *told) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("Kafka throttles this client")) {
		l.throttles.Add(1)
	}
	return len(line), nil
}

// Whatever a quota makes a reader wait, it reads everything and looks at nothing: that
// would use up the quota.
func TestReadCommitted_WaitsForAQuotaAndLooksAtNothing(t *testing.T) {
	t.Parallel()
	var fetches atomic.Int64
	q := startQuota(t, func(_ int64, fetch *kmsg.FetchRequest) time.Duration {
		if kafkatest.IsLook(fetch) {
			return 0
		}
		switch n := fetches.Add(1); {
		case n == 1:
			fetch.MaxBytes = 1 // one batch comes: from then on it is known what is waited for
		case n <= 4:
			return 800 * time.Millisecond
		}
		return 0
	})
	var log told
	var got []int64
	config := q.config(slog.New(slog.NewTextHandler(&log, nil))).Quiet()
	require.NoError(t, config.ReadCommitted(t.Context(), kafka.Spans{topic: {0: {To: 12}}}, kafka.Sink{
		Each: func(r *kgo.Record) error {
			if got = append(got, r.Offset); r.Offset == 2 { // the first batch's last
				require.Eventually(t, func() bool { return log.throttles.Load() > 0 }, time.Minute, time.Millisecond)
				q.looks.Store(0) // a slow machine may have looked before
			}
			return nil
		},
	}))
	require.Equal(t, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, got)
	require.Greater(t, fetches.Load(), int64(4))
	require.Zero(t, q.looks.Load())
	require.EqualValues(t, 1, log.throttles.Load(), "named once, by those too who say their errors themselves")
}

// Kafka answers with nothing where an answer would be more than what others leave of a
// quota: who asks for too much asks for less.
func TestReadCommitted_AsksForLessUnderAQuota(t *testing.T) {
	t.Parallel()
	q := startQuota(t, func(_ int64, fetch *kmsg.FetchRequest) time.Duration {
		if fetch.MaxBytes > 100_000 {
			return time.Millisecond
		}
		return 0
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read := 0
	require.NoError(t, q.config(nil).ReadCommitted(ctx, kafka.Spans{topic: {0: {To: 12}}}, kafka.Sink{
		Each: func(*kgo.Record) error { read++; return nil },
	}))
	require.Equal(t, 12, read)
}

// A client that asks for a broken batch again and again is throttled for that: the batch
// is found all the same, and the look at it waits for as long as the broker says.
func TestReadCommitted_FindsWhatCannotBeReadUnderAQuota(t *testing.T) {
	t.Parallel()
	q := startQuota(t, func(n int64, _ *kmsg.FetchRequest) time.Duration { return time.Duration(n%2) * 50 * time.Millisecond })
	require.NoError(t, kafkatest.Flip(q.dir, topic, 0, 4, true))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []int64
	var broken []kafka.Span
	require.NoError(t, q.config(nil).ReadCommitted(ctx, kafka.Spans{topic: {0: {To: 12}}}, kafka.Sink{
		Each: func(r *kgo.Record) error { got = append(got, r.Offset); return nil },
		Unreadable: func(u *kafka.UnreadableError) error {
			broken = append(broken, kafka.Span{From: u.From, To: u.To})
			return nil
		},
	}))
	require.Equal(t, []int64{0, 1, 2, 6, 7, 8, 9, 10, 11}, got)
	require.Equal(t, []kafka.Span{{From: 3, To: 6}}, broken)
	require.NotZero(t, q.looks.Load())
}

// What a client waits for that a quota holds back has not stalled.
func TestStalls_LooksAtNothingUnderAQuota(t *testing.T) {
	t.Parallel()
	q := startQuota(t, func(int64, *kmsg.FetchRequest) time.Duration { return time.Minute })
	client, err := kgo.NewClient(append(q.config(nil).Options(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}}))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.Eventually(t, func() bool { return new(kafka.Silence).Throttled(client) }, time.Minute, time.Millisecond)
	var stalls kafka.Stalls
	for range 3 {
		stalled, err := stalls.Look(t.Context(), client, topic, map[int32]int64{0: 0})
		require.NoError(t, err)
		require.Empty(t, stalled)
	}
	require.Zero(t, q.looks.Load())
}
