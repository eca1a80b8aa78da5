package kafka_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
)

func TestReadCommittedReadsWhatIsCommittedInOrder(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test"}
	client, err := kgo.NewClient(append(config.Options(), kgo.TransactionalID("writer"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	_, err = kafka.CreateTopics(t.Context(), admin, []kafka.TopicSpec{{Name: topic, Partitions: 2, Replication: 1}})
	require.NoError(t, err)
	// Ten records each and a marker: 0 … 9 committed, 11 … 20 aborted, 22 … 31 committed.
	for round, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		require.NoError(t, client.BeginTransaction())
		for i := range 20 {
			record := &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte{byte(round)}}
			require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
		}
		require.NoError(t, client.EndTransaction(t.Context(), commit))
	}
	f := func(spans map[int32]kafka.Span, want map[int32][]int64, gaps ...int32) {
		t.Helper()
		got := map[int32][]int64{}
		var told []int32
		require.NoError(t, config.ReadCommitted(t.Context(), kafka.Spans{topic: spans}, kafka.Sink{
			Each: func(r *kgo.Record) error {
				require.NotEqual(t, byte(1), r.Value[0], "aborted")
				got[r.Partition] = append(got[r.Partition], r.Offset)
				return nil
			},
			Gap: func(_ string, partition int32) { told = append(told, partition) },
		}))
		require.Equal(t, want, got)
		require.Equal(t, gaps, told)
	}
	f(map[int32]kafka.Span{0: {From: 8, To: 24}, 1: {From: 0, To: 2}}, map[int32][]int64{0: {8, 9, 22, 23}, 1: {0, 1}})
	f(map[int32]kafka.Span{0: {From: 11, To: 21}}, map[int32][]int64{})
	f(map[int32]kafka.Span{0: {From: 30, To: 33}}, map[int32][]int64{0: {30, 31}})
	f(map[int32]kafka.Span{0: {From: 5, To: 5}}, map[int32][]int64{})

	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 7, -1)
	_, err = admin.DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	f(map[int32]kafka.Span{0: {From: 0, To: 10}, 1: {From: 8, To: 10}}, map[int32][]int64{0: {7, 8, 9}, 1: {8, 9}}, 0)

	full := errors.New("full")
	require.ErrorIs(t, config.ReadCommitted(t.Context(), kafka.Spans{topic: {1: {To: 10}}}, kafka.Sink{Each: func(*kgo.Record) error { return full }}), full)
}

// damaged is an embedded broker whose logs are in a folder, with one topic, and a client
// that says which partition it writes to.
func damaged(t *testing.T, partitions int32) (dir string, config kafka.Config, client *kgo.Client) {
	t.Helper()
	dir, config, client, _ = damagedBroker(t, partitions)
	return dir, config, client
}

