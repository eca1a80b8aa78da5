package stream

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

const always = 1 << 30

// fail answers requests with an error code, so many times. It returns how often
// it has.
func (w *world) fail(key kmsg.Key, times int, code *kerr.Error) *atomic.Int64 {
	return w.failWhere(key, times, code, func(kmsg.Request) bool { return true })
}

func (w *world) failWhere(key kmsg.Key, times int, code *kerr.Error, where func(kmsg.Request) bool) *atomic.Int64 {
	var failures atomic.Int64
	w.broker.Cluster().ControlKey(int16(key), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if failures.Load() >= int64(times) || !where(request) {
			return nil, nil, false
		}
		failures.Add(1)
		return local.Refusal(request, code.Code), nil, true
	})
	return &failures
}

// Errors that pass: whatever fails, every application is answered once in the end.
func TestErrorsThatPass(t *testing.T) {
	before890 := kfake.MaxVersions(kversion.V3_7_0())
	f := func(key kmsg.Key, times int, code *kerr.Error, options ...kfake.Opt) {
		t.Run(fmt.Sprintf("%s %s", key.Name(), code.Message), func(t *testing.T) {
			t.Parallel()
			w := newWorldOn(t, options...)
			w.apply(0, 400)
			failures := w.fail(key, times, code)
			_, stop := w.start("one", kafka.From{})
			w.exact(400)
			require.NoError(t, stop())
			require.Equal(t, int64(times), failures.Load())
		})
	}
	f(kmsg.Produce, 3, kerr.MessageTooLarge)
	f(kmsg.Produce, 3, kerr.InvalidRecord)
	f(kmsg.Produce, 3, kerr.UnknownServerError)
	f(kmsg.Produce, 3, kerr.NotLeaderForPartition)
	f(kmsg.Produce, 3, kerr.NotEnoughReplicas)
	f(kmsg.Produce, 1, kerr.OutOfOrderSequenceNumber)
	f(kmsg.Produce, 1, kerr.InvalidProducerIDMapping)
	f(kmsg.Produce, 1, kerr.InvalidTxnState)
	f(kmsg.Produce, 1, kerr.TransactionAbortable)
	f(kmsg.InitProducerID, 2, kerr.CoordinatorLoadInProgress)
	f(kmsg.InitProducerID, 2, kerr.ConcurrentTransactions)
	f(kmsg.InitProducerID, 2, kerr.UnknownServerError)
	f(kmsg.AddPartitionsToTxn, 2, kerr.ConcurrentTransactions, before890)
	f(kmsg.AddPartitionsToTxn, 1, kerr.InvalidTxnState, before890)
	f(kmsg.AddOffsetsToTxn, 2, kerr.ConcurrentTransactions, before890)
	f(kmsg.AddOffsetsToTxn, 1, kerr.UnknownServerError, before890)
	f(kmsg.TxnOffsetCommit, 2, kerr.IllegalGeneration)
	f(kmsg.TxnOffsetCommit, 2, kerr.UnknownMemberID)
	f(kmsg.TxnOffsetCommit, 2, kerr.CoordinatorNotAvailable)
	f(kmsg.TxnOffsetCommit, 1, kerr.UnknownTopicOrPartition)
	f(kmsg.EndTxn, 2, kerr.CoordinatorLoadInProgress)
	f(kmsg.EndTxn, 1, kerr.TransactionAbortable)
	f(kmsg.EndTxn, 1, kerr.UnknownServerError)
	f(kmsg.EndTxn, 1, kerr.InvalidTxnState)
	f(kmsg.EndTxn, 1, kerr.InvalidProducerIDMapping)
	f(kmsg.JoinGroup, 2, kerr.CoordinatorNotAvailable)
	f(kmsg.JoinGroup, 1, kerr.UnknownServerError)
	f(kmsg.Heartbeat, 1, kerr.UnknownMemberID)
}

