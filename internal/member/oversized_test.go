package member

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
)

// The client says once that a batch is too large, and fetches its partition no more.
// Where nobody heard, as when the group rebalanced at that moment, it is made to say
// so again.
func TestReach_MakesTheClientSayAgainWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.ProducerBatchMaxBytes(100<<20), kgo.MaxBufferedBytes(200<<20),
		kgo.BrokerMaxWriteBytes(200<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	require.NoError(t, err)
	defer producer.Close()
	adm := kadm.NewClient(producer)
	_, err = adm.CreateTopic(t.Context(), 1, 1, nil, "t")
	require.NoError(t, err)
	require.NoError(t, producer.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: bytes.Repeat([]byte(" "), kafka.MaxBatch+1)}).FirstErr())
	var begin kadm.Offsets
	begin.AddOffset("t", 0, 0, -1)
	require.NoError(t, adm.CommitAllOffsets(t.Context(), "g", begin))

	config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test", Log: slog.New(slog.DiscardHandler)}
	client, err := kgo.NewClient(append(config.Options(), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit())...)
	require.NoError(t, err)
	defer client.Close()
	said := func() bool {
		poll, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		for _, e := range client.PollFetches(poll).Errors() {
			if e.Topic == "t" {
				require.ErrorIs(t, e.Err, kgo.ErrMaxDecompress)
				return true
			}
		}
		return false
	}
	require.Eventually(t, said, time.Minute, time.Millisecond)
	require.False(t, said(), "once")

	gauge := func(name string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, []string{"partition"})
	}
	r := NewReach(ReachConfig{
		Group: "g", Topic: "t", Log: slog.New(slog.DiscardHandler), Retry: time.Nanosecond,
		Lag: gauge("a"), Unreachable: gauge("b"), Unreadable: gauge("c"), Removed: gauge("d"),
	})
	r.ends[0] = 1
	for range stallLooks + 1 { // the first finds out where it is
		r.lookForStalls(t.Context(), client)
	}
	require.Eventually(t, said, time.Minute, time.Millisecond)
	require.Empty(t, r.Stopped(), "it is not damaged")
}
