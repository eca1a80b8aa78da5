package stream

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

func TestShare_CutsTheLargestPartFirst(t *testing.T) {
	f := func(room, key, headers, value, wantKey, wantHeaders, wantValue int) {
		t.Helper()
		require.Equal(t, [parts]int{wantKey, wantHeaders, wantValue}, share([parts]int{key, headers, value}, room))
	}
	const mib = 1 << 20
	f(2*mib, 8, 30, mib, 8, 30, mib)                     // it fits
	f(2*mib, 8, 3*mib, 200_000, 8, keptHeaders, 200_000) // a large header does not cost the value
	f(2*mib, 8, 30, 3*mib, 8, 30, keptValue)             // nor a large value the headers
	f(2*mib, 3*mib, 30, mib, keptKey, 30, mib)           // nor a large key either of them
	f(2*mib, 0, 3*mib, 3*mib, 0, keptHeaders, keptValue) // two are too large
	f(60_000, 8, 30, 65_536, 8, 30, 59_962)              // less than is kept of a value at most
	f(1000, 2000, 2000, 2000, 125, 250, 625)             // all are too large
	f(1000, 8, 30, 2000, 8, 30, 962)                     // what is small is whole
	f(0, 8, 30, 2000, 0, 0, 0)                           // nothing fits
	f(-500, 8, 30, 2000, 0, 0, 0)                        // not even what is the letter's own
	f(100, 0, 0, 0, 0, 0, 0)                             // there is nothing
}

// headersOf are a letter's headers by key, the last of a name.
func headersOf(r *kgo.Record) map[string]string {
	h := map[string]string{}
	for _, header := range r.Headers {
		h[header.Key] = string(header.Value)
	}
	return h
}

// Whatever was received, its letter is no larger than it may be, and says what the
// whole was.
func TestDeadLetter_TakesNoMoreThanItsRoom(t *testing.T) {
	many := make([]kgo.RecordHeader, 5000)
	for i := range many {
		many[i] = kgo.RecordHeader{Key: "h" + strconv.Itoa(i), Value: []byte("x")}
	}
	large := bytes.Repeat([]byte("x"), 3<<20)
	for name, r := range map[string]*kgo.Record{
		"nothing":      {},
		"small":        {Key: []byte("A-1"), Value: []byte("{")},
		"key":          {Key: large, Value: []byte("{")},
		"value":        {Key: []byte("A-1"), Value: large},
		"one header":   {Key: []byte("A-1"), Value: []byte("{"), Headers: []kgo.RecordHeader{{Key: "large", Value: large}, {Key: "trace", Value: []byte("x")}}},
		"many headers": {Key: []byte("A-1"), Value: []byte("{"), Headers: many},
		"everything":   {Key: large, Value: large, Headers: []kgo.RecordHeader{{Key: string(large), Value: large}}},
	} {
		r.Topic = strings.Repeat("t", 249)
		for _, room := range []int{leastRoom, 16 << 10, 64 << 10, 96 << 10, 2 << 20} {
			d := deadLetter("dlq", r, schemas.ErrorClassDecode, strings.Repeat("é", 5000), time.Unix(1, 0), room)
			const frame = 128 // of a batch with one record
			size := frame + len(d.Key) + len(d.Value)
			for _, h := range d.Headers {
				size += headerBytes(h)
			}
			require.LessOrEqual(t, size, room, "%s in %d", name, room)
			h := headersOf(d)
			require.Equal(t, schemas.ErrorClassDecode, h[schemas.HeaderErrorClass])
			require.Equal(t, r.Topic, h[schemas.HeaderSourceTopic])
			if fits(r, room) {
				require.Equal(t, r.Key, d.Key)
				require.Equal(t, r.Value, d.Value)
				require.NotContains(t, h, schemas.HeaderValueDigest)
				continue
			}
			require.Equal(t, kafka.Digest(r.Value), h[schemas.HeaderValueDigest])
			require.Equal(t, strconv.Itoa(len(r.Value)), h[schemas.HeaderValueBytes])
			require.Equal(t, len(d.Value) < len(r.Value), h[schemas.HeaderValueTruncated] == "true")
			if len(d.Key) < len(r.Key) {
				require.Equal(t, kafka.Digest(r.Key), h[schemas.HeaderKeyDigest])
				require.Equal(t, strconv.Itoa(len(r.Key)), h[schemas.HeaderKeyBytes])
			}
			require.Equal(t, len(d.Key) < len(r.Key), h[schemas.HeaderKeyTruncated] == "true")
			if h[schemas.HeaderHeadersTruncated] == "true" {
				require.Equal(t, kafka.HeadersDigest(r.Headers), h[schemas.HeaderHeadersDigest])
				require.Equal(t, strconv.Itoa(kafka.HeadersBytes(r.Headers)), h[schemas.HeaderHeadersBytes])
			}
		}
	}
}