// Errors that a new client would run into as well end the process, which is
// unready from then on, and say what to do.
func TestErrorsThatEndTheProcess(t *testing.T) {
	f := func(key kmsg.Key, code *kerr.Error, want string, options ...kfake.Opt) {
		t.Run(fmt.Sprintf("%s %s", key.Name(), code.Message), func(t *testing.T) {
			t.Parallel()
			w := newWorldOn(t, options...)
			w.apply(0, 400)
			w.fail(key, always, code)
			s := w.scorer("one")
			err := s.Run(t.Context())
			require.ErrorContains(t, err, want)
			require.ErrorIs(t, err, code)
			require.Equal(t, err, s.Ready())
		})
	}
	before890 := kfake.MaxVersions(kversion.V3_7_0())
	f(kmsg.Produce, kerr.TopicAuthorizationFailed, "WRITE on t.predictions and t.applications.dlq")
	f(kmsg.Produce, kerr.ClusterAuthorizationFailed, "refuses this client")
	f(kmsg.Produce, kerr.TransactionalIDAuthorizationFailed, "t-g-one-")
	f(kmsg.Produce, kerr.InvalidProducerEpoch, "another process runs as instance \"one\"")
	f(kmsg.InitProducerID, kerr.TransactionalIDAuthorizationFailed, "t-g-one-")
	f(kmsg.InitProducerID, kerr.InvalidTransactionTimeout, "transaction.max.timeout.ms")
	f(kmsg.InitProducerID, kerr.ProducerFenced, "--instance")
	f(kmsg.AddPartitionsToTxn, kerr.TopicAuthorizationFailed, "t.predictions", before890)
	f(kmsg.AddOffsetsToTxn, kerr.GroupAuthorizationFailed, "READ on group g", before890)
	f(kmsg.TxnOffsetCommit, kerr.GroupAuthorizationFailed, "READ on group g")
	f(kmsg.TxnOffsetCommit, kerr.ProducerFenced, "another process")
	f(kmsg.EndTxn, kerr.ProducerFenced, "another process")
	f(kmsg.EndTxn, kerr.InvalidProducerEpoch, "another process")
	f(kmsg.JoinGroup, kerr.GroupAuthorizationFailed, "READ on group g")
	f(kmsg.JoinGroup, kerr.InvalidSessionTimeout, "group.min.session.timeout.ms")
	f(kmsg.JoinGroup, kerr.InconsistentGroupProtocol, "--group-protocol")
	f(kmsg.JoinGroup, kerr.GroupMaxSizeReached, "group.max.size")
	f(kmsg.JoinGroup, kerr.FencedInstanceID, "another process")
	f(kmsg.Fetch, kerr.TopicAuthorizationFailed, "READ on topic t.applications")
}

// carries says whether a produce request holds a record with a text in its value
// that is, or is not, a prediction.
func carries(t *testing.T, request kmsg.Request, text string, prediction bool) bool {
	for _, topic := range request.(*kmsg.ProduceRequest).Topics {
		for _, partition := range topic.Partitions {
			if len(partition.Records) == 0 {
				continue // its records were aborted while the request was written
			}
			var batch kmsg.RecordBatch
			err := batch.ReadFrom(partition.Records)
			var records []byte
			if err == nil {
				records, err = kgo.DefaultDecompressor().Decompress(batch.Records, kgo.CompressionCodecType(batch.Attributes&7))
			}
			if err != nil { // not require: the broker waits for this goroutine
				t.Errorf("a produced batch that cannot be read: %v", err)
				return false
			}
			if bytes.Contains(records, []byte(text)) && bytes.Contains(records, []byte(`"channel":"stream"`)) == prediction {
				return true
			}
		}
	}
	return false
}

// The one that fails is found by halving; the others are answered.
func TestARecordThatFailsForGoodIsDeadLettered(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 400)
	w.failWhere(kmsg.Produce, always, kerr.InvalidRecord, func(r kmsg.Request) bool { return carries(t, r, "A-000123", true) })
	s, stop := w.start("one", kafka.From{})
	letters := w.exact(400)
	require.NoError(t, stop())
	require.Len(t, letters, 41)
	require.InDelta(t, 1, testutil.ToFloat64(s.metrics.deadLetters.WithLabelValues(schemas.ErrorClassPermanent)), 0)
	found := 0
	for _, d := range letters {
		if string(d.Key) == "A-000123" {
			found++
			require.Contains(t, string(d.Value), `"application_id":"A-000123"`)
		}
	}
	require.Equal(t, 1, found)
}

