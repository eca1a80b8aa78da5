package deadletters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

func TestALetterIsReplayedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	written := w.letters(30)
	report := w.replayed()
	require.Equal(t, &Report{Replayed: 30, Refusals: []Refusal{}}, report)
	applications := w.committed(w.config.Topics.Applications)
	require.Len(t, applications, 30)
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic(w.config.Topics.Applications)
	byKey := map[string]*kgo.Record{}
	for _, r := range applications {
		byKey[string(r.Key)] = r
		require.EqualValues(t, partitioner.Partition(&kgo.Record{Key: r.Key}, partitions), r.Partition, "the partition of its key")
	}
	for _, l := range written {
		r := byKey[string(l.Key)]
		require.NotNil(t, r)
		require.Equal(t, l.Value, r.Value)
		require.Equal(t, headers("trace", "x", "replayed-from", fmt.Sprintf("t.applications.dlq/%d/%d", l.Partition, l.Offset)), r.Headers)
		require.Equal(t, 1, w.markers()[Position{l.Partition, l.Offset}.String()])
	}

	require.Equal(t, &Report{Skipped: 30, Refusals: []Refusal{}}, w.replayed())
	require.Equal(t, &Report{Skipped: 1, Refusals: []Refusal{}}, w.replayed(at(Position{0, 0})))
	require.Len(t, w.committed(w.config.Topics.Applications), 30)

	report = w.replayed(at(Position{0, 0}), func(c *ReplayConfig) { c.Again = true })
	require.EqualValues(t, 1, report.Replayed)
	require.Len(t, w.committed(w.config.Topics.Applications), 31)
	require.Equal(t, 2, w.markers()["0/0"], "a second marker")
}

func TestOnlyWhatIsSelectedIsReplayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(40)
	require.EqualValues(t, 10, w.replayed(func(c *ReplayConfig) { c.Classes = []string{"decode"} }).Replayed)
	report := w.replayed(func(c *ReplayConfig) { c.From, c.To = noon.Add(8*time.Minute), noon.Add(16*time.Minute) })
	require.EqualValues(t, 6, report.Replayed)
	require.EqualValues(t, 2, report.Skipped)
	report = w.replayed(func(c *ReplayConfig) { c.DryRun = true })
	require.EqualValues(t, 24, report.Replayed)
	require.True(t, report.DryRun)
	require.Len(t, w.committed(w.config.Topics.Applications), 16, "a dry run writes nothing")
	require.Len(t, w.markers(), 16)
}

// What came back and failed as before is left unless it is asked for; what fails
// otherwise today is not the same.
func TestReplay_LeavesWhatFailedAlike(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(6)
	require.EqualValues(t, 6, w.replayed().Replayed)
	back := func(i int, from, message string) *kgo.Record {
		l := w.letter(i)
		class := schemas.ErrorClassContract
		if i%4 == 3 {
			class = schemas.ErrorClassDecode
		}
		l.Headers = append(headers("replayed-from", "t.applications.dlq/"+from), letterHeaders(i, class)...)
		if message != "" {
			l.Headers = append(l.Headers, headers("error-message", message)...)
		}
		l.Partition = (l.Partition + 1) % partitions // another than its origin's
		return l
	}
	w.write(
		back(0, "0/0", ""), back(1, "1/0", ""), back(3, "0/1", ""), // failed as before
		back(2, "2/0", "features.age 902: must be 18 … 900"), // the rule has changed
		back(4, "0/9999", ""),    // of what is not there it is not known
		back(5, "elsewhere", ""), // no letter's name
	)
	report := w.replayed(func(c *ReplayConfig) { c.DryRun = true })
	require.Equal(t, &Report{DryRun: true, Replayed: 2, Skipped: 6, Alike: 4, Refusals: []Refusal{}}, report)
	var plan Plan
	report = w.replayed(func(c *ReplayConfig) { c.Confirm = func(p Plan) (bool, error) { plan = p; return true, nil } })
	require.Equal(t, &Report{Replayed: 2, Skipped: 6, Alike: 4, Refusals: []Refusal{}}, report)
	require.EqualValues(t, 2, plan.Letters)
	require.EqualValues(t, 4, plan.Alike)
	// Also where the selection begins behind the origins.
	late := func(c *ReplayConfig) { c.From = noon.Add(time.Minute) }
	require.EqualValues(t, 3, w.replayed(late).Alike)
	// One that is named is asked for.
	require.EqualValues(t, 1, w.replayed(at(w.letterAt(t, "0/0"))).Replayed)
	require.EqualValues(t, 3, w.replayed(func(c *ReplayConfig) { c.Alike = true }).Replayed)
	require.Zero(t, w.replayed(func(c *ReplayConfig) { c.Alike = true }).Replayed)
}

func TestOneIsAskedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(8)
	w.replayed(at(Position{0, 0}))
	var plan Plan
	answer := false
	ask := func(c *ReplayConfig) { c.Confirm = func(p Plan) (bool, error) { plan = p; return answer, nil } }
	report := w.replayed(ask)
	require.Equal(t, Plan{Letters: 7, ByClass: map[string]int64{"contract": 5, "decode": 2}, Already: 1}, plan)
	require.Equal(t, &Report{Skipped: 1, Declined: true, Refusals: []Refusal{}}, report)
	require.Len(t, w.committed(w.config.Topics.Applications), 1)
	answer = true
	require.EqualValues(t, 7, w.replayed(ask).Replayed)
	w.replayed(func(c *ReplayConfig) {
		c.Confirm = func(Plan) (bool, error) { return false, errors.New("there is nothing to ask about") }
	})
	_, err := w.replay(func(c *ReplayConfig) {
		c.Again, c.Confirm = true, func(Plan) (bool, error) { return false, context.Canceled }
	}).run(t.Context())
	require.ErrorIs(t, err, context.Canceled)
}

// A replay that died inside a transaction holds nothing up and has done nothing.
func TestACrashBeforeTheEndReplaysNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(6)
	dead, err := openWriter(t.Context(), w.config)
	require.NoError(t, err)
	t.Cleanup(dead.close)
	first := w.committed(w.config.Topics.DLQ)[0]
	require.NoError(t, dead.client.BeginTransaction())
	require.NoError(t, dead.client.ProduceSync(t.Context(), original(first, w.config.Topics), marker(first, w.config.Topics)).FirstErr())

	require.EqualValues(t, 6, w.replayed().Replayed, "also the one that was begun")
	for letter, n := range w.markers() {
		require.Equal(t, 1, n, letter)
	}
	for letter, n := range w.replayedFrom() {
		require.Equal(t, 1, n, letter)
	}
	require.Len(t, w.replayedFrom(), 6)
}

func TestACrashBetweenTransactionsReplaysNoneTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(20)
	ctx, crash := context.WithCancel(t.Context())
	defer crash()
	r := w.replay()
	r.batchLetters = 3
	var ends atomic.Int32
	w.broker.Cluster().ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if ends.Add(1) == 2 {
			crash()
		}
		return nil, nil, false
	})
	report, err := r.run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	done := len(w.markers())
	require.EqualValues(t, done, report.Replayed, "what is reported is committed")
	require.Equal(t, 6, done, "the transaction that was begun is ended")
	rest := w.replayed()
	require.EqualValues(t, 20-done, rest.Replayed)
	require.EqualValues(t, done, rest.Skipped)
	for letter, n := range w.replayedFrom() {
		require.Equal(t, 1, n, letter)
	}
	require.Len(t, w.replayedFrom(), 20)
}

// A transaction takes as many letters as Kafka has shown to take in time.
func TestReplay_TakesAsManyLettersAsKafkaTakesInTime(t *testing.T) {
	for name, c := range map[string]struct {
		took         time.Duration
		transactions int32
	}{
		"quick": {10 * time.Millisecond, 3},          // 16, 32, 12
		"slow":  {3 * time.Second, 4 + 60 - 16 - 14}, // 16, 8, 4, 2, and one each
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.letters(60)
			r := w.replay()
			now := time.Now()
			r.now = func() time.Time { now = now.Add(c.took); return now }
			var ends atomic.Int32
			w.broker.Cluster().ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
				w.broker.Cluster().KeepControl()
				ends.Add(1)
				return nil, nil, false
			})
			report, err := r.run(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 60, report.Replayed)
			require.Equal(t, c.transactions, ends.Load())
			require.Len(t, w.replayedFrom(), 60)
		})
	}
}

func TestOfTwoReplaysAtOnceOneIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(20)
	asked, answer := make(chan struct{}), make(chan struct{})
	first := w.replay(func(c *ReplayConfig) {
		c.Confirm = func(Plan) (bool, error) { close(asked); <-answer; return true, nil }
	})
	failed := make(chan error, 1)
	go func() {
		_, err := first.run(context.WithoutCancel(t.Context()))
		failed <- err
	}()
	<-asked
	require.EqualValues(t, 20, w.replayed().Replayed)
	close(answer)
	require.ErrorContains(t, <-failed, "another dlq replay has begun and taken transactional id t-dlq-replay over")
	require.Zero(t, first.report.Replayed)
	for letter, n := range w.replayedFrom() {
		require.Equal(t, 1, n, letter)
	}
	require.Len(t, w.replayedFrom(), 20)
}

// The other comes in the middle of this one.
func TestAReplayIsStoppedBetweenItsTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(20)
	r := w.replay()
	r.batchLetters = 4
	other := make(chan *Report, 1)
	var ends atomic.Int32
	w.broker.Cluster().ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if ends.Add(1) == 2 {
			w.broker.Cluster().SleepControl(func() {
				report, err := Replay(context.WithoutCancel(t.Context()), ReplayConfig{Config: w.config})
				if err == nil {
					other <- report
				}
				close(other)
			})
		}
		return nil, nil, false
	})
	report, err := r.run(t.Context())
	require.ErrorContains(t, err, "another dlq replay has begun")
	require.ErrorContains(t, err, "run it again")
	second := <-other
	require.NotNil(t, second)
	require.EqualValues(t, 20, report.Replayed+second.Replayed)
	for letter, n := range w.replayedFrom() {
		require.Equal(t, 1, n, letter)
	}
	require.Len(t, w.replayedFrom(), 20)
}

func TestWhetherATransactionEndedIsNotGuessed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(6)
	w.broker.Cluster().ControlKey(int16(kmsg.EndTxn), func(request kmsg.Request) (kmsg.Response, error, bool) {
		response := request.ResponseKind().(*kmsg.EndTxnResponse)
		response.ErrorCode = kerr.UnknownServerError.Code
		return response, nil, true
	})
	report, err := w.replay().run(t.Context())
	require.ErrorContains(t, err, "on: whether they were is not known: UNKNOWN_SERVER_ERROR")
	require.Zero(t, report.Replayed)
	require.EqualValues(t, 6, w.replayed().Replayed)
	require.Len(t, w.replayedFrom(), 6)
}

func TestAFenceIsExplained(t *testing.T) {
	t.Parallel()
	w := &writer{id: "t-dlq-replay"}
	require.ErrorContains(t, w.failed(kerr.ProducerFenced, time.Now()), "another dlq replay has begun")
	late := w.failed(kerr.ProducerFenced, time.Now().Add(-time.Minute))
	require.ErrorContains(t, late, "longer than its timeout of 8s")
	require.ErrorIs(t, late, kerr.ProducerFenced)
	require.Equal(t, kerr.UnknownServerError, w.failed(kerr.UnknownServerError, time.Now()))
}

// cutLetter writes an application and the letter that was cut from it.
func (w *world) cutLetter(value []byte, source *kgo.Record, more ...string) *kgo.Record {
	w.write(source)
	l := &kgo.Record{
		Topic: w.config.Topics.DLQ, Key: source.Key, Value: value[:min(len(value), 100)],
		Headers: append(headers("trace", "x"), headers(append([]string{"error-class", "too-large", "error-message", "m", "failed-at", "2026-11-23T12:00:00Z",
			"value-digest", kafka.Digest(value), "value-truncated", "true",
			"source-topic", source.Topic, "source-partition", fmt.Sprint(source.Partition), "source-offset", fmt.Sprint(source.Offset)}, more...)...)...),
	}
	w.write(l)
	return l
}

func TestACutLetterIsReplayedFromItsSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	value := bytes.Repeat([]byte("large "), 2000)
	source := func() *kgo.Record {
		return &kgo.Record{Topic: w.config.Topics.Applications, Partition: 1, Key: []byte("A-1"), Value: value}
	}
	w.cutLetter(value, source())
	found, _ := w.list()
	require.True(t, found[0].Cut.Value.Cut)
	why := "only the first 100 bytes of its value are kept (whole value " + kafka.Digest(value) + ")"

	report := w.replayed()
	require.Equal(t, []Refusal{{"0/0", why + "; --from-source replays it from t.applications/1/0, where it still is"}}, report.Refusals)
	report = w.replayed(func(c *ReplayConfig) { c.FromSource, c.DryRun = true, true })
	require.EqualValues(t, 1, report.Replayed)
	require.Empty(t, w.markers())
	report = w.replayed(func(c *ReplayConfig) { c.FromSource = true })
	require.Equal(t, &Report{Replayed: 1, Refusals: []Refusal{}}, report)
	applications := w.committed(w.config.Topics.Applications)
	require.Len(t, applications, 2)
	for _, r := range applications {
		require.Equal(t, value, r.Value)
		if len(r.Headers) > 0 {
			require.Equal(t, headers("trace", "x", "replayed-from", "t.applications.dlq/0/0"), r.Headers)
		}
	}
	require.Equal(t, map[string]int{"0/0": 1}, w.markers())
}

// A letter whose key and headers were cut is not the application that was received,
// though its value is whole.
func TestReplay_RefusesALetterWithoutItsKeyAndHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, value := bytes.Repeat([]byte("k"), 3000), []byte("{")
	received := headers("trace", "x", "large", string(bytes.Repeat([]byte("h"), 20_000)), "error-class", "mine")
	source := &kgo.Record{Topic: w.config.Topics.Applications, Partition: 1, Key: key, Value: value, Headers: received}
	w.write(source)
	letter := func(headersDigest string) *kgo.Record {
		return &kgo.Record{
			Topic: w.config.Topics.DLQ, Key: key[:100], Value: value,
			Headers: append(headers("trace", "x"), headers("error-class", "decode", "error-message", "m", "failed-at", "2026-11-23T12:00:00Z",
				"value-digest", kafka.Digest(value), "value-bytes", "1",
				"key-digest", kafka.Digest(key), "key-bytes", "3000", "key-truncated", "true",
				"headers-digest", headersDigest, "headers-bytes", "20026", "headers-truncated", "true",
				"source-topic", source.Topic, "source-partition", "1", "source-offset", "0")...),
		}
	}
	w.write(letter(kafka.HeadersDigest(received)), letter("sha256:00"))

	report := w.replayed()
	require.EqualValues(t, 2, report.Refused)
	require.Contains(t, report.Refusals[0].Why, "only the first 100 bytes of its key are kept (whole key "+kafka.Digest(key)+"), not all of its headers are kept")
	require.Contains(t, report.Refusals[0].Why, "--from-source")
	require.Empty(t, w.markers())

	report = w.replayed(func(c *ReplayConfig) { c.FromSource = true })
	require.EqualValues(t, 1, report.Replayed)
	require.Contains(t, report.Refusals[0].Why, "headers-digest is "+kafka.HeadersDigest(received)+" there, expected sha256:00")
	require.Equal(t, map[string]int{"0/0": 1}, w.markers())
	applications := w.committed(w.config.Topics.Applications)
	require.Len(t, applications, 2)
	for _, r := range applications {
		if _, again := header(r.Headers, schemas.HeaderReplayedFrom); again {
			require.Equal(t, key, r.Key)
			require.Equal(t, value, r.Value)
			require.Equal(t, append(append([]kgo.RecordHeader{}, received[:2]...), headers("replayed-from", "t.applications.dlq/0/0")...), r.Headers)
		}
	}
}

func TestACutLetterWhoseSourceIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	value := bytes.Repeat([]byte("large "), 2000)
	application := func(partition int32, value string) *kgo.Record {
		return &kgo.Record{Topic: w.config.Topics.Applications, Partition: partition, Key: []byte("A"), Value: []byte(value)}
	}
	w.cutLetter(value, application(1, "something else"))
	w.cutLetter(value, application(2, string(value)), "source-offset", "77")
	w.cutLetter(value, application(2, string(value)), "source-topic", "elsewhere")
	w.cutLetter(value, application(2, string(value)), "source-topic", "")
	w.cutLetter(value, application(0, string(value)))
	offsets := kadm.Offsets{}
	offsets.AddOffset(w.config.Topics.Applications, 0, 1, -1)
	_, err := w.admin.DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	report := w.replayed(func(c *ReplayConfig) { c.FromSource = true })
	require.Zero(t, report.Replayed)
	require.EqualValues(t, 5, report.Refused)
	for i, want := range []string{
		"its source t.applications/1/0 is not what it was cut from: value-digest is " + kafka.Digest([]byte("something else")) + " there, expected " + kafka.Digest(value),
		"its source t.applications/2/77 is no longer there",
		"its source elsewhere/2/1 is not in t.applications",
		"the letter does not say which record it was",
		"its source t.applications/0/0 is no longer there",
	} {
		require.Equal(t, fmt.Sprintf("0/%d", i), report.Refusals[i].Letter)
		require.Contains(t, report.Refusals[i].Why, want)
	}
	require.Empty(t, w.markers())
	for _, refusal := range w.replayed().Refusals[1:] {
		require.NotContains(t, refusal.Why, "--from-source", "nothing is offered that cannot be had")
	}
}

