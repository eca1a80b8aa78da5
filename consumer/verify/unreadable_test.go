package verify

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/schemas"
)

// Three rounds of 60 applications, 20 in each partition; what is damaged is of the
// second round. Of the 20 of a partition 2 are dead letters.
func TestVerify_JudgesTheRestWhereABatchCannotBeRead(t *testing.T) {
	t.Parallel()
	topics := newWorld(t).config.Topics
	for _, c := range []struct {
		name      string
		topic     string
		partition int32
		offset    int64
		skipped   bool // nothing answers what is damaged
		damage    kafkatest.Damage
		lost      bool // something is lost in the third round
		want      Report
		example   Example
	}{
		{
			"applications that were answered", topics.Applications, 1, 25, false, kafkatest.Records, false,
			Report{Applications: 160, Predictions: 144, DeadLetters: 16, Unreadable: 20, RepeatedApplicationID: 90},
			Example{Unreadable, topics.Applications, 1, 20, "with every offset up to 39: the batch does not fit its checksum"},
		},
		{
			"applications that were skipped", topics.Applications, 1, 25, true, kafkatest.Records, false,
			Report{Applications: 160, Predictions: 144, DeadLetters: 16, Unreadable: 20, RepeatedApplicationID: 90},
			Example{Unreadable, topics.Applications, 1, 20, "with every offset up to 39: the batch does not fit its checksum"},
		},
		{
			"a length", topics.Applications, 1, 25, true, kafkatest.Length, false,
			Report{Applications: 160, Predictions: 144, DeadLetters: 16, Unreadable: 20, RepeatedApplicationID: 90},
			Example{Unreadable, topics.Applications, 1, 20, "with every offset up to 39: no whole batch"},
		},
		{
			"a format", topics.Applications, 1, 25, true, kafkatest.Format(3), false,
			Report{Applications: 160, Predictions: 144, DeadLetters: 16, Unreadable: 20, RepeatedApplicationID: 90},
			Example{Unreadable, topics.Applications, 1, 20, "with every offset up to 39: the batch says that its format is 3, not 2"},
		},
		{
			"a format of predictions", topics.Predictions, 2, 20, false, kafkatest.Format(9), false,
			Report{Applications: 162, Predictions: 144, DeadLetters: 18, Unreadable: 18, RepeatedApplicationID: 108},
			Example{Unreadable, topics.Predictions, 2, 19, "with every offset up to 36: the batch says that its format is 9, not 2"},
		},
		{
			"predictions", topics.Predictions, 2, 20, false, kafkatest.Records, false,
			Report{Applications: 162, Predictions: 144, DeadLetters: 18, Unreadable: 18, RepeatedApplicationID: 108},
			Example{Unreadable, topics.Predictions, 2, 19, "with every offset up to 36: the batch does not fit its checksum"}, // behind a marker
		},
		{
			"predictions, and one is lost elsewhere", topics.Predictions, 2, 20, false, kafkatest.Records, true,
			Report{Applications: 162, Predictions: 143, DeadLetters: 18, Unreadable: 18, Lost: 1, RepeatedApplicationID: 108},
			Example{Unreadable, topics.Predictions, 2, 19, "with every offset up to 36: the batch does not fit its checksum"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			for round := range 3 {
				w.scored(60, func(i int, answer *kgo.Record) []*kgo.Record {
					if round == 1 && c.skipped && i%partitions == 1 || round == 2 && c.lost && i == 31 {
						return nil
					}
					return []*kgo.Record{answer}
				})
			}
			require.NoError(t, c.damage(dir, c.topic, c.partition, c.offset))
			report := w.judge()
			require.Equal(t, c.want, counts(report))
			by := UnreadableBy{Applications: c.want.Unreadable}
			says := fmt.Sprintf("%d %d offsets in damaged batches of applications; not judged", c.want.Unreadable, c.want.Unreadable)
			if c.topic == topics.Predictions {
				by = UnreadableBy{Answers: c.want.Unreadable, AnswerBatches: 1}
				says = fmt.Sprintf("%d %d applications whose answers may be in a damaged batch; not judged", c.want.Unreadable, c.want.Unreadable)
			}
			require.Equal(t, by, report.UnreadableBy)
			require.Equal(t, c.lost, report.Failed())
			require.NotEmpty(t, report.NotJudged(false))
			require.Empty(t, report.NotJudged(true))
			named := report.Examples[0]
			require.Contains(t, named.Why, c.example.Why)
			c.example.Why = named.Why
			require.Equal(t, c.example, named)
			var text bytes.Buffer
			require.NoError(t, report.Print(&text, false))
			require.Contains(t, text.String(), "unreadable: "+c.topic+"/")
			require.Contains(t, text.String(), says)
		})
	}
}