// damagedBroker is damaged, with the broker.
func damagedBroker(t *testing.T, partitions int32) (dir string, config kafka.Config, client *kgo.Client, broker *local.Kafka) {
	t.Helper()
	dir = t.TempDir()
	broker, err := local.StartKafka(dir)
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	config = kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test"}
	client, err = kgo.NewClient(append(config.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(client), []kafka.TopicSpec{{Name: topic, Partitions: partitions, Replication: 1}})
	require.NoError(t, err)
	return dir, config, client, broker
}

// readUpTo is what is read of partition 0, and what cannot be.
func readUpTo(t *testing.T, config kafka.Config, to int64) (got []int64, broken []kafka.Span) {
	t.Helper()
	require.NoError(t, config.ReadCommitted(t.Context(), kafka.Spans{topic: {0: {To: to}}}, kafka.Sink{
		Each: func(r *kgo.Record) error { got = append(got, r.Offset); return nil },
		Unreadable: func(u *kafka.UnreadableError) error {
			broken = append(broken, kafka.Span{From: u.From, To: u.To})
			return nil
		},
	}))
	return got, broken
}

// Where an aborted record has it looked for a batch that claims the offsets of others,
// one that lies far ahead takes nothing along of what comes before it.
func TestReadCommitted_TakesWhatLiesBeforeABatchThatClaimsOtherOffsets(t *testing.T) {
	t.Parallel()
	dir, config, client := damaged(t, 1)
	var want []int64
	next, random := int64(0), rand.NewChaCha8([32]byte{})
	write := func(records, size int) {
		var batch []*kgo.Record
		for range records {
			value := make([]byte, size) // that does not get smaller when it is packed
			_, _ = random.Read(value)
			batch = append(batch, &kgo.Record{Topic: topic, Value: value})
			want, next = append(want, next), next+1
		}
		require.NoError(t, client.ProduceSync(t.Context(), batch...).FirstErr())
	}
	write(2, 1)
	tx, err := kgo.NewClient(append(config.Options(), kgo.TransactionalID("aborts"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer tx.Close()
	require.NoError(t, tx.BeginTransaction())
	require.NoError(t, tx.ProduceSync(t.Context(), &kgo.Record{Topic: topic}).FirstErr())
	require.NoError(t, tx.EndTransaction(t.Context(), kgo.TryAbort))
	next += 2 // the record and its marker
	for range 8 {
		write(1, 100<<10)
	}
	whole := len(want)
	moved := next
	write(10, 1)
	want = want[:whole]
	write(12, 1)
	write(5, 1)
	require.NoError(t, kafkatest.Move(dir, topic, 0, moved, 5))
	got, broken := readUpTo(t, config, next)
	require.Equal(t, []kafka.Span{{From: moved, To: moved + 10}}, broken)
	require.Equal(t, want, got)
}

// A batch that cannot be read is told of by its offsets, and reading goes on behind it;
// whoever does not ask for it gets it as the error.
func TestReadCommitted_GoesOnBehindWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]kafkatest.Damage{
		"records":  kafkatest.Records,
		"length":   kafkatest.Length,
		"format 3": kafkatest.Format(3),
		"format 9": kafkatest.Format(9),
		"format 0": kafkatest.Format(0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, config, client := damaged(t, 2)
			for range 4 { // batches of three
				require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}, &kgo.Record{Topic: topic}, &kgo.Record{Topic: topic}).FirstErr())
				require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 1}).FirstErr())
			}
			require.NoError(t, damage(dir, topic, 0, 4))
			require.NoError(t, damage(dir, topic, 1, 2))
			read := func(to int64) (got map[int32][]int64, broken []kafka.Span) {
				got = map[int32][]int64{}
				spans := kafka.Spans{topic: {0: {To: to}, 1: {To: 4}}}
				require.NoError(t, config.ReadCommitted(t.Context(), spans, kafka.Sink{
					Each: func(r *kgo.Record) error { got[r.Partition] = append(got[r.Partition], r.Offset); return nil },
					Unreadable: func(u *kafka.UnreadableError) error {
						broken = append(broken, kafka.Span{From: u.From, To: u.To})
						return nil
					},
				}))
				return got, broken
			}
			got, broken := read(12)
			require.Equal(t, map[int32][]int64{0: {0, 1, 2, 6, 7, 8, 9, 10, 11}, 1: {0, 1, 3}}, got)
			require.ElementsMatch(t, []kafka.Span{{From: 3, To: 6}, {From: 2, To: 3}}, broken)
			got, broken = read(5)
			require.Equal(t, []int64{0, 1, 2}, got[0])
			require.ElementsMatch(t, []kafka.Span{{From: 3, To: 5}, {From: 2, To: 3}}, broken)
			got, broken = read(3)
			require.Equal(t, []int64{0, 1, 2}, got[0])
			require.Equal(t, []kafka.Span{{From: 2, To: 3}}, broken)

			// Who stands within it has what lies before that.
			u, _, err := kafka.Unreadable(t.Context(), client, topic, 0, 4)
			require.NoError(t, err)
			require.Equal(t, kafka.Span{From: 4, To: 6}, kafka.Span{From: u.From, To: u.To})

			err = config.ReadCommitted(t.Context(), kafka.Spans{topic: {0: {To: 12}}}, kafka.Sink{Each: func(*kgo.Record) error { return nil }})
			u, ok := errors.AsType[*kafka.UnreadableError](err)
			require.True(t, ok, err)
			require.Equal(t, int64(3), u.From)
		})
	}
}

