package kafka_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
)

// watching is an OpenWatch whose clock a test sets.
type watching struct {
	*kafka.OpenWatch
	t     *testing.T
	reg   *prometheus.Registry
	log   capture.Output
	now   time.Time
	since time.Time // what the log says; zero: nothing
	fails error
	asked int
}

func newWatching(t *testing.T) *watching {
	w := &watching{t: t, reg: prometheus.NewRegistry(), now: time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)}
	w.OpenWatch = kafka.NewOpenWatch(kafka.OpenWatchConfig{
		Component: "score", Topic: "a", Log: slog.New(slog.NewTextHandler(&w.log, nil)), Registerer: w.reg,
		Now: func() time.Time { return w.now },
		Since: func(_ context.Context, open []kafka.Open) error {
			for i := range open {
				w.asked++
				open[i].Since = w.since
			}
			return w.fails
		},
	})
	return w
}

// look looks after so many seconds.
func (w *watching) look(after int, ends map[int32]kafka.End) {
	w.now = w.now.Add(time.Duration(after) * time.Second)
	w.Look(w.t.Context(), ends)
}

func (w *watching) shows(lines ...string) {
	w.t.Helper()
	want := "# HELP creditstream_open_transaction_seconds How long the oldest transaction that is open on the partition has been open, 0 where none is.\n" +
		"# TYPE creditstream_open_transaction_seconds gauge\n" + strings.Join(lines, "\n") + "\n"
	if len(lines) == 0 {
		want = ""
	}
	require.NoError(w.t, testutil.GatherAndCompare(w.reg, strings.NewReader(want), "creditstream_open_transaction_seconds"))
}

func (w *watching) times(message string) int { return strings.Count(w.log.String(), message) }

const (
	waits = "records wait behind an open transaction"
	ended = "the open transaction has ended"
)

func TestOpenWatch_SaysOnceThatATransactionHangsAndThatItHasEnded(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	w.look(0, map[int32]kafka.End{4: {Stable: 7, High: 8}, 5: {Stable: 3, High: 3}})
	w.look(5, map[int32]kafka.End{4: {Stable: 7, High: 20}, 5: {Stable: 3, High: 3}})
	require.NoError(t, w.Pending(), "five seconds are none of its business")
	w.shows(`creditstream_open_transaction_seconds{component="score",partition="4",topic="a"} 5`, `creditstream_open_transaction_seconds{component="score",partition="5",topic="a"} 0`)
	w.look(5, map[int32]kafka.End{4: {Stable: 7, High: 27}, 5: {Stable: 3, High: 3}})
	w.look(5, map[int32]kafka.End{4: {Stable: 7, High: 37}, 5: {Stable: 3, High: 3}})
	require.EqualError(t, w.Pending(), "30 records behind an open transaction on a/4 since 2026-11-30T10:00:00Z")
	require.Equal(t, 1, w.times(waits))
	require.Zero(t, w.times(ended))
	require.Equal(t, 1, w.asked)
	records, err := testutil.GatherAndCount(w.reg, "creditstream_open_transaction_records")
	require.NoError(t, err)
	require.Equal(t, 2, records)

	w.look(5, map[int32]kafka.End{4: {Stable: 38, High: 38}, 5: {Stable: 3, High: 3}})
	require.NoError(t, w.Pending())
	require.Equal(t, 1, w.times(ended))
	require.Equal(t, 1, w.times(waits))
	w.shows(`creditstream_open_transaction_seconds{component="score",partition="4",topic="a"} 0`, `creditstream_open_transaction_seconds{component="score",partition="5",topic="a"} 0`)

	w.look(5, nil) // both partitions are another replica's now
	w.shows()
}

// Where producers write in transactions there is nearly always one that is open.
func TestOpenWatch_TakesTransactionsThatEndForWhatTheyAre(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	for i := range 20 {
		w.look(5, map[int32]kafka.End{0: {Stable: int64(10 * i), High: int64(10*i + 9)}})
		require.NoError(t, w.Pending())
	}
	require.Zero(t, w.asked, "nobody asks the log")
	require.Empty(t, w.log.String())
}

// A replica that is started when a transaction already hangs goes by the log.
func TestOpenWatch_GoesByTheLogsTime(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	w.since = w.now.Add(-5 * time.Minute)
	w.look(0, map[int32]kafka.End{0: {Stable: 1, High: 2}, 1: {Stable: 1, High: 4}})
	w.look(5, map[int32]kafka.End{0: {Stable: 1, High: 2}, 1: {Stable: 1, High: 4}})
	require.EqualError(t, w.Pending(), "4 records behind open transactions on a/0,1, the oldest since 2026-11-30T09:55:00Z")
	require.Equal(t, 2, w.times(waits))
}

func TestOpenWatch_CountsFromItsFirstLookWhereTheLogDoesNotSay(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	w.fails = errors.New("not authorised")
	for range 3 {
		w.look(5, map[int32]kafka.End{0: {Stable: 1, High: 2}})
	}
	require.EqualError(t, w.Pending(), "1 record behind an open transaction on a/0 since 2026-11-30T10:00:05Z")
}

// Several components of one process read the same topic.
func TestOpenWatch_SharesItsMetricsWithOthers(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	other := kafka.NewOpenWatch(kafka.OpenWatchConfig{
		Component: "drift", Topic: "a", Log: slog.New(slog.DiscardHandler), Registerer: w.reg,
		Since: func(context.Context, []kafka.Open) error { return nil },
	})
	w.look(0, map[int32]kafka.End{0: {Stable: 1, High: 1}})
	other.Look(t.Context(), map[int32]kafka.End{0: {Stable: 1, High: 1}})
	w.shows(`creditstream_open_transaction_seconds{component="drift",partition="0",topic="a"} 0`, `creditstream_open_transaction_seconds{component="score",partition="0",topic="a"} 0`)
}
