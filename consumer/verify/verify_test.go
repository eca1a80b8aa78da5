package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

const partitions = 3

// world is an embedded broker on which a test writes what a run left behind.
type world struct {
	t      *testing.T
	config Config
	broker *local.Kafka
	client *kgo.Client
	admin  *kadm.Client
}

func newWorld(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn is one whose broker keeps its logs in a folder.
func newWorldIn(t *testing.T, dir string) *world {
	broker, err := local.StartKafka(dir)
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, broker: broker, config: Config{
		Kafka:  kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"},
		Topics: schemas.NewTopics("t"), Group: "scorer", Recompute: recompute,
	}}
	w.client = w.connect()
	w.admin = kadm.NewClient(w.client)
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Catalogue("t") {
		specs = append(specs, kafka.TopicSpec{Name: topic.Name, Partitions: min(partitions, topic.Partitions), Replication: 1, Configs: topic.Configs})
	}
	_, err = kafka.CreateTopics(t.Context(), w.admin, specs)
	require.NoError(t, err)
	return w
}

func (w *world) connect(more ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(append(w.config.Kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner())), more...)...)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	return client
}

// recompute stands for the scorer: the more credit, the likelier a default.
func recompute(p *schemas.Prediction) (schemas.Prediction, error) {
	if p.ModelVersion == "unknown" {
		return schemas.Prediction{}, &UnreproducibleError{Why: "model unknown is gone"}
	}
	return decided(p.ApplicationID, p.Features), nil
}

func decided(id string, f schemas.Features) schemas.Prediction {
	return schemas.Prediction{
		ApplicationID: id, AppliedAt: 1e15, DecidedAt: 1e15 + 1, Channel: schemas.ChannelStream,
		DefaultProbability: float32(f[0]) / schemas.MaxAmount, Decision: schemas.Refer, Points: 500,
		Reasons: []schemas.Reason{{Code: "LIMIT", Contribution: 0.5}}, ModelVersion: "m", Engine: "native",
		Route: schemas.RouteChampion, RouteRevision: -1, PolicyVersion: "p", Features: f,
	}
}

func features(i int) (f schemas.Features) {
	for k, rule := range schemas.FeatureRules {
		f[k] = max(rule.Min, 0) + 1
	}
	f[0] = int32(1000 + i)
	f[1] = schemas.Missing
	return f
}

// application is application i; every tenth does not decode.
func (w *world) application(i int) *kgo.Record {
	a := schemas.Application{ApplicationID: fmt.Sprintf("A-%06d", i), AppliedAt: 1e15, Features: features(i)}
	value := schemas.AppendApplication(nil, &a)
	if i%10 == 9 {
		value = value[:40]
	}
	return &kgo.Record{Topic: w.config.Topics.Applications, Partition: int32(i % partitions), Key: []byte(a.ApplicationID), Value: value}
}

func sources(r *kgo.Record) []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: schemas.HeaderSourceTopic, Value: []byte(r.Topic)},
		{Key: schemas.HeaderSourcePartition, Value: []byte(strconv.Itoa(int(r.Partition)))},
		{Key: schemas.HeaderSourceOffset, Value: []byte(strconv.FormatInt(r.Offset, 10))},
	}
}

// answer answers application i, which has been written as r.
func (w *world) answer(i int, r *kgo.Record) *kgo.Record {
	if i%10 == 9 {
		return &kgo.Record{
			Topic: w.config.Topics.DLQ, Partition: int32(i % 2), Key: r.Key, Value: r.Value,
			Headers: append([]kgo.RecordHeader{{Key: schemas.HeaderErrorClass, Value: []byte(schemas.ErrorClassDecode)}}, sources(r)...),
		}
	}
	p := decided(string(r.Key), features(i))
	return w.prediction(&p, int32((i+1)%partitions), sources(r))
}

func (w *world) prediction(p *schemas.Prediction, partition int32, headers []kgo.RecordHeader) *kgo.Record {
	return &kgo.Record{Topic: w.config.Topics.Predictions, Partition: partition, Key: []byte(p.ApplicationID), Value: schemas.AppendPrediction(nil, p), Headers: headers}
}

func (w *world) write(client *kgo.Client, records ...*kgo.Record) {
	require.NoError(w.t, client.ProduceSync(w.t.Context(), records...).FirstErr())
}

