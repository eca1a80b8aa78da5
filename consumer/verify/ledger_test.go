package verify

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

func TestTenMillionApplicationsTakeFiveMegabytes(t *testing.T) {
	const n = 10_000_000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l := newLedger(5, n+5)
	for offset := l.from; offset < l.to; offset++ {
		l.applied(offset, uint64(offset)*31, offset%100 != 0)
		require.True(t, l.answer(offset, uint64(offset)*31, true))
	}
	l.unanswered(func(int64, bool) { t.Fatal("all were answered") })
	require.EqualValues(t, n, l.applications())
	require.Empty(t, l.doubtful())
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(5_000_000))
	runtime.KeepAlive(l)
}

func TestLedgerNamesTheBlocksThatDoNotAgree(t *testing.T) {
	l := newLedger(100, 100+4*blockSize)
	for offset := l.from; offset < l.to; offset++ {
		l.applied(offset, uint64(offset), true)
	}
	for offset := l.from; offset < l.to; offset++ {
		switch offset {
		case l.from + 3: // lost
		case l.from + 2*blockSize + 7: // altered
			l.answer(offset, 1, true)
		case l.to - 1: // answered twice
			require.True(t, l.answer(offset, uint64(offset), true))
			require.False(t, l.answer(offset, uint64(offset), true))
		default:
			require.True(t, l.answer(offset, uint64(offset), true))
		}
	}
	require.Equal(t, []int64{0, 2, 3}, l.doubtful())
	var lost []int64
	l.unanswered(func(offset int64, _ bool) { lost = append(lost, offset) })
	require.Equal(t, []int64{l.from + 3}, lost)

	require.Equal(t, int64(4), l.forget(l.from+4))
	require.Zero(t, l.forget(l.from))
	require.False(t, l.holds(l.from+3))
	require.True(t, l.holds(l.from+4))
	l.unanswered(func(int64, bool) { t.Fatal("it was forgotten") })
	require.EqualValues(t, 4*blockSize-4, l.applications())
}

func TestRepeatedIDsAreCountedWhateverTheSlices(t *testing.T) {
	for _, slices := range []uint64{1, 2, 7} {
		c := idCounter{slices: slices}
		n := int64(0)
		for ; c.slice < slices; c.slice++ {
			for i := range 1000 {
				c.add(fmt.Sprintf("A-%d", i%300))
			}
			n += c.repeated()
		}
		require.EqualValues(t, 700, n, "%d slices", slices)
	}
}

// Whatever stands on the topics, an answer is counted and nothing panics.
func FuzzAnswer(f *testing.F) {
	topics := schemas.NewTopics("t")
	p := decided("A-1", features(1))
	f.Add(false, []byte("A-1"), schemas.AppendPrediction(nil, &p), "t.applications", "0", "3", "", "")
	f.Add(true, []byte("A-1"), []byte("x"), "t.applications", "0", "3", "true", "sha256:00")
	f.Add(true, []byte(nil), []byte(nil), "", "1", "-3", "", "")
	f.Add(false, []byte("A-1"), schemas.AppendAvroHeader(nil, 7), "t.applications", "0", "3", "", "")
	f.Fuzz(func(t *testing.T, letter bool, key, value []byte, topic, partition, offset, truncated, digest string) {
		r := newRun(Config{Topics: topics, Recompute: recompute})
		l := newLedger(0, 10)
		r.source[0] = l
		l.applied(3, 7, true)
		record := &kgo.Record{Topic: topics.Predictions, Key: key, Value: value}
		if letter {
			record.Topic = topics.DLQ
		}
		for name, v := range map[string]string{
			schemas.HeaderSourceTopic: topic, schemas.HeaderSourcePartition: partition, schemas.HeaderSourceOffset: offset,
			schemas.HeaderValueTruncated: truncated, schemas.HeaderValueDigest: digest,
		} {
			if v != "" {
				record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(v)})
			}
		}
		err := r.answer(t.Context(), record)
		if errors.Is(err, wire.ErrNoRegistry) {
			require.True(t, schemas.IsAvro(value), "JSON needs none")
			return
		}
		require.NoError(t, err)
		require.NoError(t, r.answer(t.Context(), record))
		require.Equal(t, r.report.Predictions+r.report.DeadLetters == 2 && r.report.Altered == 0, r.report.Duplicated == 1)
		if l.answered.get(3) {
			v, err := r.inspect(t.Context(), record, schemas.Source{Topic: topics.Applications, Offset: 3})
			require.NoError(t, err)
			c := &closeUp{}
			_ = c.compare(3, v, record, schemas.Source{})
		}
	})
}