// limit sets what a topic takes.
func (w *world) limit(topic, bytes string) {
	_, err := kadm.NewClient(w.client).AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &bytes}}, topic)
	require.NoError(w.t, err)
}

// A header of 3 MiB, small on the wire, is more than a letter may hold: it is left
// out, the rest is as received, and what stands around it is answered.
func TestSession_CutsAHeaderThatNoLetterHolds(t *testing.T) { // alone: an abort for want of time would look like one for its size
	w := newWorld(t)
	w.limit(w.topics.Applications, "8000000")
	w.apply(0, 40)
	value := bytes.Repeat([]byte("{"), 2000)
	large := []kgo.RecordHeader{{Key: "large", Value: bytes.Repeat([]byte("h"), 3<<20)}, {Key: "trace", Value: []byte("x")}}
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Applications, Partition: 1, Key: []byte("A-1"), Value: value, Headers: large}).FirstErr())
	w.apply(40, 80)
	s, stop := w.start("one", kafka.From{})
	letters := w.exact(81)
	require.NoError(t, stop())
	require.Zero(t, testutil.ToFloat64(s.metrics.aborts), "it is cut before it is refused")
	found := 0
	for _, d := range letters {
		h := headersOf(d)
		if h[schemas.HeaderHeadersTruncated] != "true" {
			continue
		}
		found++
		require.Equal(t, "A-1", string(d.Key))
		require.Equal(t, value, d.Value)
		require.Equal(t, "x", h["trace"])
		require.NotContains(t, h, "large")
		require.Equal(t, kafka.HeadersDigest(large), h[schemas.HeaderHeadersDigest])
		require.Equal(t, schemas.ErrorClassDecode, h[schemas.HeaderErrorClass])
	}
	require.Equal(t, 1, found)
}

// Dead letters that take 64 KiB: a broken application of as many is cut to what
// fits, and so are many in a row.
func TestSession_CutsLettersToWhatTheirTopicTakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const limit = 65_536
	w.limit(w.topics.DLQ, strconv.Itoa(limit))
	broken := func(n int) (records []*kgo.Record) {
		for i := range n {
			value := bytes.Repeat([]byte{'a' + byte(i)}, limit)
			records = append(records, &kgo.Record{Topic: w.topics.Applications, Partition: int32(i % partitions), Key: []byte("A-1"), Value: value})
		}
		return records
	}
	w.apply(0, 40)
	require.NoError(t, w.client.ProduceSync(t.Context(), broken(20)...).FirstErr())
	s, stop := w.start("one", kafka.From{})
	letters := w.exact(60)
	require.NoError(t, stop())
	require.Zero(t, testutil.ToFloat64(s.metrics.aborts), "what the topic takes was read at the start")
	cut := 0
	for _, d := range letters {
		if h := headersOf(d); h[schemas.HeaderValueTruncated] == "true" {
			cut++
			require.Equal(t, strconv.Itoa(limit), h[schemas.HeaderValueBytes])
			require.Greater(t, len(d.Value), limit-ownBytes-100)
		}
	}
	require.Equal(t, 20, cut)
}

// A limit that is lowered while the scorer runs, or that it may not read, stops it
// as little.
func TestSession_LearnsALimitThatWasLowered(t *testing.T) {
	for name, readable := range map[string]bool{"read again": true, "not readable": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if !readable {
				w.fail(kmsg.DescribeConfigs, always, kerr.TopicAuthorizationFailed)
			}
			w.apply(0, 40)
			s, stop := w.start("one", kafka.From{})
			w.exact(40)
			w.limit(w.topics.DLQ, "20000")
			value := make([]byte, 40_000) // does not compress
			chance := rand.New(rand.NewPCG(1, 1))
			for i := range value {
				value[i] = byte(chance.UintN(256))
			}
			require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Applications, Partition: 1, Key: []byte("A-1"), Value: value}).FirstErr())
			w.apply(40, 80)
			letters := w.exact(81)
			require.NoError(t, stop())
			require.Positive(t, testutil.ToFloat64(s.metrics.aborts))
			var kept []byte
			for _, d := range letters {
				if headersOf(d)[schemas.HeaderValueTruncated] == "true" {
					kept = d.Value
				}
			}
			require.NotEmpty(t, kept)
			require.True(t, bytes.HasPrefix(value, kept))
		})
	}
}

func TestScorer_RefusesATopicThatTakesNoLetter(t *testing.T) {
	w := newWorld(t)
	w.limit(w.topics.DLQ, "2000")
	require.ErrorContains(t, w.scorer("one").Run(t.Context()), "topic t.applications.dlq takes batches of at most 2000 bytes (max.message.bytes), expected at least 4096")
}