// transaction writes records and commits or aborts them.
func (w *world) transaction(commit kgo.TransactionEndTry, records ...*kgo.Record) {
	client := w.connect(kgo.TransactionalID(w.t.Name()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(w.t, client.BeginTransaction())
	w.write(client, records...)
	require.NoError(w.t, client.EndTransaction(w.t.Context(), commit))
}

// commit commits the group's offsets at the ends of applications, less back.
func (w *world) commit(back int64) {
	ends, err := w.admin.ListEndOffsets(w.t.Context(), w.config.Topics.Applications)
	require.NoError(w.t, err)
	offsets := kadm.Offsets{}
	ends.Each(func(o kadm.ListedOffset) { offsets.AddOffset(o.Topic, o.Partition, o.Offset-back, -1) })
	require.NoError(w.t, w.admin.CommitAllOffsets(w.t.Context(), w.config.Group, offsets))
}

// scored writes n applications and their answers, which change may alter, and
// commits.
func (w *world) scored(n int, change func(i int, answer *kgo.Record) []*kgo.Record) (applications []*kgo.Record) {
	var answers []*kgo.Record
	for i := range n {
		applications = append(applications, w.application(i))
	}
	w.write(w.client, applications...)
	for i, r := range applications {
		answers = append(answers, change(i, w.answer(i, r))...)
	}
	w.transaction(kgo.TryCommit, answers...)
	w.commit(0)
	return applications
}

func same(_ int, answer *kgo.Record) []*kgo.Record { return []*kgo.Record{answer} }

func (w *world) judge() *Report {
	report, err := Run(w.t.Context(), w.config)
	require.NoError(w.t, err)
	return report
}

// counts are a report's figures, without what it names.
func counts(r *Report) Report {
	c := *r
	c.Group, c.Examples, c.Open, c.UnreadableBy = "", nil, nil, UnreadableBy{}
	if len(c.UnreproducibleBy) == 0 {
		c.UnreproducibleBy = nil
	}
	return c
}

func TestEveryApplicationAnsweredOnceIsFine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(1000, same)
	// An aborted attempt before a second stretch takes offsets and says nothing.
	w.transaction(kgo.TryAbort, w.answer(0, w.application(0)), w.application(5))
	w.scored(1000, same)
	report := w.judge()
	require.Equal(t, Report{Applications: 2000, Predictions: 1800, DeadLetters: 200, RepeatedApplicationID: 900}, counts(report))
	require.Empty(t, report.Examples)
	require.False(t, report.Failed())
	var text bytes.Buffer
	require.NoError(t, report.Print(&text, false))
	require.Contains(t, text.String(), "answered exactly once")
}

func TestAbortedAnswersDoNotCountHoweverMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 12_000 // 8 MB of answers, aborted and again
	var applications, answers []*kgo.Record
	for i := range n {
		applications = append(applications, w.application(i))
	}
	w.write(w.client, applications...)
	for i, r := range applications {
		answers = append(answers, w.answer(i, r))
	}
	for len(answers) > 0 {
		part := answers[:min(2000, len(answers))]
		answers = answers[len(part):]
		var again []*kgo.Record
		for _, r := range part {
			again = append(again, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers})
		}
		w.transaction(kgo.TryAbort, part...)
		w.transaction(kgo.TryCommit, again...)
	}
	w.commit(0)
	require.Equal(t, Report{Applications: n, Predictions: n / 10 * 9, DeadLetters: n / 10}, counts(w.judge()))
}

