package dataset

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

const partitions = 3

// world is an embedded broker with predictions and outcomes.
type world struct {
	t      *testing.T
	config Config
	client *kgo.Client
	now    time.Time
}

func newWorld(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn is a world whose log is in a folder; empty: in memory.
func newWorldIn(t *testing.T, dir string) *world {
	broker, err := local.StartKafka(dir)
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, now: time.Now(), config: Config{
		Kafka: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"}, Topics: schemas.NewTopics("t"),
	}}
	w.client, err = kgo.NewClient(append(w.config.Kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Catalogue("t") {
		specs = append(specs, kafka.TopicSpec{Name: topic.Name, Partitions: min(partitions, topic.Partitions), Replication: 1, Configs: topic.Configs})
	}
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), specs)
	require.NoError(t, err)
	return w
}

func (w *world) write(records ...*kgo.Record) {
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
}

// prediction of an application, decided some time after the world began.
func (w *world) prediction(id string, partition int32, after time.Duration, change ...func(*schemas.Prediction)) *kgo.Record {
	p := schemas.Prediction{
		ApplicationID: id, AppliedAt: schemas.At(w.now), DecidedAt: schemas.At(w.now.Add(after)), Channel: schemas.ChannelStream,
		DefaultProbability: 0.25, Decision: schemas.Approve, Points: 500, ModelVersion: "m", Engine: "native",
		Route: schemas.RouteChampion, RouteRevision: 4, PolicyVersion: "p",
	}
	for k, rule := range schemas.FeatureRules {
		p.Features[k] = max(rule.Min, 0) + 1
	}
	p.Features[1] = schemas.Missing
	for _, f := range change {
		f(&p)
	}
	return &kgo.Record{Topic: w.config.Topics.Predictions, Partition: partition, Key: []byte(id), Value: schemas.AppendPrediction(nil, &p)}
}

func (w *world) outcome(id string, partition int32, defaulted uint8) *kgo.Record {
	o := schemas.Outcome{ApplicationID: id, Defaulted: defaulted, ObservedAt: schemas.At(w.now.Add(time.Hour))}
	return &kgo.Record{Topic: w.config.Topics.Outcomes, Partition: partition, Key: []byte(id), Value: schemas.AppendOutcome(nil, &o)}
}

// row is what a test looks at.
type row struct {
	id        string
	decision  string
	defaulted int8
}

func (w *world) read(c Config) (rows []row, counts *Counts) {
	counts, err := Read(w.t.Context(), c, func(p *schemas.Prediction, defaulted int8) error {
		rows = append(rows, row{p.ApplicationID, p.Decision, defaulted})
		return nil
	})
	require.NoError(w.t, err)
	return rows, counts
}

func declined(p *schemas.Prediction) { p.Decision = schemas.Decline }

func TestTheNewestDecisionMeetsTheFirstOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(
		w.prediction("once", 0, 0),
		w.prediction("twice", 1, time.Second),
		w.prediction("twice", 1, time.Second, declined), // the same instant: the later record
		w.prediction("moved", 2, 5*time.Second),         // partitions were added: the later decision
		w.prediction("moved", 0, 3*time.Second, declined),
		w.prediction("unheard", 2, 0, declined),
		&kgo.Record{Topic: w.config.Topics.Predictions, Partition: 0, Key: []byte("odd"), Value: []byte("{")},
		&kgo.Record{Topic: w.config.Topics.Predictions, Partition: 0, Key: []byte("other"), Value: w.prediction("id", 0, 0).Value},
	)
	w.write(w.outcome("once", 2, 1), w.outcome("twice", 0, 0), w.outcome("nobody", 1, 1))
	w.write(w.outcome("twice", 0, 1), w.outcome("moved", 1, 1), &kgo.Record{Topic: w.config.Topics.Outcomes, Key: []byte("unheard"), Value: []byte("no")})
	rows, counts := w.read(w.config)
	require.Equal(t, []row{{"once", schemas.Approve, 1}, {"id", schemas.Approve, Unknown}, {"twice", schemas.Decline, 0}, {"moved", schemas.Approve, 1}, {"unheard", schemas.Decline, Unknown}}, rows)
	require.Equal(t, &Counts{
		Rows: 5, Labelled: 3, Defaulted: 2, Repeated: 2, Left: 2, Parts: 1,
		Decisions:  map[string]*Group{schemas.Approve: {3, 2, 2}, schemas.Decline: {2, 1, 0}},
		KeyDiffers: 1, Outcomes: labels.Counts{Read: 5, Matched: 3, Unmatched: 1, Duplicate: 1, Malformed: 1},
	}, counts)
}

// at is an outcome that was observed some time after the world began; its record has
// any key.
func (w *world) at(id, key string, after time.Duration, defaulted uint8) *kgo.Record {
	o := schemas.Outcome{ApplicationID: id, Defaulted: defaulted, ObservedAt: schemas.At(w.now.Add(after))}
	return &kgo.Record{Topic: w.config.Topics.Outcomes, Key: []byte(key), Value: schemas.AppendOutcome(nil, &o)}
}

