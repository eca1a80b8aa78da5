package stream

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/loopback"
	"github.com/creditstream/creditstream/internal/member"
)

// emit emits applications to the given partitions only.
func (w *world) emit(first, last int, to ...int32) {
	records := w.applications(first, last)
	for i, r := range records {
		r.Partition = to[i%len(to)]
	}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
}

// The group begins in every partition, also where there is nothing: what comes
// later is neither skipped nor a reason to ask where to begin.
func TestAPartitionThatWasIdleAcrossARestartIsRead(t *testing.T) {
	w := newWorld(t)
	w.emit(0, 40, 0, 1, 2)
	_, stop := w.start("one", kafka.From{})
	w.exact(40)
	require.NoError(t, stop())
	w.emit(40, 60, 3)
	_, stop = w.start("one", kafka.From{})
	w.exact(60)
	require.NoError(t, stop())
	w.emit(60, 80, 0, 3)
	_, stop = w.start("two", kafka.From{})
	w.exact(80)
	require.NoError(t, stop())
}

// What was sent to a partition before anybody here knew of it is answered too.
func TestAPartitionAddedWhileRunningIsRead(t *testing.T) {
	for _, protocol := range []string{member.ProtocolClassic, member.ProtocolConsumer} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.apply(0, 40)
			stop := run(w.scorer("one", func(c *Config) { c.Protocol = protocol }))
			w.exact(40)
			added, err := kadm.NewClient(w.client).CreatePartitions(t.Context(), 1, w.topics.Applications)
			require.NoError(t, err)
			require.NoError(t, added.Error())
			// The test's own client learns of it at once.
			fresh, err := kgo.NewClient(append(w.config.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
			require.NoError(t, err)
			t.Cleanup(fresh.Close)
			w.client = fresh
			w.emit(40, 60, partitions)
			w.exact(60)
			require.NoError(t, stop())
		})
	}
}

// With the group, everything that it had committed is gone. It is not begun anew
// in silence: that would answer everything a second time.
func TestADeletedGroupAsksWhereToBegin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(0, 40)
	_, stop := w.start("one", kafka.From{})
	w.exact(40)
	require.NoError(t, stop())
	deleted, err := kadm.NewClient(w.client).DeleteGroup(t.Context(), "g")
	require.NoError(t, err)
	require.NoError(t, deleted.Err)
	w.apply(40, 44)
	require.ErrorContains(t, w.scorer("one").Run(t.Context()), "--from start, end or a time")
	w.exact(40)

	// Where to go on is the operator's to say.
	listed, err := kadm.NewClient(w.client).ListStartOffsets(t.Context(), w.topics.Applications)
	require.NoError(t, err)
	at := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { at[o.Partition] = 10 })
	w.commit(at)
	_, stop = w.start("one", kafka.From{})
	w.exact(44)
	require.NoError(t, stop())
}

// A broker that is away for a while holds the scorer up and nothing else.
func TestABrokerThatIsRestarted(t *testing.T) {
	for _, protocol := range []string{member.ProtocolClassic, member.ProtocolConsumer} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			at, port, err := loopback.Free(1)
			require.NoError(t, err)
			w := newWorldIn(t, dir, local.Port(port))
			w.apply(0, 2000)
			s := w.scorer("one", func(c *Config) { c.Protocol = protocol })
			stop := run(s)
			w.outputs(100)
			w.broker.Close()
			require.Eventually(t, func() bool { return !listens(at) }, time.Minute, time.Millisecond)
			w.broker, err = local.StartKafka(dir, w.options...)
			require.NoError(t, err)
			w.apply(2000, 2400)
			w.exact(2400)
			becomesReady(t, s)
			require.NoError(t, stop())
		})
	}
}

func listens(at string) bool {
	c, err := net.Dial("tcp", at)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// A produce that was given up is in no transaction that commits: whoever comes
// next answers its applications, once.
func TestWhatAGivenUpProduceHeldIsAnsweredByTheNext(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.EndTxn} {
		t.Run(key.Name(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.apply(0, 400)
			code := kerr.NotLeaderForPartition
			if key == kmsg.EndTxn {
				code = kerr.ConcurrentTransactions
			}
			var refuses atomic.Bool
			refuses.Store(true)
			w.failWhere(key, always, code, func(kmsg.Request) bool { return refuses.Load() })
			s := w.scorer("one")
			s.endTimeout = 300 * time.Millisecond
			require.ErrorContains(t, s.Run(t.Context()), "did not end within")
			refuses.Store(false)
			_, stop := w.start("one", kafka.From{})
			w.exact(400)
			require.NoError(t, stop())
		})
	}
}
