package local

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/loopback"
)

const patience = 30 * time.Second

func client(t *testing.T, k *Kafka, opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(k.Addr()), kgo.DefaultProduceTopic("t"))...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func create(t *testing.T, k *Kafka, settings map[string]string) {
	configs := map[string]*string{}
	for key, value := range settings {
		configs[key] = kadm.StringPtr(value)
	}
	_, err := kadm.NewClient(client(t, k)).CreateTopic(t.Context(), 1, 1, configs, "t")
	require.NoError(t, err)
}

// committed reads n committed values from the start of the topic.
func committed(t *testing.T, k *Kafka, n int) (values []string) {
	c := client(t, k, kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(values) < n {
		fetches := c.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func TestARestartKeepsTransactionsOffsetsAndThePort(t *testing.T) {
	dir := t.TempDir()
	at, port, err := loopback.Free(1)
	require.NoError(t, err)
	k, err := StartKafka(dir, Port(port))
	require.NoError(t, err)
	create(t, k, map[string]string{"retention.ms": "-1"})

	transact := func(k *Kafka, value string, how kgo.TransactionEndTry) {
		c := client(t, k, kgo.TransactionalID("x"))
		require.NoError(t, c.BeginTransaction())
		require.NoError(t, c.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr())
		require.NoError(t, c.EndTransaction(t.Context(), how))
		c.Close()
	}
	transact(k, "one", kgo.TryCommit)
	transact(k, "aborted", kgo.TryAbort)
	var offsets kadm.Offsets
	offsets.AddOffset("t", 0, 1, -1)
	require.NoError(t, kadm.NewClient(client(t, k)).CommitAllOffsets(t.Context(), "g", offsets))
	k.Close()

	k, err = StartKafka(dir, Port(port))
	require.NoError(t, err)
	defer k.Close()
	require.Equal(t, at, k.Addr())
	transact(k, "two", kgo.TryCommit)
	require.Equal(t, []string{"one", "two"}, committed(t, k, 2))
	have, err := kadm.NewClient(client(t, k)).FetchOffsets(t.Context(), "g")
	require.NoError(t, err)
	o, ok := have.Lookup("t", 0)
	require.True(t, ok)
	require.Equal(t, int64(1), o.At)
}

func TestADirectoryServesOneBroker(t *testing.T) {
	dir := t.TempDir()
	k, err := StartKafka(dir)
	require.NoError(t, err)
	_, err = StartKafka(dir)
	require.ErrorContains(t, err, "stop that one, or choose another directory")
	k.Close()
	k, err = StartKafka(dir)
	require.NoError(t, err)
	k.Close()
}

func TestATakenPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = StartKafka("", Port(port))
	require.ErrorContains(t, err, strconv.Itoa(port))
	require.ErrorContains(t, err, "choose another port")
}

func TestRetentionDeletes(t *testing.T) {
	for name, bounded := range map[string]map[string]string{
		"by size": Bounded(map[string]string{"cleanup.policy": "delete", "retention.ms": "1000000"}, time.Hour, 256<<10),
		"by age":  Bounded(map[string]string{"cleanup.policy": "delete", "retention.ms": "1000000"}, time.Millisecond, 1<<30),
	} {
		t.Run(name, func(t *testing.T) {
			k, err := StartKafka(t.TempDir(), kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "20"}))
			require.NoError(t, err)
			defer k.Close()
			create(t, k, bounded)
			c := client(t, k, kgo.ProducerBatchCompression(kgo.NoCompression()))
			value := bytes.Repeat([]byte("x"), 10<<10)
			for range 100 {
				require.NoError(t, c.ProduceSync(t.Context(), &kgo.Record{Value: value}).FirstErr())
			}
			adm := kadm.NewClient(c)
			require.Eventually(t, func() bool {
				starts, err := adm.ListStartOffsets(t.Context(), "t")
				require.NoError(t, err)
				o, ok := starts.Lookup("t", 0)
				return ok && o.Offset > 60
			}, patience, 10*time.Millisecond)
		})
	}
}

func TestBoundedKeepsWhatIsKeptForEver(t *testing.T) {
	for _, settings := range []map[string]string{
		{"cleanup.policy": "compact", "retention.ms": "-1"},
		{"cleanup.policy": "delete", "retention.ms": "-1"},
	} {
		bounded := Bounded(settings, time.Minute, 1<<20)
		require.Equal(t, "-1", bounded["retention.ms"])
		require.NotContains(t, bounded, "retention.bytes")
		require.NotContains(t, settings, "segment.bytes", "the settings themselves are left as they are")
	}
}

// A producer that vanishes must not hold back committed readers for ever.
func TestAnAbandonedTransactionIsAborted(t *testing.T) {
	k, err := StartKafka("")
	require.NoError(t, err)
	defer k.Close()
	create(t, k, nil)
	lost := client(t, k, kgo.TransactionalID("x"), kgo.TransactionTimeout(200*time.Millisecond))
	require.NoError(t, lost.BeginTransaction())
	require.NoError(t, lost.ProduceSync(t.Context(), kgo.StringRecord("lost")).FirstErr())
	lost.Close()
	require.NoError(t, client(t, k).ProduceSync(t.Context(), kgo.StringRecord("behind it")).FirstErr())
	require.Equal(t, []string{"behind it"}, committed(t, k, 1))
}

func TestADirectoryThatCannotBeMadeIsAnError(t *testing.T) {
	_, err := StartKafka("/dev/null/x")
	require.ErrorContains(t, err, "embedded Kafka")
}
