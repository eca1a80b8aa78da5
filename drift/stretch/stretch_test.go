package stretch

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

const prefix = "credit"

var (
	topics = schemas.NewTopics(prefix)
	// midnight begins every test's stream: a decision a second and partition.
	midnight = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
)

// world is an embedded broker whose records were appended when they were decided.
type world struct {
	t        *testing.T
	kafka    kafka.Config
	client   *kgo.Client
	champion *drift.Champion
	records  map[int32][]schemas.Prediction
}

func newWorld(t *testing.T) *world {
	w := newWorldWithoutAlerts(t)
	w.create(topics.DriftAlerts, topics.DriftStatus)
	return w
}

func (w *world) create(names ...string) {
	var specs []kafka.TopicSpec
	for _, name := range names {
		specs = append(specs, kafka.TopicSpec{Name: name, Partitions: 1, Replication: 1})
	}
	_, err := kafka.CreateTopics(w.t.Context(), kadm.NewClient(w.client), specs)
	require.NoError(w.t, err)
}

func newWorldWithoutAlerts(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn is a world without topics of alerts whose log is in a folder; empty: in memory.
func newWorldIn(t *testing.T, dir string) *world {
	k, err := local.StartKafka(dir)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	w := &world{t: t, kafka: kafka.Config{Brokers: []string{k.Addr()}, Prefix: prefix, ClientID: "test"}, records: map[int32][]schemas.Prediction{}}
	w.client, err = kgo.NewClient(append(w.kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), []kafka.TopicSpec{
		{Name: topics.Predictions, Partitions: 2, Replication: 1}, {Name: topics.DriftPanes, Partitions: 1, Replication: 1},
	})
	require.NoError(t, err)
	manifest, reference, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	rules, err := policy.Parse(policy.DefaultText)
	require.NoError(t, err)
	w.champion = &drift.Champion{ModelVersion: manifest.Version, Digest: reference.Digest(), Reference: reference, Policy: rules}
	return w
}

func (w *world) produce(r *kgo.Record) {
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), r).FirstErr())
}

// decide writes n decisions, a second apart, to each of both partitions.
func (w *world) decide(n int) {
	random := rand.New(rand.NewPCG(1, 2))
	var batch []*kgo.Record
	for i := range 2 * n {
		var f schemas.Features
		for k, rule := range schemas.FeatureRules {
			f[k] = rule.Min + random.Int32N(rule.Max-rule.Min+1)
		}
		at := midnight.Add(time.Duration(i/2) * time.Second)
		p := schemas.Prediction{
			ApplicationID: "A", AppliedAt: schemas.At(at), DecidedAt: schemas.At(at), Channel: schemas.ChannelStream, DefaultProbability: 0.1 + float32(i%7)/10,
			Decision: []string{schemas.Approve, schemas.Refer, schemas.Decline}[i%3], ModelVersion: w.champion.ModelVersion, Engine: model.EngineNative,
			Route: schemas.RouteChampion, PolicyVersion: w.champion.Policy.Version, Features: f,
		}
		partition := int32(i % 2)
		w.records[partition] = append(w.records[partition], p)
		batch = append(batch, &kgo.Record{Topic: topics.Predictions, Partition: partition, Timestamp: at, Value: schemas.AppendPrediction(nil, &p)})
	}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), batch...).FirstErr())
}

// count writes the panes, of a minute each, of a partition's offsets, as the
// aggregator does, and says how many.
func (w *world) count(partition int32, from, to int, change ...func(*drift.Pane)) (panes int64) {
	counter := counting.NewCounter(counting.NewBins(w.champion.Reference))
	const perBucket = 60
	for at := from; at < to; {
		end := min(to, (at/perBucket+1)*perBucket)
		counter.Reset(counting.NewBins(w.champion.Reference))
		for i := at; i < end; i++ {
			counter.Add(&w.records[partition][i])
		}
		p := &drift.Pane{Topic: topics.Predictions, Partition: partition, From: int64(at), To: int64(end), Bucket: schemas.At(midnight.Add(time.Duration(at/perBucket) * time.Minute)), Width: 60}
		counter.Fill(p)
		for _, f := range change {
			f(p)
		}
		w.pane(p)
		panes++
		at = end
	}
	return panes
}

