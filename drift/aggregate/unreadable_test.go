package aggregate

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
)

// Foreign records on the topics end no aggregator: they are left out and counted.
// Those in Avro, where there is no registry, are told of once a minute.
func TestForeignRecord_IsLeftOutAndCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log capture.Output
	w.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	w.emit(200)
	for _, value := range [][]byte{{0, 0, 0, 0, 1, 2, 3}, {0, 0, 0, 0, 1}, []byte("hello"), nil} {
		w.malformed++
		require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.config.Topics.Predictions, Partition: 1, Value: value}).FirstErr())
		require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.config.Topics.Outcomes, Partition: 1, Value: value}).FirstErr())
	}
	w.emit(200)
	a, stop := w.start("one")
	w.exact()
	require.Eventually(t, func() bool {
		return testutil.ToFloat64(a.metrics.malformed.WithLabelValues(w.config.Topics.Outcomes)) == 4
	}, patience, tick)
	require.NoError(t, stop())
	require.Equal(t, 1, strings.Count(log.String(), "set --schema-registry"))
}

// A batch that cannot be read is skipped after some tries; the other partitions are
// counted meanwhile, and what stands behind it afterwards.
func TestUnreadableBatch_IsSkippedAfterSomeTries(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]bool{"records": false, "length": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			w.emit(40)
			first := len(w.emitted)
			w.emit(8) // two of each partition
			w.emit(40)
			require.NoError(t, kafkatest.Flip(dir, w.config.Topics.Predictions, 3, 11, header))
			kept := w.emitted[:0:0]
			for i, p := range w.emitted {
				if i < first || i >= first+8 || i%partitions != 3 {
					kept = append(kept, p)
				}
			}
			w.emitted = kept
			log := &capture.Output{}
			_, stop := w.start("one", func(c *Config) {
				c.retry, c.Log = time.Millisecond, slog.New(slog.NewTextHandler(log, nil))
			})
			w.exact()
			require.NoError(t, stop())
			require.Contains(t, log.String(), "partition stopped: a batch cannot be read")
			require.NotContains(t, log.String(), "passed_over_with", "no flag does")
		})
	}
}

// A batch that was aborted and is too large for a client to see that stops no partition.
func TestAbortedBatch_ThatIsTooLargeStopsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(40)
	require.NoError(t, kafkatest.AbortedOversized(t.Context(), w.config.Kafka.Brokers, w.config.Topics.Predictions, kafka.MaxBatch+1))
	w.emit(40)
	log := &capture.Output{}
	_, stop := w.start("one", func(c *Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
	w.exact()
	require.NoError(t, stop())
	require.NotContains(t, log.String(), "partition stopped")
}
