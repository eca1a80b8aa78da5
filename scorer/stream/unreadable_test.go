package stream

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

// A byte of one partition's log flips. That partition stops, named with its offset;
// the others go on, and the replica with them. What is told to pass over the batch
// does so for the whole group, under running members.
func TestUnreadableBatch_StopsItsPartitionUntilItIsSkipped(t *testing.T) {
	for _, c := range []struct {
		name, protocol string
		damage         kafkatest.Damage
		records        int   // in the batch
		last           int64 // of the batch, where it does not say so
	}{
		{"classic", member.ProtocolClassic, kafkatest.Records, 2, -1},
		{"consumer", member.ProtocolConsumer, kafkatest.Records, 2, -1},
		{"length", member.ProtocolClassic, kafkatest.Length, 2, 6},       // the client waits in silence
		{"format 3", member.ProtocolClassic, kafkatest.Format(3), 2, -1}, // the client goes past its first record
		{"format 9", member.ProtocolConsumer, kafkatest.Format(9), 2, -1},
		{"format 9 of one record", member.ProtocolClassic, kafkatest.Format(9), 1, -1},
		{"format 0", member.ProtocolClassic, kafkatest.Format(0), 2, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			w.apply(0, 20)
			behind := 20 + partitions*c.records
			w.apply(20, behind) // offsets from 5 on of each partition
			w.apply(behind, 40)
			require.NoError(t, c.damage(dir, w.topics.Applications, 3, 5))
			set := func(config *Config) { config.Protocol = c.protocol }
			s := w.scorer("one", set)
			s.reach, s.idle, s.lagInterval = s.newReach(time.Millisecond), 10*time.Millisecond, 5*time.Millisecond
			stop := run(s)
			bySource, _ := w.outputs(35)
			require.Len(t, bySource, 35)
			require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.unreadable.WithLabelValues("3")) > 0 }, time.Minute, time.Millisecond)
			require.NotContains(t, s.reach.Stopped(), "SetOffsets")
			require.NotContains(t, s.reach.Stopped(), "next offset")
			if c.last < 0 {
				require.InDelta(t, c.records, testutil.ToFloat64(s.metrics.unreadable.WithLabelValues("3")), 0)
			}
			becomesReady(t, s)
			require.Contains(t, s.reach.Stopped(), "applications/3 cannot be read at offset 5")
			require.Regexp(t, `\(--skip t\.applications/3@5(-LAST)? passes over it\)`, s.reach.Stopped())
			require.ErrorContains(t, s.Pending(), "applications/3 cannot be read at offset 5", "as readyz and replicas show it")
			w.apply(40, 60)
			bySource, _ = w.outputs(50)
			require.Len(t, bySource, 50, "the others go on")

			// What is not there, or can be read, is not skipped.
			for _, wrong := range []member.Skip{{Partition: 3, Offset: int64(5 + c.records), Last: -1}, {Partition: 2, Offset: 1 << 40, Last: -1}, {Partition: 9, Last: -1}} {
				two := w.scorer("two", set, func(config *Config) { config.Skips = []member.Skip{wrong} })
				require.ErrorContains(t, two.Run(t.Context()), "--skip", "%v", wrong)
			}

			skip := member.Skip{Topic: "applications", Partition: 3, Offset: 5, Last: c.last}
			if c.last >= 0 { // who does not name it is told which it is
				without := member.Skip{Topic: "applications", Partition: 3, Offset: 5, Last: -1}
				two := w.scorer("two", set, func(config *Config) { config.Skips = []member.Skip{without} })
				require.ErrorContains(t, two.Run(t.Context()), "--skip applications/3@5-6")
			}
			two := w.scorer("two", set, func(config *Config) { config.Skips = []member.Skip{skip} })
			stopTwo := run(two)
			bySource, _ = w.outputs(60 - c.records)
			require.Len(t, bySource, 60-c.records)
			for i := range c.records {
				require.NotContains(t, bySource, schemas.Source{Topic: w.topics.Applications, Partition: 3, Offset: int64(5 + i)})
			}
			becomesReady(t, two)
			require.Eventually(t, func() bool { return s.reach.Stopped() == "" && two.reach.Stopped() == "" }, time.Minute, time.Millisecond)
			require.NoError(t, stop())
			require.NoError(t, stopTwo())
		})
	}
}

// What a batch's checksum leaves out changes: its first offset. Its records are not
// answered as those of other offsets, and none is passed over in silence.
func TestUnreadableBatch_ThatClaimsOtherOffsetsStopsItsPartition(t *testing.T) {
	for _, bit := range []int{0, 1, 2, 3, 40, 63} { // of offset 5, 0b101
		t.Run(strconv.Itoa(bit), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			w.apply(0, 20)
			w.apply(20, 40) // offsets 5 … 9 of each partition
			w.apply(40, 60)
			require.NoError(t, kafkatest.Move(dir, w.topics.Applications, 3, 6, bit))
			s := w.scorer("one")
			s.reach, s.idle, s.lagInterval = s.newReach(time.Millisecond), 10*time.Millisecond, 5*time.Millisecond
			stop := run(s)
			w.outputs(50)
			require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.unreadable.WithLabelValues("3")) == 5 }, time.Minute, time.Millisecond)
			require.Contains(t, s.reach.Stopped(), "applications/3 cannot be read at offset 5")
			w.apply(60, 80)
			bySource, _ := w.outputs(65)
			require.Len(t, bySource, 65, "the others go on")
			two := w.scorer("two", func(config *Config) { config.Skips = []member.Skip{{Partition: 3, Offset: 5, Last: -1}} })
			stopTwo := run(two)
			bySource, _ = w.outputs(75)
			require.Len(t, bySource, 75)
			for skipped := int64(5); skipped < 10; skipped++ {
				require.NotContains(t, bySource, schemas.Source{Topic: w.topics.Applications, Partition: 3, Offset: skipped})
			}
			require.Eventually(t, func() bool { return s.reach.Stopped() == "" && two.reach.Stopped() == "" }, time.Minute, time.Millisecond)
			require.NoError(t, stop())
			require.NoError(t, stopTwo())
		})
	}
}

// A replica of which every partition is stopped says where and why.
func TestUnreadableBatch_IsNamedByAReplicaThatReadsNothingElse(t *testing.T) {
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.apply(0, 40)
	for p := range int32(partitions) {
		require.NoError(t, kafkatest.Flip(dir, w.topics.Applications, p, 0, false))
	}
	s := w.scorer("one")
	s.reach, s.lagInterval = s.newReach(time.Hour), 5*time.Millisecond
	stop := run(s)
	require.Eventually(t, func() bool {
		err := s.Ready()
		return err != nil && strings.Contains(err.Error(), "applications/2 cannot be read at offset 0")
	}, time.Minute, time.Millisecond)
	require.NoError(t, stop())
}