// A record that the applications do not take does not hold up the others.
func TestALetterThatIsTooLargeIsRefusedAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters(9)
	large := w.letter(9)
	large.Value = make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{7}).Read(large.Value) //nolint:errcheck // it never fails
	w.write(large)
	report := w.replayed()
	require.EqualValues(t, 9, report.Replayed)
	require.EqualValues(t, 1, report.Refused)
	require.Equal(t, Position{large.Partition, large.Offset}.String(), report.Refusals[0].Letter)
	require.Contains(t, report.Refusals[0].Why, "t.applications does not take it: MESSAGE_TOO_LARGE")
	require.Len(t, w.markers(), 9)
	require.Len(t, w.replayedFrom(), 9)
}

// grants are those of one principal, as the embedded broker takes them.
func grants(t *testing.T, principal string) (list []kfake.ACL) {
	resources := map[string]kmsg.ACLResourceType{
		schemas.ResourceTopic: kmsg.ACLResourceTypeTopic, schemas.ResourceGroup: kmsg.ACLResourceTypeGroup,
		schemas.ResourceTransactional: kmsg.ACLResourceTypeTransactionalId, schemas.ResourceCluster: kmsg.ACLResourceTypeCluster,
	}
	operations := map[string]kmsg.ACLOperation{schemas.Read: kmsg.ACLOperationRead, schemas.Write: kmsg.ACLOperationWrite}
	for _, p := range schemas.Principals("t", "g") {
		for _, g := range p.Grants {
			pattern := kmsg.ACLResourcePatternTypeLiteral
			if g.Prefixed {
				pattern = kmsg.ACLResourcePatternTypePrefixed
			}
			for _, o := range g.Operations {
				// What making topics takes is not what replaying takes.
				if operation, ok := operations[o]; ok && p.Name == principal {
					list = append(list, kfake.ACL{Resource: resources[g.Resource], Name: g.Name, Pattern: pattern, Operation: operation, Allow: true})
				}
			}
		}
	}
	require.NotEmpty(t, list)
	return list
}

func TestAReplayNeedsWhatItIsGranted(t *testing.T) {
	t.Parallel()
	f := func(name string, lacks func(kfake.ACL) bool, want string) {
		t.Run(name, func(t *testing.T) {
			topics := schemas.NewTopics("t")
			var granted []kfake.ACL
			for _, a := range grants(t, "operator") {
				if !lacks(a) {
					granted = append(granted, a)
				}
			}
			// Clients that do not log in are this user.
			w := newBareWorld(t, "", kfake.EnableACLs(), kfake.User("SCRAM-SHA-256", "ANONYMOUS", "unused", granted...),
				kfake.SeedTopics(partitions, topics.Applications, topics.DLQ))
			w.letters(3)
			_, err := w.replay().run(t.Context())
			if want == "" {
				require.NoError(t, err)
				require.Len(t, w.markers(), 3)
			} else {
				require.ErrorContains(t, err, want)
			}
		})
	}
	without := func(resource kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) func(kfake.ACL) bool {
		return func(a kfake.ACL) bool { return a.Resource == resource && a.Name == name && a.Operation == operation }
	}
	f("everything", func(kfake.ACL) bool { return false }, "")
	f("no transactions", without(kmsg.ACLResourceTypeTransactionalId, "t-dlq-replay", kmsg.ACLOperationWrite), "needs WRITE on transactional id t-dlq-replay")
	f("no applications", without(kmsg.ACLResourceTypeTopic, "t.applications", kmsg.ACLOperationWrite), "READ and WRITE on it and on t.applications")
	f("no dead letters", without(kmsg.ACLResourceTypeTopic, "t.applications.dlq", kmsg.ACLOperationRead), "needs READ on topic t.applications.dlq")
}