func (w *world) pane(p *drift.Pane) {
	value, err := drift.AppendPane(nil, p)
	require.NoError(w.t, err)
	w.produce(&kgo.Record{Topic: topics.DriftPanes, Timestamp: p.Bucket.Time().Add(time.Duration(p.Width) * time.Second), Value: value})
}

// evaluate looks at the decisions from one second on until another.
func (w *world) evaluate(from, to int, source string) (*drift.Status, *Counted) {
	w.t.Helper()
	status, counted, err := Evaluate(w.t.Context(), Config{
		Kafka: w.kafka, Topics: topics, From: midnight.Add(time.Duration(from) * time.Second), To: midnight.Add(time.Duration(to) * time.Second),
		Champion: w.champion, Source: source, Fairness: judging.FourFifths, Now: midnight.Add(24 * time.Hour),
	})
	require.NoError(w.t, err)
	return status, counted
}

func TestAStretchIsCountedFromPredictionsWhereThereAreNoPanes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.decide(1200)
	w.produce(&kgo.Record{Topic: topics.Predictions, Timestamp: midnight.Add(time.Minute), Value: []byte("nonsense")})
	status, counted := w.evaluate(100, 700, Auto)
	require.EqualValues(t, 1200, status.Decisions)
	require.Equal(t, "there are no panes of it", counted.Why)
	require.EqualValues(t, 1200, counted.Predictions)
	require.EqualValues(t, 1, counted.LeftOut)
	window := status.Windows[0]
	require.Equal(t, schemas.At(midnight.Add(100*time.Second)), window.From)
	require.Equal(t, schemas.At(midnight.Add(700*time.Second)), window.To)
	require.Equal(t, []string{w.champion.ModelVersion}, status.ModelVersions)
	require.Equal(t, schemas.At(midnight.Add(699*time.Second)), status.LastDecision)
	require.InDelta(t, 1.0/3, window.Rates.Approve, 0.01)
	for _, f := range window.Features {
		total := int64(0)
		for _, n := range f.Current {
			total += n
		}
		require.EqualValues(t, 1200, total, f.Feature)
	}
	status, _ = w.evaluate(5000, 6000, Auto)
	require.Zero(t, status.Decisions)
	require.Equal(t, drift.Quiet, status.State)
}

func TestPanesAndPredictionsAddUpToTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.decide(1800)
	// Partition 0 whole; of partition 1 the counting began late and is behind.
	panes := w.count(0, 0, 1800) + w.count(1, 700, 1500)
	want, none := w.evaluate(600, 1200, Predictions)
	require.EqualValues(t, 1200, want.Decisions)
	require.Zero(t, none.Panes)
	got, counted := w.evaluate(600, 1200, Auto)
	require.Empty(t, counted.Why)
	require.Equal(t, want.Windows, got.Windows)
	require.Less(t, counted.Panes, panes)
	require.EqualValues(t, 600+500, counted.FromPanes, "what has panes is not counted again")
	require.EqualValues(t, 100, counted.Predictions)

	// In the middle of a bucket: the whole bucket belongs to it, whatever is counted.
	got, counted = w.evaluate(610, 1190, Auto)
	require.Equal(t, midnight.Add(600*time.Second), counted.From)
	require.Equal(t, midnight.Add(1200*time.Second), counted.To)
	require.Equal(t, want.Windows, got.Windows)
}

