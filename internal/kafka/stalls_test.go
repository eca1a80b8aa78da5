package kafka_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
)

// A client stops at a batch that is too large to be unpacked, and says so once. A reader who
// did not hear it is told by a second look, also where the batch was aborted.
func TestStalls_FindABatchThatIsTooLarge(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(context.Context, []string, string, int) error{
		"committed": kafkatest.Oversized, "aborted": kafkatest.AbortedOversized,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker, err := local.StartKafka("")
			require.NoError(t, err)
			defer broker.Close()
			config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test", Log: slog.New(slog.DiscardHandler)}
			client, err := kgo.NewClient(config.Options()...)
			require.NoError(t, err)
			defer client.Close()
			_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "t")
			require.NoError(t, err)
			require.NoError(t, write(t.Context(), config.Brokers, "t", kafka.MaxBatch+1))
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "t"}).FirstErr())
			var stalls kafka.Stalls
			at := map[int32]int64{0: 0}
			stalled, err := stalls.Look(t.Context(), client, "t", at)
			require.NoError(t, err)
			require.Empty(t, stalled, "it may be on its way")
			stalled, err = stalls.Look(t.Context(), client, "t", at)
			require.NoError(t, err)
			require.Len(t, stalled, 1)
			require.ErrorIs(t, stalled[0], kgo.ErrMaxDecompress)
			require.Zero(t, stalled[0].From)
		})
	}
}

func TestFetchAgain_IsEverMoreSeldom(t *testing.T) {
	t.Parallel()
	var at []int
	for looks := range 40 {
		if kafka.FetchAgain(looks) {
			at = append(at, looks)
		}
	}
	require.Equal(t, []int{4, 8, 16, 32}, at)
}