func TestEveryFailureIsCountedAndNamed(t *testing.T) {
	t.Parallel()
	var w *world
	altered := func(change func(p *schemas.Prediction)) func(*kgo.Record) []*kgo.Record {
		return func(answer *kgo.Record) []*kgo.Record {
			var p schemas.Prediction
			require.NoError(t, schemas.DecodePrediction(answer.Value, &p))
			change(&p)
			answer.Value = schemas.AppendPrediction(nil, &p)
			return []*kgo.Record{answer}
		}
	}
	// f changes the answer of application at: a prediction where at%10 is not 9.
	f := func(name string, at int, change func(answer *kgo.Record) []*kgo.Record, want Report, kind, why string) {
		t.Run(name, func(t *testing.T) {
			w = newWorld(t)
			w.scored(1200, func(i int, answer *kgo.Record) []*kgo.Record {
				if i == at {
					return change(answer)
				}
				return []*kgo.Record{answer}
			})
			report := w.judge()
			want.Applications = 1200
			require.Equal(t, want, counts(report))
			require.True(t, report.Failed())
			require.Len(t, report.Examples, 1)
			e := report.Examples[0]
			require.Equal(t, kind, e.Kind)
			require.Contains(t, e.Why, why)
			if kind != Altered {
				require.Equal(t, Example{kind, w.config.Topics.Applications, int32(at % partitions), int64(at / partitions), e.Why}, e)
			}
			var text bytes.Buffer
			require.NoError(t, report.Print(&text, false))
			require.Contains(t, text.String(), "FAILED")
			require.Contains(t, text.String(), fmt.Sprintf("%s: %s/%d/%d: ", e.Kind, e.Topic, e.Partition, e.Offset))
		})
	}
	wrong := Report{Predictions: 1080, DeadLetters: 120, Altered: 1}
	f("no prediction", 700, func(*kgo.Record) []*kgo.Record { return nil }, Report{Predictions: 1079, DeadLetters: 120, Lost: 1}, Lost, "neither")
	f("no dead letter", 709, func(*kgo.Record) []*kgo.Record { return nil }, Report{Predictions: 1080, DeadLetters: 119, Lost: 1}, Lost, "neither")
	f("two predictions", 700, func(r *kgo.Record) []*kgo.Record {
		again := *r
		return []*kgo.Record{r, &again}
	}, Report{Predictions: 1081, DeadLetters: 120, Duplicated: 1}, Duplicated, "t.predictions/")
	f("a prediction and a dead letter", 700, func(r *kgo.Record) []*kgo.Record {
		letter := w.application(700)
		letter.Topic, letter.Headers = w.config.Topics.DLQ, r.Headers
		return []*kgo.Record{r, letter}
	}, Report{Predictions: 1080, DeadLetters: 121, Duplicated: 1}, Duplicated, "answered again")
	f("another feature", 700, altered(func(p *schemas.Prediction) { p.Features[20]++ }), wrong, Altered, "differs from t.applications/1/233")
	f("a missing feature filled in", 700, altered(func(p *schemas.Prediction) { p.Features[1] = 2 }), wrong, Altered, "differs from")
	f("another time", 700, altered(func(p *schemas.Prediction) { p.AppliedAt++ }), wrong, Altered, "differs from")
	f("another id", 700, altered(func(p *schemas.Prediction) { p.ApplicationID = "B" }), wrong, Altered, "key")
	f("another probability", 700, altered(func(p *schemas.Prediction) { p.DefaultProbability += 1e-5 }), wrong, Altered, "default_probability")
	f("another decision", 700, altered(func(p *schemas.Prediction) { p.Decision = schemas.Approve }), wrong, Altered, "decision")
	f("other points", 700, altered(func(p *schemas.Prediction) { p.Points++ }), wrong, Altered, "points")
	f("another default_prediction", 700, altered(func(p *schemas.Prediction) { p.DefaultPrediction = 1 }), wrong, Altered, "default_prediction")
	f("another route", 700, altered(func(p *schemas.Prediction) { p.Route = schemas.RouteCanary }), wrong, Altered, "route")
	f("another model", 700, altered(func(p *schemas.Prediction) { p.ModelVersion = "n" }), wrong, Altered, "model_version")
	f("another policy", 700, altered(func(p *schemas.Prediction) { p.PolicyVersion = "q" }), wrong, Altered, "policy_version")
	f("no reasons", 700, altered(func(p *schemas.Prediction) { p.Reasons = nil }), wrong, Altered, "reasons")
	f("another reason", 700, altered(func(p *schemas.Prediction) { p.Reasons[0].Code = "X" }), wrong, Altered, "reasons")
	f("another contribution", 700, altered(func(p *schemas.Prediction) { p.Reasons[0].Contribution += 1e-4 }), wrong, Altered, "reasons")
	f("not a prediction", 700, func(r *kgo.Record) []*kgo.Record {
		r.Value = r.Value[:100]
		return []*kgo.Record{r}
	}, wrong, Altered, "is not a prediction")
	f("a dead letter's value", 709, func(r *kgo.Record) []*kgo.Record {
		r.Value = append([]byte("x"), r.Value...)
		return []*kgo.Record{r}
	}, wrong, Altered, "differs from")
	f("a dead letter's key", 709, func(r *kgo.Record) []*kgo.Record {
		r.Key = []byte("x")
		return []*kgo.Record{r}
	}, wrong, Altered, "differs from")
	f("a cut dead letter of something else", 709, func(r *kgo.Record) []*kgo.Record {
		return []*kgo.Record{cut(r, []byte("something else"))}
	}, wrong, Altered, "value-digest")
	f("a prediction of nothing", 700, func(r *kgo.Record) []*kgo.Record {
		p := decided("B", features(1))
		return []*kgo.Record{r, w.prediction(&p, 0, nil)}
	}, Report{Predictions: 1080, DeadLetters: 120, Altered: 1, APIOnly: 1}, Altered, "channel is stream")
	f("a dead letter of nothing", 700, func(r *kgo.Record) []*kgo.Record {
		return []*kgo.Record{r, {Topic: w.config.Topics.DLQ, Value: []byte("x")}}
	}, wrong, Altered, "without a source")
	f("an answer to another topic", 700, func(r *kgo.Record) []*kgo.Record {
		p := decided("B", features(1))
		return []*kgo.Record{r, w.prediction(&p, 0, sources(&kgo.Record{Topic: "elsewhere"}))}
	}, wrong, Altered, "elsewhere/0/0")
	f("half a source", 700, func(r *kgo.Record) []*kgo.Record {
		p := decided("B", features(1))
		return []*kgo.Record{r, w.prediction(&p, 0, r.Headers[:2])}
	}, wrong, Altered, "expected topic, partition and offset")
	f("the API's, altered", 700, func(r *kgo.Record) []*kgo.Record {
		p := decided("B", features(1))
		p.Channel, p.Decision = schemas.ChannelAPI, schemas.Decline
		return []*kgo.Record{r, w.prediction(&p, 0, nil)}
	}, Report{Predictions: 1080, DeadLetters: 120, Altered: 1, APIOnly: 1}, Altered, "decision differs")
}

