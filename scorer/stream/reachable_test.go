package stream

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
)

func TestAPartitionWhoseOffsetIsOutsideTheLogStops(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	adm := kadm.NewClient(w.client)
	var commit kadm.Offsets
	for p := range int32(partitions) {
		at := int64(0)
		if p == 2 {
			at = 500
		}
		commit.AddOffset(w.topics.Applications, p, at, -1)
	}
	require.NoError(t, adm.CommitAllOffsets(t.Context(), "g", commit))
	s, stop := w.start("one", kafka.From{})
	bySource, _ := w.outputs(30)
	require.NoError(t, stop())
	for source := range bySource {
		require.NotEqual(t, int32(2), source.Partition)
	}
	require.InDelta(t, 490, testutil.ToFloat64(s.metrics.unreachable.WithLabelValues("2")), 0)
}

func (w *world) deleteBefore(partition int32, offset int64) {
	var before kadm.Offsets
	before.AddOffset(w.topics.Applications, partition, offset, -1)
	_, err := kadm.NewClient(w.client).DeleteRecords(w.t.Context(), before)
	require.NoError(w.t, err)
}

func (w *world) commit(at map[int32]int64) {
	var offsets kadm.Offsets
	for partition, offset := range at {
		offsets.AddOffset(w.topics.Applications, partition, offset, -1)
	}
	require.NoError(w.t, kadm.NewClient(w.client).CommitAllOffsets(w.t.Context(), "g", offsets))
}

// A replica that has nothing left to read is not ready; one of several
// partitions that stopped is no reason.
func TestAReplicaAllOfWhosePartitionsAreStoppedIsNotReady(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	at := map[int32]int64{}
	for p := range int32(partitions) {
		at[p] = 500
	}
	w.commit(at)
	s := w.scorer("one")
	s.lagInterval = 5 * time.Millisecond
	stop := run(s)
	require.Eventually(t, func() bool {
		err := s.Ready()
		return err != nil && strings.Contains(err.Error(), "every partition of this replica is stopped")
	}, time.Minute, time.Millisecond)
	require.NoError(t, stop())
}

func TestAScorerIsNotReadyWhileKafkaIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(0, 40)
	s := w.scorer("one")
	s.lagInterval = 5 * time.Millisecond
	stop := run(s)
	w.outputs(40)
	require.Eventually(t, func() bool { return s.Ready() == nil }, time.Minute, time.Millisecond)
	var broken atomic.Bool
	broken.Store(true)
	w.broker.Cluster().ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		if !broken.Load() {
			return nil, nil, false
		}
		w.broker.Cluster().KeepControl()
		return nil, errors.New("the connection breaks"), true
	})
	require.Eventually(t, func() bool {
		err := s.Ready()
		return err != nil && strings.Contains(err.Error(), "kafka does not answer")
	}, time.Minute, time.Millisecond)
	broken.Store(false)
	require.Eventually(t, func() bool { return s.Ready() == nil }, time.Minute, time.Millisecond, "by itself")
	require.NoError(t, stop())
}

// One that was added since the group began starts at 0, also when its first
// transaction is aborted and it has to be read again.
func TestAPartitionWithoutACommitBeginsAtZero(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	w.commit(map[int32]int64{0: 0, 1: 0, 3: 0})
	w.fail(kmsg.Produce, 1, kerr.InvalidTxnState)
	_, stop := w.start("one", kafka.From{})
	w.exact(40)
	require.NoError(t, stop())
}

func TestAPartitionWithoutACommitWhoseLogStartsLaterStops(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	w.deleteBefore(2, 3)
	w.commit(map[int32]int64{0: 0, 1: 0, 3: 0})
	s, stop := w.start("one", kafka.From{})
	bySource, _ := w.outputs(30)
	becomesReady(t, s)
	require.NoError(t, stop())
	for source := range bySource {
		require.NotEqual(t, int32(2), source.Partition)
	}
	require.InDelta(t, 3, testutil.ToFloat64(s.metrics.unreachable.WithLabelValues("2")), 0)
}

// Retention or a truncation may overtake a scorer that runs.
func TestAPartitionThatLeavesTheLogWhileRunningStops(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	s, stop := w.start("one", kafka.From{})
	w.exact(40)
	var away atomic.Bool
	away.Store(true)
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if !away.Load() {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.FetchResponse)
		response.ErrorCode = kerr.FetchSessionIDNotFound.Code
		return response, nil, true
	})
	w.apply(40, 80)
	w.deleteBefore(1, 17)
	away.Store(false)
	w.outputs(70)
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.unreachable.WithLabelValues("1")) == 7 }, time.Minute, time.Millisecond)
	w.apply(80, 120)
	bySource, _ := w.outputs(100)
	for source, n := range bySource {
		require.Equal(t, 1, n)
		require.False(t, source.Partition == 1 && source.Offset >= 10, source)
	}
	becomesReady(t, s)
	require.NoError(t, stop())
}

// With every commit gone the group would score everything again.
func TestAGroupThatLostItsOffsetsIsNotBegunAgain(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	none := map[string]map[int32]kgo.Offset{w.topics.Applications: {0: kgo.NewOffset().AtCommitted()}}
	_, err := w.scorer("one").reach.Adjust(t.Context(), w.client, none)
	require.ErrorContains(t, err, "were deleted")
	require.ErrorContains(t, w.scorer("one").fatal(&kgo.ErrGroupSession{Err: err}), "--from")
}
