package stream

import (
	"context"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

// Where Kafka does not take in time what a transaction writes, it is aborted and
// tried again with fewer records, in the same process, which says that it is not
// ready; once Kafka takes it, all is answered once.
func TestSession_AbortsWhatKafkaDoesNotTakeInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(0, 400)
	var away atomic.Bool
	away.Store(true)
	w.broker.Cluster().ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if !away.Load() {
			return nil, nil, false
		}
		return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
	})
	var log capture.Output
	s := w.scorer("one", func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	s.flushTimeout = 200 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan error, 1)
	go func() { running <- s.Run(ctx) }()
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.aborts) >= 2 }, time.Minute, time.Millisecond)
	require.ErrorContains(t, s.Ready(), "Kafka took longer than 200ms")
	require.Contains(t, log.String(), "transaction aborted, reading its applications again")
	away.Store(false)
	w.exact(400)
	becomesReady(t, s)
	cancel()
	require.NoError(t, <-running)
}

// A produce request that Kafka does not answer at all cannot be taken back: a new
// client aborts the transaction, in the same process.
func TestSession_TakesANewClientWhereKafkaDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(0, 400)
	var requests atomic.Int64
	held := make(chan struct{})
	w.broker.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		if requests.Add(1) == 1 {
			w.broker.Cluster().SleepControl(func() { <-held })
		}
		return nil, nil, false
	})
	var log capture.Output
	s := w.scorer("one", func(c *Config) { c.Sessions, c.Log = 1, slog.New(slog.NewTextHandler(&log, nil)) })
	s.flushTimeout = 100 * time.Millisecond
	stop := run(s)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "starting again with a new client") }, time.Minute, time.Millisecond)
	require.Contains(t, log.String(), "Kafka took longer than 100ms")
	close(held)
	w.exact(400)
	require.NoError(t, stop())
}

// What is there when a process starts is taken in small transactions first, then in
// ever larger ones: whatever the link takes, the first end in time.
func TestSession_BeginsWithSmallTransactions(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 12_000)
	then := time.Now() // no transaction takes any time
	s := w.scorer("one", func(c *Config) { c.Sessions, c.Now = 1, func() time.Time { return then } })
	sizes := &sizes{}
	s.metrics.batch = sizes
	stop := run(s)
	w.exact(12_000)
	require.NoError(t, stop())
	require.LessOrEqual(t, sizes.seen[0], float64(member.FirstSize))
	largest := 0.0
	for i, n := range sizes.seen {
		require.LessOrEqual(t, n, math.Ldexp(member.FirstSize, i))
		largest = max(largest, n)
	}
	require.Greater(t, largest, 2.0*member.FirstSize)
}

// What one session has found too much for Kafka none of the process tries, and together
// they begin with no more than one alone: their quota is one.
func TestSessions_LearnTogetherWhatKafkaTakes(t *testing.T) {
	w := newWorld(t)
	s := w.scorer("one", func(c *Config) { c.Sessions = 4 })
	one, two := newSession(s, "one"), newSession(s, "two")
	require.Equal(t, member.FirstSize/4, one.size.Records())
	one.size.GaveUp(40)
	require.Equal(t, 10, two.size.Records())
	require.Equal(t, 10, newSession(s, "three").size.Records())
}

// sizes are the applications of transactions, as the histogram sees them.
type sizes struct {
	prometheus.Histogram
	seen []float64
}

func (s *sizes) Observe(n float64) { s.seen = append(s.seen, n) }

// Many large letters are not held in memory at once: a transaction takes no more
// while so much is not acknowledged.
func TestTransaction_PollsByWhatAnswersTake(t *testing.T) {
	s := newTransaction(nil, schemas.Topics{})
	require.Equal(t, maxPoll, s.nextPoll(20_000))
	require.Equal(t, 500, s.nextPoll(500))
	s.bytes = 1 << 20
	require.Equal(t, 4, s.nextPoll(500))
	s.bytes = 16 << 20
	require.Equal(t, 1, s.nextPoll(500))
	require.Equal(t, 1, s.asked)
}

func TestTransaction_GrowsWhileKafkaKeepsUp(t *testing.T) {
	w := newWorld(t)
	client, err := kgo.NewClient(w.config.Options()...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	grown := func(open time.Duration, change func(*session)) bool {
		s := newSession(w.scorer("one"), "x")
		for s.size.Records() < maxBatch {
			s.size.Committed(s.size.Records(), 0)
		}
		fetch := kgo.Fetches{{Topics: []kgo.FetchTopic{{Partitions: []kgo.FetchPartition{{Records: []*kgo.Record{{}, {}, {}}}}}}}}
		require.NoError(t, s.member.Polled(t.Context(), client, fetch))
		s.asked, s.brought = 3, 3
		s.fetches, s.batches = append(s.fetches, fetch), append(s.batches, s.newBatch())
		change(s)
		return s.mayGrow(t.Context(), client, open)
	}
	require.True(t, grown(0, func(*session) {}))
	require.False(t, grown(growTime, func(*session) {}), "it is open for long")
	require.False(t, grown(0, func(s *session) { s.asked = 4 }), "nothing is waiting")
	require.False(t, grown(0, func(s *session) { s.alone = true }), "a schema is awaited")
	require.False(t, grown(0, func(s *session) { s.size.GaveUp(8) }), "it is as large as it may be")
}

// Where the schema of an application cannot be had, what stands before it is
// answered, and it waits outside of transactions: none is open for long.
func TestSession_WaitsForASchemaOutsideOfTransactions(t *testing.T) {
	t.Parallel()
	w := newAvroWorld(t)
	codec := w.writing()
	require.NoError(t, codec.Await(t.Context()))
	w.away.Store(true)
	for i := range 20 { // in every partition behind others
		w.apply(10*i, 10*i+10)
	}
	w.applyAvro(200, 204, w.plain)
	var log capture.Output
	s := w.scorer("one", func(c *Config) {
		c.Codec, c.Sessions, c.Log = codec, 1, slog.New(slog.NewTextHandler(&log, nil))
	})
	s.pollSize, s.schemaTime = 7, 10*time.Millisecond
	stop := run(s)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), errNoSchema.Error()) }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.records) > 40 && codec.Ready() != nil }, time.Minute, time.Millisecond)
	w.away.Store(false)
	w.exact(204)
	require.NoError(t, stop())
}