func month(n int) func(*schemas.Prediction) {
	return func(p *schemas.Prediction) { p.Decision = []string{schemas.Approve, schemas.Refer, schemas.Decline}[n] }
}

// Decided in January, February and March, told of in January and February: no label
// was known when its row was decided, and none is of two rows.
func TestRead_LabelsTheDecisionThatAnOutcomeIsOf(t *testing.T) {
	t.Parallel()
	const day = time.Second // so that all was appended in the stretch
	w := newWorld(t)
	w.write(w.at("told-before", "told-before", 300*day, 1)) // before anything was decided
	w.write(
		w.prediction("C-1", 0, 10*day, month(0)), w.prediction("C-1", 0, 40*day, month(1)), w.prediction("C-1", 0, 70*day, month(2)),
		w.prediction("old", 1, 10*day, month(0)), w.prediction("told-before", 1, 10*day, month(0)),
		w.prediction("A-3", 2, 10*day, month(0)), w.prediction("A-4", 2, 10*day, month(0)),
	)
	w.write(
		w.at("C-1", "C-1", 31*day, 0), w.at("C-1", "C-1", 59*day, 1), w.at("C-1", "C-1", 32*day, 1),
		w.at("old", "old", -400*day, 1),
		w.at("A-4", "A-3", 20*day, 1), // told of A-4
		w.at("A-3", "\"A-3\"\n", 20*day, 0),
	)
	want := []row{
		{"C-1", schemas.Approve, 0}, {"C-1", schemas.Refer, 1}, {"C-1", schemas.Decline, Unknown},
		{"old", schemas.Approve, Unknown}, {"told-before", schemas.Approve, Unknown},
		{"A-3", schemas.Approve, 0}, {"A-4", schemas.Approve, 1},
	}
	rows, counts := w.read(w.config)
	require.Equal(t, want, rows)
	require.Equal(t, labels.Counts{Read: 7, Matched: 4, Unmatched: 2, Duplicate: 1, Before: 1, KeyDiffers: 2}, counts.Outcomes)
	require.EqualValues(t, 4, counts.Labelled)

	// In parts the same.
	c := w.config
	c.atOnce = 2
	rows, counts = w.read(c)
	require.ElementsMatch(t, want, rows)
	require.EqualValues(t, 4, counts.Parts)
	require.Equal(t, labels.Counts{Read: 7, Matched: 4, Unmatched: 2, Duplicate: 1, Before: 1, KeyDiffers: 2}, counts.Outcomes)

	// The outcome of a later decision is not the earlier one's because the stretch ends
	// before it, or because it is of none that counts.
	c = w.config
	c.To = w.now.Add(60 * day)
	c.Keep = func(p *schemas.Prediction) bool { return p.Decision == schemas.Approve }
	rows, _ = w.read(c)
	require.Equal(t, row{"C-1", schemas.Approve, 0}, rows[0])
	w.write(w.at("C-1", "C-1", 90*day, 1))
	c.From, c.To, c.Keep = w.now.Add(35*day), w.now.Add(65*day), nil
	rows, counts = w.read(c)
	require.Equal(t, []row{{"C-1", schemas.Refer, 1}}, rows)
	require.EqualValues(t, 5, counts.Outcomes.Matched, "of decisions that are read, in the stretch or not")
}

// Ten decisions, and an outcome of each: of the first two it comes too late.
func TestRead_CountsOutcomesThatAreTooOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var outcomes []*kgo.Record
	for i := range 10 {
		w.write(w.prediction("a", 0, time.Duration(2*i)*time.Hour))
		outcomes = append(outcomes, w.at("a", "a", time.Duration(2*i+1)*time.Hour, 1))
	}
	w.write(outcomes...)
	rows, counts := w.read(w.config)
	require.Len(t, rows, 8)
	require.Equal(t, labels.Counts{Read: 10, Matched: 8, Unmatched: 2, TooOld: 2}, counts.Outcomes)
	require.EqualValues(t, 2, counts.Repeated)
}

func TestOnlyTheStretchAskedForIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := func(d time.Duration) time.Time { return schemas.At(w.now.Add(d)).Time() }
	for i := range 10 {
		w.write(w.prediction(fmt.Sprint(i), int32(i%partitions), time.Duration(i)*time.Second))
	}
	ids := func(c Config) (ids []string) {
		c.Kafka, c.Topics = w.config.Kafka, w.config.Topics
		rows, _ := w.read(c)
		for _, r := range rows {
			ids = append(ids, r.id)
		}
		slices.Sort(ids)
		return ids
	}
	require.Len(t, ids(Config{}), 10)
	require.Equal(t, []string{"3", "4", "5"}, ids(Config{From: at(3 * time.Second), To: at(6 * time.Second)}))
	require.Equal(t, []string{"8", "9"}, ids(Config{From: at(8 * time.Second)}))
	require.Equal(t, []string{"0"}, ids(Config{To: at(time.Microsecond)}))
	require.Empty(t, ids(Config{From: at(time.Hour)}))
	require.Empty(t, ids(Config{To: at(-time.Hour)}))
	require.Equal(t, []string{"7"}, ids(Config{Keep: func(p *schemas.Prediction) bool { return p.ApplicationID == "7" }}))
}