// cut makes a dead letter one whose value did not fit and was whole.
func cut(r *kgo.Record, whole []byte) *kgo.Record {
	sum := sha256.Sum256(whole)
	r.Value = r.Value[:10]
	r.Headers = append(r.Headers,
		kgo.RecordHeader{Key: schemas.HeaderValueTruncated, Value: []byte("true")},
		kgo.RecordHeader{Key: schemas.HeaderValueDigest, Value: []byte("sha256:" + hex.EncodeToString(sum[:]))})
	return r
}

func TestAnswersThatChangedPlacesAreAltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(1000, func(i int, answer *kgo.Record) []*kgo.Record {
		if i == 30 || i == 60 { // the same block of the same partition
			other := w.answer(90-i, w.application(90-i))
			answer.Key, answer.Value = other.Key, other.Value
		}
		return []*kgo.Record{answer}
	})
	report := w.judge()
	require.Equal(t, Report{Applications: 1000, Predictions: 900, DeadLetters: 100, Altered: 2}, counts(report))
}

func TestMoreIsBrokenThanOneReadingLooksAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(3000, func(i int, answer *kgo.Record) []*kgo.Record {
		if i%10 == 9 {
			return []*kgo.Record{answer}
		}
		p := decided(string(answer.Key), features(i+1))
		answer.Value = schemas.AppendPrediction(nil, &p)
		return []*kgo.Record{answer}
	})
	r := newRun(w.config)
	r.blocksAtOnce, r.idsAtOnce = 3, 100
	report, err := r.judge(t.Context())
	require.NoError(t, err)
	require.Equal(t, Report{Applications: 3000, Predictions: 2700, DeadLetters: 300, Altered: 2700}, counts(report))
	require.Len(t, report.Examples, examplesOfAKind)
}

func TestWhatIsNotAFailureIsReportedApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	records := w.scored(300, func(i int, answer *kgo.Record) []*kgo.Record {
		switch i {
		case 19:
			return []*kgo.Record{cut(answer, w.application(i).Value)}
		case 20:
			p := decided(string(answer.Key), features(i))
			p.ModelVersion, p.Decision = "unknown", schemas.Decline
			answer.Value = schemas.AppendPrediction(nil, &p)
		}
		return []*kgo.Record{answer}
	})
	api := decided("API-1", features(3))
	api.Channel = schemas.ChannelAPI
	marker := &kgo.Record{Topic: w.config.Topics.DLQ, Headers: []kgo.RecordHeader{{Key: schemas.HeaderReplayOf, Value: []byte("0/3")}}}
	replayed := w.application(300)
	replayed.Headers = []kgo.RecordHeader{{Key: schemas.HeaderReplayedFrom, Value: []byte("t.applications.dlq/0/3")}}
	// An application that failed for good although it decodes, and the same again.
	failed, again := w.application(301), w.application(302)
	again.Key, again.Value = records[5].Key, records[5].Value // partition 2, like the first
	w.write(w.client, w.prediction(&api, 1, nil), marker, replayed, failed, again)
	letter := &kgo.Record{Topic: w.config.Topics.DLQ, Key: failed.Key, Value: failed.Value, Headers: sources(failed)}
	repeat := w.answer(5, records[5])
	repeat.Headers = sources(again)
	w.write(w.client, w.answer(300, replayed), letter, repeat)
	w.commit(0)
	w.write(w.client, w.application(303), w.application(304))
	report := w.judge()
	require.Equal(t, Report{
		Applications: 303, Predictions: 272, DeadLetters: 31, APIOnly: 1, Replayed: 1, RepeatedApplicationID: 1, Unreproducible: 1, UnreproducibleBy: []Lacking{{"model unknown is gone", 1}}, Pending: 2,
	}, counts(report))
	require.Empty(t, report.Examples)
	require.Contains(t, report.NotJudged(false), "could not be computed again: 1 ", "a forged decision may name a model that nobody has")
	require.Empty(t, report.NotJudged(true))
}

// An application may come with any header, and its dead letter carries it.
func TestReceivedHeadersDoNotMakeADeadLetterAMarkerOrCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(300, func(_ int, answer *kgo.Record) []*kgo.Record {
		if answer.Topic == w.config.Topics.DLQ {
			answer.Headers = append([]kgo.RecordHeader{
				{Key: schemas.HeaderReplayOf, Value: []byte("0/0")},
				{Key: schemas.HeaderValueTruncated, Value: []byte("true")},
				{Key: schemas.HeaderErrorClass, Value: []byte("theirs")},
			}, answer.Headers...)
		}
		return []*kgo.Record{answer}
	})
	report := w.judge()
	require.Equal(t, Report{Applications: 300, Predictions: 270, DeadLetters: 30}, counts(report))
	require.Empty(t, report.Examples)
}

// A letter whose key was cut is compared by the digest of its value.
func TestVerify_ComparesALetterWhoseKeyWasCut(t *testing.T) {
	t.Parallel()
	for _, honest := range []bool{true, false} {
		w := newWorld(t)
		w.scored(300, func(i int, answer *kgo.Record) []*kgo.Record {
			if answer.Topic != w.config.Topics.DLQ {
				return []*kgo.Record{answer}
			}
			digest := kafka.Digest(answer.Value)
			if !honest {
				digest = kafka.Digest([]byte("another"))
			}
			answer.Key = answer.Key[:2]
			answer.Headers = append(answer.Headers,
				kgo.RecordHeader{Key: schemas.HeaderKeyTruncated, Value: []byte("true")},
				kgo.RecordHeader{Key: schemas.HeaderValueDigest, Value: []byte(digest)})
			return []*kgo.Record{answer}
		})
		want := Report{Applications: 300, Predictions: 270, DeadLetters: 30}
		if !honest {
			want.Altered = 30
		}
		require.Equal(t, want, counts(w.judge()))
	}
}

func TestAnAnswerToAnAbortedApplicationIsAltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	aborted := w.application(1)
	w.transaction(kgo.TryAbort, aborted)
	w.write(w.client, w.answer(1, aborted))
	w.commit(0)
	report := w.judge()
	require.Equal(t, Report{Predictions: 1, Altered: 1}, counts(report))
	require.Contains(t, report.Examples[0].Why, "no committed application")
}

func TestWhatCameAfterTheGroupsOffsetsIsNotJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(600, same)
	w.commit(50)
	require.Equal(t, Report{Applications: 450, Predictions: 405, DeadLetters: 45, Pending: 150}, counts(w.judge()))
}

