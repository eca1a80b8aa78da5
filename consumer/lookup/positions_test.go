package lookup

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

func at(s schemas.Source) kafka.Position {
	return kafka.Position{Partition: s.Partition, Offset: s.Offset}
}

// read is what is found at positions, by index.
func (w *world) read(positions ...kafka.Position) map[int]string {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	predictions, found, err := Positions(ctx, w.config, positions)
	require.NoError(w.t, err)
	ids := map[int]string{}
	for i, ok := range found {
		if ok {
			ids[i] = predictions[i].ApplicationID
		}
	}
	return ids
}

func TestPositions_AreReadBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	var all []kafka.Position
	for i := range 200 {
		all = append(all, at(w.decide(fmt.Sprint("A-", i), schemas.Timestamp(i))))
	}
	require.Empty(t, w.read())
	want := map[int]string{}
	for i := range all {
		want[i] = fmt.Sprint("A-", i)
	}
	require.Equal(t, want, w.read(all...))
	require.Equal(t, map[int]string{0: "A-7", 1: "A-150", 2: "A-7"}, w.read(all[7], all[150], all[7]), "in the order asked for")
}

func TestPositions_AreJumpedToWhereTheyAreFarApart(t *testing.T) {
	t.Parallel()
	all := runs([]kafka.Position{{Partition: 1, Offset: 5000}, {Partition: 0, Offset: 9}, {Partition: 1, Offset: 10}, {Partition: 1, Offset: 1010}, {Partition: 1, Offset: 99}},
		func(p kafka.Position) bool { return p.Offset != 99 })
	require.Equal(t, []*run{
		{partition: 0, wanted: map[int64][]int{9: {1}}, from: 9, to: 9},
		{partition: 1, wanted: map[int64][]int{10: {2}, 1010: {3}}, from: 10, to: 1010},
		{partition: 1, wanted: map[int64][]int{5000: {0}}, from: 5000, to: 5000},
	}, all)
}

func TestPositions_SayWhatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	first, second, third := at(w.decide("A-1", 1)), at(w.decide("A-2", 2)), at(w.decide("A-3", 3))
	r, err := w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.config.Topics.Predictions, Value: []byte("something else")}).First()
	require.NoError(t, err)
	offsets := kadm.Offsets{}
	offsets.AddOffset(w.config.Topics.Predictions, 0, second.Offset, -1)
	_, err = kadm.NewClient(w.client).DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	got := w.read(first, second, third, kafka.Position{Partition: 0, Offset: r.Offset}, kafka.Position{Partition: 0, Offset: r.Offset + 1}, kafka.Position{Partition: 9})
	require.Equal(t, map[int]string{1: "A-2", 2: "A-3"}, got)
}

// What stands behind another's open transaction is read back: it is no part of one.
func TestPositions_DoNotWaitForOpenTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	client, err := kgo.NewClient(append(w.config.Kafka.Options(), kgo.TransactionalID("open"))...)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.BeginTransaction())
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: w.config.Topics.Predictions, Value: []byte("x")}).FirstErr())
	require.Equal(t, map[int]string{0: "A-1"}, w.read(at(w.decide("A-1", 1))))
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryAbort))
}

func TestPositions_EndWithTheirContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	position := at(w.decide("A-1", 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := Positions(ctx, w.config, []kafka.Position{position})
	require.ErrorIs(t, err, context.Canceled)
}
