package view

import (
	"io"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
)

// A batch that was aborted and is too large for a client to see that is left out of nothing:
// the view and a rebuild get past it, and count none.
func TestAbortedBatch_ThatIsTooLargeHoldsUpNoView(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 20, 1)
	require.NoError(t, kafkatest.AbortedOversized(t.Context(), w.config.Kafka.Brokers, w.config.Topics.Predictions, kafka.MaxBatch+1))
	w.emit(10, 30, 2)
	_, err := Rebuild(t.Context(), w.config, io.Discard)
	require.NoError(t, err)
	w.same()
	require.NoError(t, w.rdb.FlushAll(t.Context()).Err())
	v, _ := w.start()
	w.ready(v)
	w.same()
	require.Zero(t, testutil.ToFloat64(v.metrics.unreadable))
}
