package stream

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

// looks counts how often somebody asked who holds a transactional id.
func (w *world) looks() *atomic.Int64 {
	var n atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.DescribeTransactions), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		n.Add(1)
		return nil, nil, false
	})
	return &n
}

// The older ends though nothing comes that would let a broker fence it.
func TestTwoProcessesUnderOneInstanceWithNothingToAnswer(t *testing.T) {
	f := func(name, protocol string, options ...kfake.Opt) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOn(t, options...)
			change := func(c *Config) { c.Protocol = protocol }
			old := w.scorer("same", change)
			old.idle = 5 * time.Millisecond
			ended := make(chan error, 1)
			go func() { ended <- old.Run(t.Context()) }()
			becomesReady(t, old)
			young := w.scorer("same", change)
			young.idle = 5 * time.Millisecond
			stop := run(young)
			err := ends(t, ended)
			require.ErrorContains(t, err, `another process runs as instance "same"`)
			require.ErrorContains(t, err, "is held by producer")
			require.Equal(t, err, old.Ready())
			becomesReady(t, young)
			w.apply(0, 400)
			w.exact(400)
			require.NoError(t, stop())
		})
	}
	f(member.ProtocolClassic, member.ProtocolClassic)
	f(member.ProtocolConsumer, member.ProtocolConsumer)
	f("before KIP-890", member.ProtocolClassic, kfake.MaxVersions(kversion.V3_7_0()))
}

// Before there is anything to answer: readers do not wait for the timeout of what a
// predecessor left open, and one that still runs cannot commit it.
func TestAtItsStartAMemberAbortsWhatAPredecessorLeftOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before, err := kgo.NewClient(append(w.config.Options(), kgo.TransactionalID("t-g-one-1"), kgo.TransactionTimeout(15*time.Minute))...)
	require.NoError(t, err)
	t.Cleanup(before.Close)
	require.NoError(t, before.BeginTransaction())
	require.NoError(t, before.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Predictions, Value: []byte("{}")}).FirstErr())
	adm := kadm.NewClient(w.client)
	heldBack := func() bool {
		committed, err := adm.ListCommittedOffsets(t.Context(), w.topics.Predictions)
		require.NoError(t, err)
		ends, err := adm.ListEndOffsets(t.Context(), w.topics.Predictions)
		require.NoError(t, err)
		held := false
		ends.Each(func(end kadm.ListedOffset) {
			o, _ := committed.Lookup(end.Topic, end.Partition)
			held = held || o.Offset < end.Offset
		})
		return held
	}
	require.True(t, heldBack())
	s := w.scorer("one")
	s.idle = time.Hour // it looks at nothing, and has nothing to write
	stop := run(s)
	require.Eventually(t, func() bool { return !heldBack() }, time.Minute, time.Millisecond)
	require.Error(t, before.EndTransaction(t.Context(), kgo.TryCommit))
	require.NoError(t, stop())
	require.InDelta(t, 0, testutil.ToFloat64(s.metrics.records), 0)
}

// Every transaction of its own gives it a higher epoch: looked at in between, it is
// still its own. So it is after one that was aborted.
func TestAnIdleMemberKnowsItself(t *testing.T) {
	f := func(name string, options ...kfake.Opt) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOn(t, options...)
			looks := w.looks()
			w.failWhere(kmsg.Produce, 2, kerr.InvalidTxnState, func(r kmsg.Request) bool { return r.(*kmsg.ProduceRequest).TransactionID != nil })
			w.fail(kmsg.TxnOffsetCommit, 2, kerr.IllegalGeneration)
			s := w.scorer("one")
			s.idle = time.Millisecond
			stop := run(s)
			for i := range 50 {
				before := looks.Load()
				w.apply(4*i, 4*i+4)
				require.Eventually(t, func() bool {
					return testutil.ToFloat64(s.metrics.records) == float64(4*i+4) && looks.Load() > before+4
				}, time.Minute, time.Millisecond)
			}
			w.exact(200)
			becomesReady(t, s)
			require.NoError(t, stop())
		})
	}
	f("newest")
	f("before KIP-890", kfake.MaxVersions(kversion.V3_7_0()))
}

// Brokers before Kafka 3, or one that has no answer, are no reason to end.
func TestALookThatFailsEndsNothing(t *testing.T) {
	for _, code := range []*kerr.Error{
		kerr.UnsupportedVersion, kerr.TransactionalIDNotFound, kerr.TransactionalIDAuthorizationFailed, kerr.UnknownServerError, kerr.ProducerFenced,
	} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			failures := w.fail(kmsg.DescribeTransactions, always, code)
			s := w.scorer("one")
			s.idle = time.Millisecond
			stop := run(s)
			becomesReady(t, s)
			require.Eventually(t, func() bool { return failures.Load() > 2 }, time.Minute, time.Millisecond)
			w.apply(0, 40)
			w.exact(40)
			require.NoError(t, stop())
		})
	}
}

// Who may write with a transactional id may also look at it.
func TestTheGrantsLetAMemberLook(t *testing.T) {
	t.Parallel()
	topics := schemas.NewTopics("t")
	w := newBareWorld(t, kfake.EnableACLs(), kfake.User("SCRAM-SHA-256", "ANONYMOUS", "unused", acls(t, "scorer")...),
		kfake.SeedTopics(partitions, topics.Applications, topics.Predictions, topics.DLQ))
	looks := w.looks()
	var log capture.Output
	s := w.scorer("one", func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	s.idle = time.Millisecond
	stop := run(s)
	becomesReady(t, s)
	require.Eventually(t, func() bool { return looks.Load() > 4 }, time.Minute, time.Millisecond)
	require.NoError(t, stop())
	require.NotContains(t, log.String(), "cannot look who holds")
}