// As the evaluator does: one record that is no pane must not take a whole stretch.
func TestWhatIsNoPaneIsPassedOverAndCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.decide(600)
	w.count(0, 0, 600)
	for _, value := range []string{"nonsense", `{"decisions": 3, "features": [{"bins": [1]}]}`} {
		w.produce(&kgo.Record{Topic: topics.DriftPanes, Timestamp: midnight.Add(time.Minute), Value: []byte(value)})
	}
	w.count(1, 0, 600)
	want, _ := w.evaluate(0, 600, Predictions)
	got, counted := w.evaluate(0, 600, Auto)
	require.EqualValues(t, 2, counted.NoPanes)
	require.Empty(t, counted.Why)
	require.EqualValues(t, 1200, counted.FromPanes)
	require.Equal(t, want.Windows, got.Windows)
}

func TestPanesThatDoNotServeAreLeftAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		write func(w *world)
		why   string
	}{
		"another reference": {func(w *world) { w.count(0, 0, 900, func(p *drift.Pane) { p.Reference = "sha256:other" }) }, "another reference"},
		"counted twice":     {func(w *world) { w.count(0, 0, 900); w.count(0, 0, 900) }, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.decide(900)
			want, _ := w.evaluate(0, 900, Predictions)
			c.write(w)
			got, counted := w.evaluate(0, 900, Auto)
			require.Contains(t, counted.Why, c.why)
			require.Zero(t, counted.Panes)
			require.Equal(t, want.Windows, got.Windows)
		})
	}
}

func TestOutcomesAreThoseThatPanesHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.decide(600)
	w.count(0, 0, 600)
	w.count(1, 0, 600)
	outcomes := func(minute int, loans, defaulted int64) {
		w.pane(&drift.Pane{
			Topic: topics.Outcomes, Bucket: schemas.At(midnight.Add(time.Duration(minute) * time.Minute)), Width: 60, To: 1,
			Read: loans + 6, Matched: loans + 4, NoMatch: 1, Repeated: 1, Late: 7, Declined: 4,
			Outcomes: []drift.OutcomeCounts{{ModelVersion: "v", Score: -15, Loans: loans, Defaulted: defaulted, Probabilities: 0.2 * float64(loans)}},
		})
	}
	outcomes(1, 100, 20)
	outcomes(2, 100, 30)
	outcomes(9, 100, 90) // behind the stretch
	status, _ := w.evaluate(0, 300, Auto)
	o := status.Outcomes
	require.EqualValues(t, 212, o.Read)
	require.EqualValues(t, 208, o.Matched)
	require.EqualValues(t, 8, o.Declined)
	require.EqualValues(t, 14, o.Late)
	require.Len(t, o.Versions, 1)
	require.EqualValues(t, 200, o.Versions[0].Loans)
	require.InDelta(t, 0.25, o.Versions[0].Observed, 1e-9)
}

func TestWhatIsUncovered(t *testing.T) {
	t.Parallel()
	spans := map[int32]kafka.Span{0: {From: 10, To: 20}, 1: {From: 0, To: 5}, 2: {From: 10, To: 20}, 3: {From: 10, To: 20}}
	rest := uncovered(spans, map[int32]kafka.Span{0: {From: 12, To: 15}, 2: {From: 0, To: 30}, 3: {From: 20, To: 25}})
	require.Equal(t, map[int32][]kafka.Span{0: {{From: 10, To: 12}, {From: 15, To: 20}}, 1: {{From: 0, To: 5}}, 3: {{From: 10, To: 20}}}, rest)
}

// alert writes an alert about decisions up to a second, that was told an hour later.
func (w *world) alert(name, state string, second int) {
	w.t.Helper()
	to := schemas.At(midnight.Add(time.Duration(second) * time.Second))
	a := schemas.Alert{
		Alert: name, State: state, Since: to + 3600e6, EvaluatedAt: to + 3600e6, Statistic: "evidence", Value: 9, Threshold: 8,
		Window: schemas.AlertWindow{Name: "blocks", From: to - 60e6, To: to, Decisions: 500},
	}
	w.produce(&kgo.Record{Topic: topics.DriftAlerts, Timestamp: a.Since.Time(), Value: schemas.AppendAlert(nil, &a)})
}