// A dead letter that is refused is tried with ever less of what was received: one
// record never ends the process.
func TestSession_LeavesOutOfALetterWhatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(0, 8)
	w.failWhere(kmsg.Produce, always, kerr.InvalidRecord, func(r kmsg.Request) bool {
		return carries(t, r, "A-000005", true) || carries(t, r, "A-000005", false)
	})
	_, stop := w.start("one", kafka.From{})
	letters := w.exact(8)
	require.NoError(t, stop())
	require.Len(t, letters, 2)
	for _, d := range letters {
		if h := headersOf(d); h[schemas.HeaderErrorClass] == schemas.ErrorClassTooLarge {
			require.Empty(t, d.Key)
			require.Empty(t, d.Value)
			require.Equal(t, "true", h[schemas.HeaderKeyTruncated])
			require.Equal(t, "1", h[schemas.HeaderSourceOffset])
			return
		}
	}
	require.Fail(t, "no letter without what was received")
}

// Where no letter at all is taken, it is not the record's fault.
func TestLettersThatAreAllRefusedEndTheProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(0, 8)
	w.failWhere(kmsg.Produce, always, kerr.InvalidRecord, func(r kmsg.Request) bool {
		return carries(t, r, "A-000005", true) || carries(t, r, schemas.HeaderErrorClass, false)
	})
	err := w.scorer("one").Run(t.Context())
	require.ErrorContains(t, err, "can neither be answered nor written to t.applications.dlq")
}

// What does not fit whole is kept as its beginning and its digest.
func TestALargeRecordThatFailsIsCut(t *testing.T) {
	w := newWorld(t)
	big := append([]byte(`{"x":"`), bytes.Repeat([]byte("y"), 1_000_000)...)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Applications, Partition: 1, Value: big}).FirstErr())
	w.failWhere(kmsg.Produce, always, kerr.MessageTooLarge, func(r kmsg.Request) bool {
		return carries(t, r, strings.Repeat("y", keptValue+1), false)
	})
	_, stop := w.start("one", kafka.From{})
	letters := w.exact(1)
	require.NoError(t, stop())
	headers := map[string]string{}
	for _, h := range letters[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	require.Equal(t, big[:keptValue], letters[0].Value)
	require.Equal(t, schemas.ErrorClassTooLarge, headers[schemas.HeaderErrorClass])
	require.Equal(t, "true", headers[schemas.HeaderValueTruncated])
	require.True(t, strings.HasPrefix(headers[schemas.HeaderValueDigest], "sha256:"))
}

// The newer process works on, the older says why it ends, and neither comes back.
func TestTwoProcessesUnderOneInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(0, 400)
	old := w.scorer("same")
	ended := make(chan error, 1)
	go func() { ended <- old.Run(t.Context()) }()
	w.exact(400)
	young, stop := w.start("same", kafka.From{})
	becomesReady(t, young)
	w.apply(400, 800)
	require.ErrorContains(t, <-ended, `another process runs as instance "same"`)
	w.apply(800, 1200)
	w.exact(1200)
	becomesReady(t, young)
	require.NoError(t, stop())
}

// A process that hung past the transaction's timeout was fenced by the broker, not
// by another process: it goes on with a new client.
func TestAProcessThatHungGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(0, 400)
	failures := w.fail(kmsg.EndTxn, 1, kerr.InvalidProducerEpoch)
	var ticks atomic.Int64
	began := time.Now()
	stop := run(w.scorer("one", func(c *Config) {
		c.Now = func() time.Time {
			return began.Add(time.Duration(ticks.Add(1)) * (member.TransactionTimeout + time.Second))
		}
	}))
	w.exact(400)
	require.NoError(t, stop())
	require.Equal(t, int64(1), failures.Load())
}

// A transaction that does not end in time ends the process: what it holds is the
// broker's to abort.
func TestATransactionThatDoesNotEndInTimeEndsTheProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(0, 40)
	w.fail(kmsg.EndTxn, always, kerr.ConcurrentTransactions)
	s := w.scorer("one")
	s.endTimeout = 300 * time.Millisecond
	err := s.Run(t.Context())
	require.ErrorContains(t, err, "did not end within 300ms")
	require.Error(t, s.Ready())
}

// SIGTERM ends the polling, not the transaction: it is committed before Run returns.
func TestStoppingFinishesTheTransaction(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	ending := make(chan struct{}, 10)
	w.broker.Cluster().ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		ending <- struct{}{}
		return nil, nil, false
	})
	s := w.scorer("one", func(c *Config) { c.Sessions = 1 })
	stop := run(s)
	<-ending
	require.NoError(t, stop())
	n := int(testutil.ToFloat64(s.metrics.records))
	require.Positive(t, n)
	bySource, _ := w.outputs(n)
	require.Len(t, bySource, n)
}
