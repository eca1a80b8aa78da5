package stream

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

// packed is a client whose batches are small as they are sent, whatever they unpack to.
func (w *world) packed(more ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.broker.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(50 * time.Millisecond),
		kgo.ProducerBatchMaxBytes(100 << 20), kgo.MaxBufferedBytes(200 << 20), kgo.BrokerMaxWriteBytes(200 << 20),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()),
	}, more...)...)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	return client
}

// padded is an application with blanks behind it.
func (w *world) padded(i, size int) *kgo.Record {
	r := w.applications(i, i+1)[0]
	r.Value = append(r.Value, bytes.Repeat([]byte(" "), size-len(r.Value))...)
	return r
}

func class(letter *kgo.Record) (class string) {
	for _, h := range letter.Headers {
		if h.Key == schemas.HeaderErrorClass {
			class = string(h.Value)
		}
	}
	return class
}

// One batch of a few kilobytes unpacks to more than a process should hold: each of its
// offsets has a dead letter without a value, and what stands behind it is answered. What
// a producer took back needs none.
func TestOversizedBatch_IsRefusedByItsOffsets(t *testing.T) {
	for _, protocol := range []string{member.ProtocolClassic, member.ProtocolConsumer} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.apply(0, 40)
			large := func(first int) (records []*kgo.Record) {
				for i := range 3 {
					records = append(records, w.padded(first+i*partitions, kafka.MaxBatch/3+1))
				}
				return records
			}
			require.NoError(t, w.packed().ProduceSync(t.Context(), large(43)...).FirstErr()) // offsets 10 … 12 of partition 3
			taken := w.packed(kgo.TransactionalID("taken back"))
			require.NoError(t, taken.BeginTransaction())
			require.NoError(t, taken.ProduceSync(t.Context(), large(42)...).FirstErr()) // of partition 2
			require.NoError(t, taken.EndTransaction(t.Context(), kgo.TryAbort))
			w.apply(60, 80)
			s := w.scorer("one", func(c *Config) { c.Protocol = protocol })
			stop := run(s)
			bySource, letters := w.outputs(63)
			require.Len(t, bySource, 63)
			refused := 0
			for _, letter := range letters {
				if class(letter) != schemas.ErrorClassTooLarge {
					continue
				}
				refused++
				source := w.answeredBy(letter)
				require.Equal(t, int32(3), source.Partition)
				require.True(t, source.Offset >= 10 && source.Offset < 13, source)
				require.Empty(t, letter.Value)
			}
			require.Equal(t, 3, refused)
			w.apply(80, 100)
			w.outputs(83)
			require.NoError(t, stop())
			// Another goes on behind it: nothing is answered again.
			stop = run(w.scorer("one", func(c *Config) { c.Protocol = protocol }))
			w.apply(100, 120)
			bySource, _ = w.outputs(103)
			require.NoError(t, stop())
			for source, n := range bySource {
				require.Equal(t, 1, n, source)
			}
		})
	}
}

// A record that unpacks to more than the topic takes is a dead letter by itself.
func TestOversizedRecord_IsADeadLetter(t *testing.T) {
	w := newWorld(t)
	w.apply(0, 40)
	require.NoError(t, w.packed().ProduceSync(t.Context(), w.padded(41, maxApplication+1), w.padded(45, maxApplication), w.padded(49, 20<<20)).FirstErr())
	stop := run(w.scorer("one"))
	bySource, letters := w.outputs(43)
	require.Len(t, bySource, 43)
	refused := map[int64]int{}
	for _, letter := range letters {
		if class(letter) == schemas.ErrorClassTooLarge {
			refused[w.answeredBy(letter).Offset] = len(letter.Value)
		}
	}
	require.Len(t, refused, 2)
	require.NotZero(t, refused[10])
	require.LessOrEqual(t, refused[12], poisonRooms[0])
	require.NoError(t, stop())
}

// A large one takes several transactions; the log has one line of it.
func TestOversizedBatch_IsToldOfOnce(t *testing.T) {
	const records = 10_100 // more than one transaction answers
	w := newWorld(t)
	var log capture.Output
	sender := w.packed(kgo.ManualFlushing(), kgo.MaxBufferedRecords(records))
	for range records {
		sender.Produce(t.Context(), &kgo.Record{Topic: w.topics.Applications, Partition: 3, Value: make([]byte, kafka.MaxBatch/records+1)}, nil)
	}
	require.NoError(t, sender.Flush(t.Context()))
	s := w.scorer("one", func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	stop := run(s)
	bySource, _ := w.outputs(records)
	require.Len(t, bySource, records)
	require.NoError(t, stop())
	require.Equal(t, 1, strings.Count(log.String(), "a batch is too large to be unpacked"))
	require.Contains(t, log.String(), "dead_letters=10100")
}