func TestStretch_HasTheAlertsThatFiredInIt(t *testing.T) {
	t.Parallel()
	w := newWorldWithoutAlerts(t)
	w.decide(900)
	status, _ := w.evaluate(0, 900, Auto)
	require.Empty(t, status.Alerts)
	require.Contains(t, status.AlertsUnknown, topics.DriftAlerts, "a topic that is missing")

	w.create(topics.DriftAlerts, topics.DriftStatus)
	status, _ = w.evaluate(0, 900, Auto)
	require.Contains(t, status.AlertsUnknown, "nobody watched")
	w.watch(1, 15)
	status, _ = w.evaluate(0, 900, Auto)
	require.Empty(t, status.AlertsUnknown)
	require.Empty(t, status.Alerts)

	w.alert("drift/age", schemas.AlertFiring, 100)
	w.alert("drift/sex", schemas.AlertFiring, 200)
	w.produce(&kgo.Record{Topic: topics.DriftAlerts, Timestamp: midnight.Add(2 * time.Hour), Value: []byte("nonsense")})
	w.alert("drift/age", schemas.AlertResolved, 300)
	w.alert("drift/age", schemas.AlertFiring, 600)
	f := func(from, to int, want ...string) {
		t.Helper()
		status, _ := w.evaluate(from, to, Auto)
		got := []string{}
		for _, a := range status.Alerts {
			got = append(got, a.State+" "+a.Alert.Alert)
		}
		require.Equal(t, want, got)
		require.Empty(t, status.AlertsUnknown)
		require.Equal(t, drift.Act, status.State)
	}
	f(0, 150, "firing drift/age")
	f(0, 250, "firing drift/age", "firing drift/sex")
	f(0, 900, "firing drift/age", "firing drift/sex", "resolved drift/age")
	f(350, 500, "firing drift/sex")
	f(250, 500, "firing drift/sex", "resolved drift/age")
}

// watch writes a status in every minute from one to another.
func (w *world) watch(from, to int) {
	w.t.Helper()
	for minute := from; minute <= to; minute++ {
		w.produce(&kgo.Record{Topic: topics.DriftStatus, Timestamp: midnight.Add(time.Duration(minute) * time.Minute), Value: []byte("{}")})
	}
}

// One status does not make a watched stretch: it says of which part nobody knows,
// whether or not alerts fired in the rest.
func TestStretch_SaysWhichPartOfItNobodyWatched(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		watched [][2]int // minutes of the hour
		want    []string // parts of what it says; nil: it knows
	}{
		"whole":              {[][2]int{{1, 60}}, nil},
		"a short absence":    {[][2]int{{1, 20}, {24, 60}}, nil},
		"one status":         {[][2]int{{30, 30}}, []string{" before 2026-11-25T00:30:00Z, from 2026-11-25T00:31:00Z on:"}},
		"begun late":         {[][2]int{{20, 60}}, []string{" before 2026-11-25T00:20:00Z:"}},
		"ended early":        {[][2]int{{1, 40}}, []string{" from 2026-11-25T00:41:00Z on:"}},
		"an hour afterwards": {[][2]int{{1, 40}, {120, 130}}, []string{" from 2026-11-25T00:41:00Z on:"}},
		"away":               {[][2]int{{1, 10}, {40, 60}}, []string{" from 2026-11-25T00:11:00Z to 2026-11-25T00:40:00Z:"}},
		"away often": {[][2]int{{1, 1}, {10, 10}, {20, 20}, {30, 30}, {40, 40}, {50, 60}}, []string{
			" from 2026-11-25T00:02:00Z to 2026-11-25T00:10:00Z, ", ", 2 times more:",
		}},
		"before and afterwards": {[][2]int{{-30, -10}, {90, 99}}, []string{"no evaluation of that time is on " + topics.DriftStatus}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.decide(3600)
			w.alert("drift/age", schemas.AlertFiring, 100)
			for _, span := range c.watched {
				w.watch(span[0], span[1])
			}
			status, _ := w.evaluate(0, 3600, Auto)
			require.Len(t, status.Alerts, 1)
			for _, part := range c.want {
				require.Contains(t, status.AlertsUnknown, part)
			}
			if c.want == nil {
				require.Empty(t, status.AlertsUnknown)
			}
		})
	}
}

