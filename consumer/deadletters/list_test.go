package deadletters

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestLettersAreListedTheOldestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	found, counts := w.list()
	require.Empty(t, found)
	require.Equal(t, &Counts{ByClass: map[string]int64{}}, counts)

	w.letters(40)
	found, counts = w.list()
	require.Equal(t, &Counts{ByClass: map[string]int64{"contract": 30, "decode": 10}, Letters: 40}, counts)
	require.Len(t, found, 40)
	for i, l := range found {
		require.Equal(t, noon.Add(time.Duration(i)*time.Minute), l.FailedAt)
		require.Equal(t, Position{int32(i % partitions), int64(i / partitions)}, l.Position)
		require.Nil(t, l.Value, "not asked for")
		require.False(t, l.Replayed)
	}
	found, counts = w.list(func(c *ListConfig) { c.Limit, c.Values = 3, true })
	require.EqualValues(t, 40, counts.Letters)
	require.Len(t, found, 3)
	for i, l := range found {
		require.Equal(t, noon.Add(time.Duration(37+i)*time.Minute), l.FailedAt, "the newest")
		require.NotEmpty(t, l.Value)
	}
	_, counts = w.list(func(c *ListConfig) { c.Classes = []string{"decode", "too-large"} })
	require.Equal(t, map[string]int64{"decode": 10}, counts.ByClass)
	found, _ = w.list(func(c *ListConfig) { c.From, c.To = noon.Add(10*time.Minute), noon.Add(12*time.Minute) })
	require.Len(t, found, 2)
	_, counts = w.list(func(c *ListConfig) { c.From = time.Now().Add(time.Hour) })
	require.Zero(t, counts.Letters)
}

func TestWhatWasReplayedIsListedWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(12)
	w.replayed(at(Position{0, 1}, Position{2, 3}))
	f := func(which Which, want ...string) {
		t.Helper()
		found, counts := w.list(func(c *ListConfig) { c.Which = which })
		require.EqualValues(t, len(found), counts.Letters)
		require.EqualValues(t, 12, counts.Letters+counts.Others)
		var replayed []string
		for _, l := range found {
			if l.Replayed {
				replayed = append(replayed, l.String())
			}
		}
		require.Equal(t, want, replayed)
	}
	f(Waiting)
	f(Replayed, "0/1", "2/3")
	f(Both, "0/1", "2/3")
}

func TestMarkersThatNameNoLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(6)
	markers := []*kgo.Record{}
	for _, of := range []string{"0/999", "0/2", "9/0", "nonsense", ""} { // 0/2 is the first of these markers
		markers = append(markers, &kgo.Record{Topic: w.config.Topics.DLQ, Headers: headers("replay-of", of)})
	}
	w.write(markers...)
	found, counts := w.list()
	require.Len(t, found, 6)
	require.Equal(t, 2, counts.Unclear)
	report := w.replayed()
	require.EqualValues(t, 6, report.Replayed)
	require.Equal(t, 2, report.Unclear)
}

// What was aborted is neither a letter nor a marker.
func TestAbortedRecordsAreNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(6)
	client := w.connect(kgo.TransactionalID("aborted"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, client.BeginTransaction())
	require.NoError(t, client.ProduceSync(t.Context(), w.letter(9), &kgo.Record{Topic: w.config.Topics.DLQ, Headers: headers("replay-of", "0/0")}).FirstErr())
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryAbort))
	found, counts := w.list()
	require.Len(t, found, 6)
	require.Zero(t, counts.Others)
}

// A replay that ended may have its marker in one partition and not yet the end of
// its transaction: who looks then waits for it, or would replay the letter again.
func TestAReplayWhoseEndIsOnItsWayIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(6)
	client := w.connect(kgo.TransactionalID("ending"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, client.BeginTransaction())
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: w.config.Topics.DLQ, Headers: headers("replay-of", "0/0")}).FirstErr())
	var listings atomic.Int32
	w.broker.Cluster().ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		listings.Add(1)
		return nil, nil, false
	})
	done := make(chan *Counts, 1)
	go func() {
		_, counts, err := List(context.WithoutCancel(t.Context()), ListConfig{Config: w.config})
		if err == nil {
			done <- counts
		}
		close(done)
	}()
	// Where the log begins and ends.
	require.Eventually(t, func() bool { return listings.Load() >= 2 }, time.Minute, time.Millisecond)
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryCommit))
	counts := <-done
	require.NotNil(t, counts)
	require.EqualValues(t, 5, counts.Letters)
	require.EqualValues(t, 1, counts.Others, "0/0 was replayed")
}

func TestWhatRetentionHasRemovedIsNotListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(12)
	offsets := kadm.Offsets{}
	offsets.AddOffset(w.config.Topics.DLQ, 1, 2, -1)
	_, err := w.admin.DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	found, _ := w.list()
	require.Len(t, found, 10)
	report := w.replayed(at(Position{1, 1}, Position{1, 2}, Position{1, 2}, Position{0, 99}))
	require.EqualValues(t, 1, report.Replayed)
	require.Equal(t, []Refusal{
		{"1/1", "retention has removed it: t.applications.dlq/1 begins at 2"},
		{"0/99", "no dead letter is there"},
	}, report.Refusals)
	_, err = w.replay(at(Position{partitions, 0})).run(t.Context())
	require.ErrorContains(t, err, "3/0: t.applications.dlq has partitions 0 … 2")
}
