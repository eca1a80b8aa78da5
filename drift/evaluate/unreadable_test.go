package evaluate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
)

// Panes that unpack to too much are named in words that are not the client's.
func TestOversizedBatch_IsNamedByTheEvaluator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, kafkatest.Oversized(t.Context(), w.config.Brokers, w.topics.DriftPanes, kafka.MaxBatch+1))
	e := w.evaluator()
	stop := run(e)
	reason := fmt.Sprintf("unpacks to more than %d MiB", kafka.MaxBatch>>20)
	require.Eventually(t, func() bool {
		err := e.Ready()
		require.NotContains(t, fmt.Sprint(err), "SetOffsets")
		return err != nil && strings.Contains(err.Error(), reason)
	}, time.Minute, time.Millisecond)
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
