package deadletters

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
)

// A batch that unpacks to more than a scorer or a replay writes holds neither letters nor
// markers: it is named and left out, and the letters around it are listed and replayed.
func TestOversizedBatch_IsLeftOutOfDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(6)
	require.NoError(t, kafkatest.Oversized(t.Context(), w.config.Kafka.Brokers, w.config.Topics.DLQ, kafka.MaxBatch+1))
	w.letters(6)
	letters, counts := w.list()
	require.Len(t, letters, 12)
	require.EqualValues(t, 1, counts.Unread.Offsets)
	require.Len(t, counts.Unread.At, 1)
	report := w.replayed()
	require.EqualValues(t, 12, report.Replayed)
	require.Equal(t, counts.Unread.At, report.Unread.At)
	require.Zero(t, w.replayed().Replayed, "their markers are read")
}

// Any other batch that cannot be read may hold a marker.
func TestUnreadableBatch_EndsListAndReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.letters(6)
	require.NoError(t, kafkatest.Flip(dir, w.config.Topics.DLQ, 0, 0, false))
	_, _, err := List(t.Context(), ListConfig{Config: w.config})
	require.ErrorContains(t, err, w.config.Topics.DLQ+"/0 cannot be read at offset 0")
	_, err = Replay(t.Context(), ReplayConfig{Config: w.config})
	require.ErrorContains(t, err, w.config.Topics.DLQ+"/0 cannot be read at offset 0")
	require.Empty(t, w.committed(w.config.Topics.Applications))
}
