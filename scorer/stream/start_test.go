package stream

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

func TestStartRefusesToGuess(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Predictions, Value: []byte("{}")}).FirstErr())
	s, stop := w.start("one", kafka.From{})
	becomesReady(t, s)
	require.NoError(t, stop())

	w = newWorld(t)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Predictions, Value: []byte("{}"), Headers: []kgo.RecordHeader{{Key: schemas.HeaderSourceTopic, Value: []byte("x")}}}).FirstErr())
	w.apply(0, 10)
	require.ErrorContains(t, w.scorer("i").Run(t.Context()), "--from start, end or a time")

	_, stop = w.start("i", kafka.From{End: true})
	adm := kadm.NewClient(w.client)
	require.Eventually(t, func() bool {
		o, err := adm.FetchOffsets(t.Context(), "g")
		return err == nil && len(o[w.topics.Applications]) == partitions
	}, time.Minute, time.Millisecond)
	require.NoError(t, stop())
	o, err := adm.FetchOffsets(t.Context(), "g")
	require.NoError(t, err)
	sum := int64(0)
	o.Each(func(o kadm.OffsetResponse) { sum += o.At })
	require.Equal(t, int64(10), sum)
}

func (w *world) predict(n int, headers ...kgo.RecordHeader) {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: w.topics.Predictions, Value: []byte("{}"), Headers: headers}
	}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
}

// A decision from the stream counts wherever it is among those of the API.
func TestAnOldDecisionFromTheStreamIsFound(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 4)
	w.predict(10)
	w.predict(1, kgo.RecordHeader{Key: schemas.HeaderSourceTopic, Value: []byte("x")})
	w.predict(3 * newest)
	s := w.scorer("one")
	found, err := s.scoredBefore(t.Context(), kadm.NewClient(w.client))
	require.NoError(t, err)
	require.True(t, found)
}

// A decision from the stream is found behind a batch that cannot be read, be it its
// records or its length that are wrong: the first start does not wait for it.
func TestADecisionBehindWhatCannotBeReadIsFound(t *testing.T) {
	for name, damage := range map[string]kafkatest.Damage{
		"records": kafkatest.Records, "length": kafkatest.Length,
		// The first offset is 10, 0b1010.
		"offset, bit 0": kafkatest.Moved(0), "offset, bit 1": kafkatest.Moved(1), "offset, bit 3": kafkatest.Moved(3), "offset, bit 5": kafkatest.Moved(5), "offset, bit 40": kafkatest.Moved(40),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			w.apply(0, 4)
			w.predict(10)
			w.predict(2)
			w.predict(3)
			require.NoError(t, damage(dir, w.topics.Predictions, 0, 11))
			s := w.scorer("one")
			s.scanQuiet = 100 * time.Millisecond
			found, err := s.scoredBefore(t.Context(), kadm.NewClient(w.client))
			require.NoError(t, err)
			require.False(t, found)
			w.predict(1, kgo.RecordHeader{Key: schemas.HeaderSourceTopic, Value: []byte("x")})
			found, err = s.scoredBefore(t.Context(), kadm.NewClient(w.client))
			require.NoError(t, err)
			require.True(t, found)
		})
	}
}

// Where nothing was ever applied for, start and end are the same place.
func TestNothingIsAskedWhileNothingIsApplied(t *testing.T) {
	w := newWorld(t)
	w.predict(1, kgo.RecordHeader{Key: schemas.HeaderSourceTopic, Value: []byte("x")})
	found, err := w.scorer("one").scoredBefore(t.Context(), kadm.NewClient(w.client))
	require.NoError(t, err)
	require.False(t, found)
}

func TestStartAtATime(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	adm := kadm.NewClient(w.client)
	listed, err := adm.ListOffsetsAfterMilli(t.Context(), 0, w.topics.Applications)
	require.NoError(t, err)
	latest := int64(0)
	listed.Each(func(o kadm.ListedOffset) { latest = max(latest, o.Timestamp) })
	// Kafka stamps whole milliseconds: what comes later must be in another one.
	require.Eventually(t, func() bool { return time.Now().UnixMilli() > latest+1 }, time.Minute, time.Millisecond)
	from := time.Now()
	w.apply(40, 80)
	_, stop := w.start("one", kafka.From{Time: from})
	bySource, _ := w.outputs(40)
	require.Len(t, bySource, 40)
	for source := range bySource {
		require.GreaterOrEqual(t, source.Offset, int64(10))
	}
	require.NoError(t, stop())
}