// A damaged batch is no foreign record, and none of panes is a record without a pane.
func TestUnreadableBatch_IsNamedBesideTheStretch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.decide(300)
	w.decide(60)
	w.count(0, 0, 300)
	require.NoError(t, kafkatest.Flip(dir, topics.Predictions, 1, 300, false))
	require.NoError(t, kafkatest.Flip(dir, topics.DriftPanes, 0, 2, false))
	_, counted := w.evaluate(0, 300, Auto)
	require.Zero(t, counted.LeftOut)
	require.Zero(t, counted.NoPanes)
	require.EqualValues(t, 1, counted.UnreadablePanes.Offsets)
	require.Equal(t, []string{topics.DriftPanes + "/0@2"}, counted.UnreadablePanes.At)
	require.EqualValues(t, 60, counted.Unreadable.Offsets)
	require.Equal(t, "60 offsets that cannot be read are left out, in the batches at "+topics.Predictions+"/1@300", counted.Unreadable.String())
}

// A damaged batch of alerts takes the others of the stretch along no more.
func TestUnreadableBatch_LeavesTheOtherAlertsOfTheStretch(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]bool{"records": false, "length": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			_, err := kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), []kafka.TopicSpec{
				{Name: topics.DriftAlerts, Partitions: 1, Replication: 1}, {Name: topics.DriftStatus, Partitions: 1, Replication: 1},
			})
			require.NoError(t, err)
			w.watch(1, 10)
			w.alert("drift/age", schemas.AlertFiring, 100)
			w.alert("drift/age", schemas.AlertResolved, 200)
			w.alert("drift/sex", schemas.AlertFiring, 300)
			require.NoError(t, kafkatest.Flip(dir, topics.DriftAlerts, 0, 1, header))
			status, _ := w.evaluate(0, 600, Auto)
			require.Len(t, status.Alerts, 2)
			require.Equal(t, "1 offsets that cannot be read are left out, in the batches at "+topics.DriftAlerts+"/0@1", status.AlertsUnknown)
		})
	}
}

// What lies behind a transaction that hangs is no quiet stretch: it is named, and alerts
// that may lie there are not called none.
func TestStretch_NamesWhatLiesBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.decide(600)
	w.watch(0, 10)
	s, counted := w.evaluate(0, 600, Predictions)
	require.Empty(t, counted.Open)
	require.Empty(t, s.AlertsUnknown)
	for _, topic := range []string{topics.Predictions, topics.DriftAlerts} {
		hangs, err := kgo.NewClient(append(w.kafka.Options(), kgo.TransactionalID(topic), kgo.TransactionTimeout(5*time.Minute))...)
		require.NoError(t, err)
		t.Cleanup(hangs.Close)
		require.NoError(t, hangs.BeginTransaction())
		held := &kgo.Record{Topic: topic, Value: []byte("x"), Timestamp: time.Now().Add(-time.Minute)}
		require.NoError(t, hangs.ProduceSync(t.Context(), held).FirstErr())
	}
	s, counted = w.evaluate(0, 600, Predictions)
	require.Len(t, counted.Open, 1)
	require.Equal(t, topics.Predictions, counted.Open[0].Topic)
	require.Contains(t, s.AlertsUnknown, "1 record behind an open transaction on "+topics.DriftAlerts+"/0")
}