// Of a batch that is too large to be unpacked every offset has to have a dead letter.
func TestVerify_CountsWhatIsTooLargeToBeUnpacked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(60, same)
	packed := w.connect(kgo.ProducerBatchMaxBytes(100<<20), kgo.MaxBufferedBytes(200<<20), kgo.BrokerMaxWriteBytes(200<<20),
		kgo.ProducerLinger(50*time.Millisecond), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	var large []*kgo.Record
	for i := range 3 {
		r := w.application(61 + i*partitions) // all in one partition
		r.Value = append(r.Value, bytes.Repeat([]byte(" "), kafka.MaxBatch/3+1)...)
		large = append(large, r)
	}
	w.write(packed, large...)
	var letters []*kgo.Record
	for _, r := range large[:2] {
		letters = append(letters, &kgo.Record{Topic: w.config.Topics.DLQ, Headers: append([]kgo.RecordHeader{
			{Key: schemas.HeaderErrorClass, Value: []byte(schemas.ErrorClassTooLarge)},
			{Key: schemas.HeaderValueTruncated, Value: []byte("true")},
		}, sources(r)...)})
	}
	w.transaction(kgo.TryCommit, letters...)
	w.commit(0)
	report := w.judge()
	require.Equal(t, Report{Applications: 63, Predictions: 54, DeadLetters: 8, Lost: 1}, counts(report))
	require.EqualValues(t, 22, report.Examples[0].Offset)

	w.transaction(kgo.TryCommit, &kgo.Record{Topic: w.config.Topics.DLQ, Headers: append([]kgo.RecordHeader{
		{Key: schemas.HeaderErrorClass, Value: []byte(schemas.ErrorClassTooLarge)},
	}, sources(large[2])...)})
	require.Equal(t, Report{Applications: 63, Predictions: 54, DeadLetters: 9}, counts(w.judge()))
}

// A group that has stopped at a batch that cannot be read has not answered it: that is
// no pass, whether the batch says where it ends or not, and however much is behind it.
func TestVerify_CountsWhatTheGroupHasStoppedAt(t *testing.T) {
	t.Parallel()
	for _, header := range []bool{false, true} {
		for _, backlog := range []bool{false, true} {
			t.Run(fmt.Sprint("header ", header, ", backlog ", backlog), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				w := newWorldIn(t, dir)
				w.scored(60, same)
				var waiting []*kgo.Record // a batch in each partition, and one behind it
				for i := range 24 {
					waiting = append(waiting, w.application(60+i))
				}
				w.write(w.client, waiting[:12]...)
				w.write(w.client, waiting[12:]...)
				require.NoError(t, kafkatest.Flip(dir, w.config.Topics.Applications, 1, waiting[1].Offset, header))
				r := newRun(w.config)
				if backlog {
					r.countsAtMost = 1
				}
				report, err := r.judge(t.Context())
				require.NoError(t, err)
				const inBatch = 12 / partitions
				require.EqualValues(t, inBatch, report.Unreadable)
				require.EqualValues(t, 24-inBatch, report.Pending)
				require.NotEmpty(t, report.NotJudged(false))
				require.Equal(t, Unreadable, report.Examples[0].Kind)
				require.EqualValues(t, 1, report.Examples[0].Partition)
				require.Equal(t, waiting[1].Offset, report.Examples[0].Offset)
			})
		}
	}
}

// Answers that wait for their transaction's marker when a damaged batch is met lie before
// it all the same: what was in it is not lost.
func TestVerify_TellsWhatLiesBeforeADamagedBatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	var answers []*kgo.Record
	for _, i := range []int{0, 3, 6, 12, 15, 18, 21, 24} { // of partition 0
		r := w.application(i)
		w.write(w.client, r)
		answers = append(answers, w.answer(i, r))
	}
	first := w.hold(answers[:4]...)
	w.transaction(kgo.TryCommit, answers[4:]...)
	require.NoError(t, first.EndTransaction(t.Context(), kgo.TryCommit))
	w.commit(0)
	require.NoError(t, kafkatest.Records(dir, w.config.Topics.Predictions, 1, 5))
	report := w.judge()
	require.Equal(t, Report{Applications: 4, Predictions: 4, Unreadable: 4}, counts(report))
}