// However many parts it takes, the rows are the same.
func TestManyApplicationsAreReadInParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := rand.New(rand.NewPCG(1, 2))
	var records []*kgo.Record
	want := map[string]row{}
	for i := range 600 {
		id := fmt.Sprintf("A-%03d", i%450) // the first 150 twice
		p := w.prediction(id, int32(i%450%partitions), time.Duration(i)*time.Millisecond)
		one := row{id, schemas.Approve, Unknown}
		if i >= 450 {
			p = w.prediction(id, p.Partition, time.Duration(i)*time.Millisecond, declined)
			one.decision = schemas.Decline
		}
		records, want[id] = append(records, p), one
	}
	w.write(records...)
	records = nil
	for id, one := range want {
		if one.defaulted = int8(r.IntN(3)) - 1; one.defaulted != Unknown {
			records = append(records, w.outcome(id, int32(r.IntN(partitions)), uint8(one.defaulted)))
		}
		want[id] = one
	}
	w.write(records...)
	for _, atOnce := range []int64{0, 600, 100, 7} {
		c := w.config
		c.atOnce = atOnce
		last := int64(0)
		c.Progress = func(done, of int64) {
			require.GreaterOrEqual(t, done, last)
			require.LessOrEqual(t, done, of)
			last = done
		}
		rows, counts := w.read(c)
		got := map[string]row{}
		for _, one := range rows {
			got[one.id] = one
		}
		require.Equal(t, want, got)
		require.Len(t, rows, 450)
		require.EqualValues(t, 150, counts.Repeated)
		if atOnce > 0 {
			require.Equal(t, 600/atOnce+1, counts.Parts)
		}
	}
}

// What an aborted transaction wrote is nobody's decision.
func TestWhatWasAbortedIsNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client, err := kgo.NewClient(append(w.config.Kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("x"))...)
	require.NoError(t, err)
	defer client.Close()
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		require.NoError(t, client.BeginTransaction())
		require.NoError(t, client.ProduceSync(t.Context(), w.prediction(fmt.Sprint(bool(commit)), 0, 0)).FirstErr())
		require.NoError(t, client.EndTransaction(t.Context(), commit))
	}
	rows, _ := w.read(w.config)
	require.Equal(t, []row{{"true", schemas.Approve, Unknown}}, rows)
}

func TestAnErrorOfTheReceiverEndsTheReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.prediction("a", 0, 0), w.prediction("b", 0, 0))
	n := 0
	_, err := Read(t.Context(), w.config, func(*schemas.Prediction, int8) error { n++; return fmt.Errorf("full") })
	require.EqualError(t, err, "full")
	require.Equal(t, 1, n)
}

func TestRowsAreWrittenInTheColumnsOfTraining(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w, err := NewWriter(&out)
	require.NoError(t, err)
	p := schemas.Prediction{ApplicationID: `a "b", c`, AppliedAt: 1_700_000_000_000_001, DecidedAt: 1_700_000_000_500_000, ModelVersion: "v1", DefaultProbability: 0.1, Decision: schemas.Refer}
	for k, rule := range schemas.FeatureRules {
		p.Features[k] = rule.Min
	}
	p.Features[2] = schemas.Missing
	for _, defaulted := range []int8{1, 0, Unknown} {
		require.NoError(t, w.Write(&p, defaulted))
	}
	require.NoError(t, w.Flush())
	rows, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 4)
	require.Len(t, rows[0], 6+schemas.NumFeatures+1)
	at := func(row int, column string) string { return rows[row][slices.Index(rows[0], column)] }
	require.Equal(t, `a "b", c`, at(1, "application_id"))
	require.Equal(t, "2023-11-14T22:13:20.000001Z", at(1, "applied_at"))
	require.Equal(t, "2023-11-14T22:13:20.5Z", at(1, "decided_at"))
	require.Equal(t, "0.1", at(1, "default_probability"))
	require.Equal(t, "refer", at(1, "decision"))
	require.Equal(t, "1", at(1, "limit_bal"))
	require.Empty(t, at(1, "education"))
	require.Equal(t, "-2", at(1, "pay_6"))
	require.Equal(t, []string{"1", "0", ""}, []string{at(1, Label), at(2, Label), at(3, Label)})
}

// A damaged batch is no foreign record: it is named, once, however many parts are read.
func TestUnreadableBatch_IsNamedBesideTheRows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.write(w.prediction("a", 0, 0))
	w.write(w.prediction("b", 0, 0), w.prediction("c", 0, 0))
	w.write(w.prediction("d", 0, 0))
	require.NoError(t, kafkatest.Flip(dir, w.config.Topics.Predictions, 0, 1, false))
	c := w.config
	c.atOnce = 2
	rows, counts := w.read(c)
	require.Len(t, rows, 2)
	require.Greater(t, counts.Parts, int64(1))
	require.Zero(t, counts.Left)
	require.EqualValues(t, 2, counts.Unread.Offsets)
	require.Equal(t, []string{w.config.Topics.Predictions + "/0@1"}, counts.Unread.At)
}
