package evaluate

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
)

// A batch that unpacks to more than any aggregator writes is left out, also by who begins
// before it: the panes behind it are evaluated.
func TestOversizedBatch_IsLeftOutByTheEvaluator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	city := drifttest.NewCity(drifttest.ShippedChampion(t), 1)
	oversized := func() {
		require.NoError(t, kafkatest.Oversized(t.Context(), w.config.Brokers, w.topics.DriftPanes, kafka.MaxBatch+1))
	}
	w.write(city.Pane(100))
	oversized()
	w.write(city.Pane(100))
	log := &capture.Output{}
	// A look at the panes unpacks the batch as well: its time is not to be all there is.
	apart := func(c *Config) { c.Tick, c.Log = time.Second, slog.New(slog.NewTextHandler(log, nil)) }
	e := w.evaluator(apart)
	stop := run(e)
	w.evaluated(200)
	oversized()
	w.write(city.Pane(100))
	w.evaluated(300)
	require.NoError(t, kafkatest.AbortedOversized(t.Context(), w.config.Brokers, w.topics.DriftPanes, kafka.MaxBatch+1))
	w.write(city.Pane(100))
	w.evaluated(400)
	require.NoError(t, e.Ready())
	require.NoError(t, stop())
	require.InDelta(t, 2, testutil.ToFloat64(e.metrics.malformed), 0)
	require.Contains(t, log.String(), fmt.Sprintf("unpacks to more than %d MiB", kafka.MaxBatch>>20))
	require.NotContains(t, log.String(), "SetOffsets")

	stop = run(w.evaluator(apart))
	w.write(city.Pane(100))
	w.evaluated(500)
	require.NoError(t, stop())
}

// Panes that cannot be read make the evaluator unready, named with their offset, whether
// the client complains of them or waits for them in silence.
func TestUnreadableBatch_IsNamedByTheEvaluator(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]bool{"records": false, "length": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			city := drifttest.NewCity(drifttest.ShippedChampion(t), 1)
			w.write(city.Pane(100))
			w.write(city.Pane(100))
			w.transaction(kgo.TryCommit, city.Pane(100))
			require.NoError(t, kafkatest.Flip(dir, w.topics.DriftPanes, 0, 2, header))
			e := w.evaluator()
			stop := run(e)
			require.Eventually(t, func() bool {
				err := e.Ready()
				return err != nil && strings.Contains(err.Error(), w.topics.DriftPanes+"/0") && (!header || strings.Contains(err.Error(), "offset 2"))
			}, time.Minute, time.Millisecond)
			require.NoError(t, stop())
		})
	}
}