// The checksum of a batch leaves its first offset out. One that has changed makes records
// those of other offsets, or takes those of the next batch along.
func TestReadCommitted_NoticesABatchThatClaimsOtherOffsets(t *testing.T) {
	for _, bit := range []int{0, 1, 2, 3, 4, 5, 40, 63} { // of offset 21, 0b10101, of ten
		t.Run(fmt.Sprint(bit), func(t *testing.T) {
			t.Parallel()
			dir, config, client := damaged(t, 1)
			written := 0
			write := func(n int) {
				var batch []*kgo.Record
				for range n {
					batch = append(batch, &kgo.Record{Topic: topic, Value: []byte{byte(written)}})
					written++
				}
				require.NoError(t, client.ProduceSync(t.Context(), batch...).FirstErr())
			}
			for _, n := range []int{20, 1, 10, 12, 5} {
				write(n)
			}
			read := func() (got []int64, broken []kafka.Span) {
				require.NoError(t, config.ReadCommitted(t.Context(), kafka.Spans{topic: {0: {To: 48}}}, kafka.Sink{
					Each: func(r *kgo.Record) error {
						require.EqualValues(t, r.Offset, r.Value[0], "the record of its offset")
						got = append(got, r.Offset)
						return nil
					},
					Unreadable: func(u *kafka.UnreadableError) error {
						broken = append(broken, kafka.Span{From: u.From, To: u.To})
						return nil
					},
				}))
				return got, broken
			}
			require.NoError(t, kafkatest.Move(dir, topic, 0, 25, bit))
			got, broken := read()
			require.Equal(t, []kafka.Span{{From: 21, To: 31}}, broken)
			require.Len(t, got, 38)
			u, _, err := kafka.Unreadable(t.Context(), client, topic, 0, 21)
			require.NoError(t, err)
			require.NotNil(t, u)
			require.EqualValues(t, 21, u.From)
			require.EqualValues(t, 31, u.To)
		})
	}
}

// A broker that fails and does not say why makes no batch unreadable: it is asked again.
func TestReadCommitted_WaitsForAFailingBroker(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test"}
	client, err := kgo.NewClient(config.Options()...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(client), []kafka.TopicSpec{{Name: topic, Partitions: 1, Replication: 1}})
	require.NoError(t, err)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}, &kgo.Record{Topic: topic}, &kgo.Record{Topic: topic}).FirstErr())
	var left atomic.Int64
	left.Store(4)
	broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster().KeepControl()
		if left.Add(-1) < 0 {
			return nil, nil, false
		}
		return local.Refusal(request, kerr.UnknownServerError.Code), nil, true
	})
	_, _, err = kafka.Unreadable(t.Context(), client, topic, 0, 0)
	require.ErrorIs(t, err, kerr.UnknownServerError)
	var got []int64
	require.NoError(t, config.ReadCommitted(t.Context(), kafka.Spans{topic: {0: {To: 3}}}, kafka.Sink{
		Each:       func(r *kgo.Record) error { got = append(got, r.Offset); return nil },
		Unreadable: func(u *kafka.UnreadableError) error { return u },
	}))
	require.Equal(t, []int64{0, 1, 2}, got)
	require.LessOrEqual(t, left.Load(), int64(0))
}

// Where the broker calls a batch corrupt and names no end of the log, the batch ends
// where something can be read again, or at what is decided.
func TestUnreadable_AlwaysSaysWhereItEnds(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test"}
	client, err := kgo.NewClient(config.Options()...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(client), []kafka.TopicSpec{{Name: topic, Partitions: 1, Replication: 1}})
	require.NoError(t, err)
	for range 10 {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic}).FirstErr())
	}
	var good atomic.Int64 // offsets from here on can be read
	var code atomic.Int32 // what is said of the others
	broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster().KeepControl()
		if request.(*kmsg.FetchRequest).Topics[0].Partitions[0].FetchOffset >= good.Load() {
			return nil, nil, false
		}
		refused := local.Refusal(request, int16(code.Load())).(*kmsg.FetchResponse)
		refused.Topics[0].Partitions[0].HighWatermark = -1
		return refused, nil, true
	})
	for _, says := range []*kerr.Error{kerr.CorruptMessage, kerr.InvalidRecord} {
		code.Store(int32(says.Code))
		for _, end := range []int64{3, 7, 10} {
			good.Store(end)
			u, _, err := kafka.Unreadable(t.Context(), client, topic, 0, 2)
			require.NoError(t, err)
			require.Equal(t, kafka.Span{From: 2, To: end}, kafka.Span{From: u.From, To: u.To})
			require.True(t, kafka.IsUnreadable(kgo.FetchError{Topic: topic, Err: says}))
			require.Equal(t, "the broker says that the batch is damaged ("+says.Message+")", u.Err.Error())
		}
	}
}