// All see no commit; the first commits for all, and none of the others may put
// the group back once it works.
func TestReplicasThatStartAtOnceAgree(t *testing.T) {
	for _, protocol := range []string{member.ProtocolClassic, member.ProtocolConsumer} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.apply(0, 2000)
			var stops []func() error
			for _, instance := range []string{"one", "two", "three"} {
				stops = append(stops, run(w.scorer(instance, func(c *Config) { c.Sessions, c.Protocol = 1, protocol })))
			}
			w.exact(2000)
			// The slowest of all: it looked before the others had committed.
			s := w.scorer("late", func(c *Config) { c.Protocol = protocol })
			listed, err := s.beginning(t.Context(), kadm.NewClient(w.client))
			require.ErrorContains(t, err, "--from", "it would be asked by now")
			require.Nil(t, listed)
			starts, err := kadm.NewClient(w.client).ListStartOffsets(t.Context(), w.topics.Applications)
			require.NoError(t, err)
			require.Error(t, kadm.NewClient(w.client).CommitAllOffsets(t.Context(), "g", starts.Offsets()), "only a member may commit")
			for _, stop := range stops {
				require.NoError(t, stop())
			}
			w.apply(2000, 2100)
			stop := run(w.scorer("one", func(c *Config) { c.Protocol = protocol }))
			w.exact(2100)
			require.NoError(t, stop())
		})
	}
}

// Looking back may take long. Meanwhile another replica may have begun, answered and
// left again: what it committed stays.
func TestWhatWasCommittedWhileLookingBackStays(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	adm := kadm.NewClient(w.client)
	require.NoError(t, member.Begin(t.Context(), adm, "g", w.topics.Applications, func(ctx context.Context) (kadm.ListedOffsets, error) {
		stop := run(w.scorer("another"))
		w.exact(40)
		require.NoError(t, stop())
		return adm.ListStartOffsets(ctx, w.topics.Applications)
	}))
	require.Equal(t, 40, w.committed())
}

// Another program's group of the same name has members: nothing may be committed
// for it, and where it begins is not for the scorer to guess.
func TestAGroupOfAnotherProgramIsRefused(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	other, err := kgo.NewClient(append(w.config.Options(), kgo.ConsumerGroup("g"), kgo.ConsumeTopics(w.topics.Outcomes))...)
	require.NoError(t, err)
	defer other.Close()
	require.Eventually(t, func() bool { _, generation := other.GroupMetadata(); return generation >= 0 }, time.Minute, time.Millisecond)
	require.ErrorContains(t, w.scorer("one").Run(t.Context()), "choose another --group")
}

// What retention took before a group's first start was never read: that is named.
func TestScorer_NamesWhatHadLeftTheLogBeforeItBegan(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 400)
	w.deleteBefore(1, 100)
	w.deleteBefore(3, 30)
	var log capture.Output
	s := w.scorer("one", func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	stop := run(s)
	w.outputs(400 - 130)
	require.NoError(t, stop())
	require.Equal(t, 2, testutil.CollectAndCount(s.metrics.removed))
	require.InDelta(t, 100, testutil.ToFloat64(s.metrics.removed.WithLabelValues("1")), 0)
	require.InDelta(t, 30, testutil.ToFloat64(s.metrics.removed.WithLabelValues("3")), 0)
	require.Regexp(t, `level=WARN msg="the log had lost its beginning .* partition=1 offsets=100 `, log.String())

	// Later starts of the group, and one that is told to leave the past out, say nothing.
	for _, group := range []string{"g", "h"} {
		s := w.scorer("one", func(c *Config) { c.From, c.Group.Group = kafka.From{End: true}, group })
		stop := run(s)
		becomesReady(t, s)
		require.NoError(t, stop())
		require.Zero(t, testutil.CollectAndCount(s.metrics.removed))
	}
}

// A batch that was aborted and is too large for a client to see that keeps no first start
// from what lies behind it.
func TestAbortedBatch_ThatIsTooLargeHoldsUpNoStart(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 4)
	w.predict(1)
	require.NoError(t, kafkatest.AbortedOversized(t.Context(), w.config.Brokers, w.topics.Predictions, kafka.MaxBatch+1))
	w.predict(1, kgo.RecordHeader{Key: schemas.HeaderSourceTopic, Value: []byte("x")})
	s := w.scorer("one")
	found, err := s.scoredBefore(t.Context(), kadm.NewClient(w.client))
	require.NoError(t, err)
	require.True(t, found)
}