func (w *world) remove(topic string, below map[int32]int64) {
	offsets := kadm.Offsets{}
	for p, at := range below {
		offsets.AddOffset(topic, p, at, -1)
	}
	_, err := w.admin.DeleteRecords(w.t.Context(), offsets)
	require.NoError(w.t, err)
}

func TestWhatRetentionRemovedIsUnjudgeable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(600, same)
	w.remove(w.config.Topics.Applications, map[int32]int64{0: 50, 1: 200, 2: 0})
	// Partition 1 has nothing left, 0 has 150, 2 all 200.
	require.Equal(t, Report{Applications: 350, Predictions: 315, DeadLetters: 35, Unjudgeable: 250}, counts(w.judge()))
}

// What the log lost before the group had answered it is lost, and nothing else is
// said of it: not that it waits, not that it may have been answered.
func TestWhatLeftTheLogUnansweredIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(600, same)
	w.commit(100) // at 100 of 200 in each partition
	w.remove(w.config.Topics.Applications, map[int32]int64{0: 130, 1: 200, 2: 60})
	report := w.judge()
	require.Equal(t, Report{
		Applications: 40, Predictions: 36, DeadLetters: 4, // of partition 2, 60 … 99
		Lost: 30 + 100, Unjudgeable: 100 + 100 + 60, Pending: 70 + 0 + 100,
	}, counts(report))
	require.True(t, report.Failed())
	require.ElementsMatch(t, []Example{
		{Lost, w.config.Topics.Applications, 0, 100, "left the log before it was answered, with every offset up to 129"},
		{Lost, w.config.Topics.Applications, 1, 100, "left the log before it was answered, with every offset up to 199"},
		{Unjudgeable, w.config.Topics.Applications, 0, 0, "with every offset up to 99: they have left the log"},
		{Unjudgeable, w.config.Topics.Applications, 1, 0, "with every offset up to 99: they have left the log"},
		{Unjudgeable, w.config.Topics.Applications, 2, 0, "with every offset up to 59: they have left the log"},
	}, report.Examples)
	var text bytes.Buffer
	require.NoError(t, report.Print(&text, false))
	require.Contains(t, text.String(), "FAILED")

	w.commit(70) // at 130 in each
	w.remove(w.config.Topics.Applications, map[int32]int64{2: 131})
	report = w.judge()
	require.Equal(t, int64(1+70), report.Lost)
	require.Contains(t, report.Examples, Example{Lost, w.config.Topics.Applications, 2, 130, "left the log before it was answered"})
}

func TestWhatLeftTheLogBeforeFromIsNotJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(600, same)
	w.commit(100)
	w.remove(w.config.Topics.Applications, map[int32]int64{0: 130})
	written := time.Now().UnixMilli() // they were appended in this millisecond at the latest
	require.Eventually(t, func() bool { return time.Now().UnixMilli() > written }, time.Minute, time.Millisecond)
	w.config.From = time.Now()
	require.Equal(t, Report{Pending: 70 + 100 + 100}, counts(w.judge()))
}

func TestAnAnswerThatRetentionRemovedIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost := 570 // partition 0, long after what is removed
	w.scored(600, func(i int, answer *kgo.Record) []*kgo.Record {
		if i == lost {
			return nil
		}
		return []*kgo.Record{answer}
	})
	w.remove(w.config.Topics.Predictions, map[int32]int64{1: 90}) // answers partition 0
	report := w.judge()
	require.Equal(t, Report{Applications: 510, Predictions: 449, DeadLetters: 60, Lost: 1, Unjudgeable: 90}, counts(report))
	require.Equal(t, int64(lost/partitions), report.Examples[0].Offset)
}

func TestFromLeavesOutWhatCameBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.client, w.application(0), w.application(1), w.application(2))
	written := time.Now().UnixMilli() // they were appended in this millisecond at the latest
	require.Eventually(t, func() bool { return time.Now().UnixMilli() > written }, time.Minute, time.Millisecond)
	w.config.From = time.Now()
	w.scored(300, same)
	require.Equal(t, Report{Applications: 300, Predictions: 270, DeadLetters: 30}, counts(w.judge()))
	w.config.From = time.Time{}
	require.Equal(t, int64(3), w.judge().Lost)
}

func TestAnOpenTransactionIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	records := w.scored(30, same)
	more := w.application(30)
	w.write(w.client, more)
	client := w.connect(kgo.TransactionalID("open"))
	require.NoError(t, client.BeginTransaction())
	w.write(client, w.answer(30, more))
	w.commit(0) // as where the offsets' marker came before the predictions'
	var listings atomic.Int32
	w.broker.Cluster().ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		listings.Add(1)
		return nil, nil, false
	})
	done := make(chan *Report, 1)
	go func() {
		report, err := Run(context.WithoutCancel(t.Context()), w.config)
		if err == nil {
			done <- report
		}
		close(done)
	}()
	// Starts and both ends of the input, and of the output more than once.
	require.Eventually(t, func() bool { return listings.Load() >= 9 }, time.Minute, time.Millisecond)
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryCommit))
	report := <-done
	require.NotNil(t, report)
	require.Equal(t, int64(len(records)+1), report.Applications)
	require.Zero(t, report.Lost)
}

// meanwhile has something happen before the first request of a kind is answered.
func (w *world) meanwhile(key kmsg.Key, happen func()) (happened *atomic.Bool) {
	happened = new(atomic.Bool)
	w.broker.Cluster().ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().DropControl()
		w.broker.Cluster().SleepControl(happen)
		happened.Store(true)
		return nil, nil, false
	})
	return happened
}

// What the group commits until its offsets are asked for is judged, so its answers
// must be looked for: the outputs' ends are taken afterwards.
func TestAnswersAreLookedForAfterTheirApplicationsAreFixed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(300, same)
	happened := w.meanwhile(kmsg.OffsetFetch, func() { w.scored(300, same) })
	report := w.judge()
	require.True(t, happened.Load())
	require.Equal(t, Report{Applications: 600, Predictions: 540, DeadLetters: 60, RepeatedApplicationID: 270}, counts(report))
	require.Empty(t, report.Examples)
}

// Retention does not wait for a judge: what it takes before it is read is not
// judged, and the answers to it are no answers to nothing.
func TestWhatRetentionRemovesMeanwhileIsUnjudgeable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(600, same)
	happened := w.meanwhile(kmsg.Fetch, func() { w.remove(w.config.Topics.Applications, map[int32]int64{0: 50, 2: 20}) })
	report := w.judge()
	require.True(t, happened.Load())
	require.Equal(t, Report{Applications: 530, Predictions: 477, DeadLetters: 53, Unjudgeable: 70}, counts(report))
	require.Empty(t, report.Examples)
}

func TestThereMustBeSomethingToJudge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := Run(t.Context(), w.config)
	require.ErrorContains(t, err, "group scorer has no committed offsets on t.applications")

	w.commit(-7)
	_, err = Run(t.Context(), w.config)
	require.ErrorContains(t, err, "committed offset 7 of t.applications/")

	w.commit(0)
	report := w.judge()
	require.Equal(t, Report{}, counts(report))
	var text bytes.Buffer
	require.NoError(t, report.Print(&text, false))
	require.Contains(t, text.String(), "nothing was judged")

	w.config.Topics.DLQ = "t.nowhere"
	_, err = Run(t.Context(), w.config)
	require.ErrorContains(t, err, "topics apply")
}

func TestARecomputationThatFailsEndsTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(30, same)
	w.config.Recompute = func(*schemas.Prediction) (schemas.Prediction, error) {
		return schemas.Prediction{}, errors.New("out of paper")
	}
	_, err := Run(t.Context(), w.config)
	require.ErrorContains(t, err, "out of paper")
}

// hold opens a transaction, as a producer does that then hangs, and writes records in
// it.
func (w *world) hold(records ...*kgo.Record) *kgo.Client {
	client := w.connect(kgo.TransactionalID("hangs"))
	require.NoError(w.t, client.BeginTransaction())
	w.write(client, records...)
	return client
}

// impatient judges without waiting for transactions that are open.
func (w *world) impatient() *Report {
	r := newRun(w.config)
	r.patience = time.Millisecond
	report, err := r.judge(w.t.Context())
	require.NoError(w.t, err)
	return report
}

func said(t *testing.T, report *Report, allowUnjudgeable bool) string {
	var text bytes.Buffer
	require.NoError(t, report.Print(&text, allowUnjudgeable))
	return text.String()
}

func TestVerify_DoesNotPassApplicationsBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(300, same)
	w.commit(0)
	holder := w.hold(w.application(300)) // partition 0, as 303 and 306
	w.write(w.client, w.application(301), w.application(303), w.application(306))
	report := w.impatient()
	require.Equal(t, Report{Applications: 300, Predictions: 270, DeadLetters: 30, Pending: 1}, counts(report))
	require.Len(t, report.Open, 1)
	require.Equal(t, w.config.Topics.Applications, report.Open[0].Topic)
	require.Equal(t, int64(3), report.Open[0].Records)
	require.NotZero(t, report.Open[0].Since)
	require.False(t, report.Failed())
	require.NotEmpty(t, report.NotJudged(true))
	text := said(t, report, true)
	require.Contains(t, text, "3 records behind an open transaction on "+w.config.Topics.Applications+"/0 since ")
	require.NotContains(t, text, "exactly once")

	require.NoError(t, holder.EndTransaction(t.Context(), kgo.TryAbort))
	report = w.impatient()
	require.Empty(t, report.NotJudged(false))
	require.Contains(t, said(t, report, false), "exactly once")
}

// What lies behind an open transaction is not lost: what is seen to be missing is.
func TestVerify_DoesNotCallAnswersLostThatMayBeHidden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const hangs, lost = 450, 30 // answers to partition 0 stand in partition 1 of predictions
	var applications, before, after []*kgo.Record
	for i := range 600 {
		applications = append(applications, w.application(i))
	}
	w.write(w.client, applications...)
	for i, r := range applications {
		switch {
		case i == lost:
		case i < hangs:
			before = append(before, w.answer(i, r))
		default:
			after = append(after, w.answer(i, r))
		}
	}
	w.transaction(kgo.TryCommit, before...)
	foreign := decided("B", features(1))
	foreign.Channel = schemas.ChannelAPI
	holder := w.hold(w.prediction(&foreign, 1, nil))
	w.transaction(kgo.TryCommit, after...)
	w.commit(0)
	report := w.impatient()
	const behind = 150/3 - 5 // a tenth are dead letters
	require.Equal(t, Report{Applications: 600 - behind, Predictions: 540 - 1 - behind, DeadLetters: 60, Lost: 1, Hidden: behind}, counts(report))
	require.Equal(t, int64(lost/partitions), report.Examples[0].Offset)
	require.Len(t, report.Open, 1)
	require.Contains(t, said(t, report, false), "FAILED; moreover")

	require.NoError(t, holder.EndTransaction(t.Context(), kgo.TryAbort))
	require.Equal(t, Report{Applications: 600, Predictions: 539, DeadLetters: 60, Lost: 1}, counts(w.impatient()))
}

func TestVerify_DoesNotPassWhatCannotBeJudgedUnlessThatIsAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(600, same)
	w.remove(w.config.Topics.Applications, map[int32]int64{0: 49, 2: 1})
	report := w.judge()
	require.Equal(t, int64(50), report.Unjudgeable)
	// A counter ends with its process; this can be asked for later.
	require.Equal(t, []Example{
		{Unjudgeable, w.config.Topics.Applications, 0, 0, "with every offset up to 48: they have left the log"},
		{Unjudgeable, w.config.Topics.Applications, 2, 0, "it has left the log"},
	}, report.Examples)
	require.Contains(t, report.NotJudged(false), "cannot be judged any more: 50 ")
	require.Empty(t, report.NotJudged(true))
	for _, allow := range []bool{false, true} {
		text := said(t, report, allow)
		require.NotContains(t, text, "exactly once")
		require.Contains(t, text, "cannot be judged any more: 50")
	}
}

// The end of a producer's transaction is no application that waits.
func TestVerify_CountsApplicationsThatWaitAndNoEndsOfTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scored(300, same)
	w.transaction(kgo.TryAbort, w.application(300), w.application(301))
	require.Equal(t, Report{Applications: 300, Predictions: 270, DeadLetters: 30}, counts(w.judge()))
	w.transaction(kgo.TryCommit, w.application(300), w.application(303))
	require.Equal(t, Report{Applications: 300, Predictions: 270, DeadLetters: 30, Pending: 2}, counts(w.judge()))
}
