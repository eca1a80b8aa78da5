package apptest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// client is one program of examples/ as a command.
type client struct {
	name string
	argv []string
}

func (c client) start(t *testing.T, in io.Reader, args ...string) *app {
	cmd := exec.Command(c.argv[0], append(c.argv[1:len(c.argv):len(c.argv)], args...)...)
	cmd.Stdin = in
	return launch(t, c.name, cmd)
}

// run runs it to its end, which must be well.
func (c client) run(t *testing.T, in io.Reader, args ...string) *app {
	a := c.start(t, in, args...)
	a.wait(time.Minute)
	return a
}

// goExample builds a Go example.
func goExample(t *testing.T, name string) client {
	path := filepath.Join(t.TempDir(), name)
	out, err := exec.Command("go", "build", "-o", path, "../examples/go/"+name).CombinedOutput()
	require.NoError(t, err, string(out))
	return client{"go/" + name, []string{path}}
}

// ids are application_ids, one for each of the traps that a client's encoding or
// hash may have.
func ids(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, prefix+[]string{"A-%06d", "Žofie-%d", "信用-%d", "%d", "é/%d?&=", "🏦%03d"}[i%6])
		all[i] = fmt.Sprintf(all[i], i)
	}
	return all
}

// applicationLines are applications with these ids, as the examples read them.
func applicationLines(t *testing.T, ids []string) []byte {
	shipped, err := os.ReadFile("../examples/applications.jsonl")
	require.NoError(t, err)
	var samples []map[string]any
	for line := range bytes.Lines(shipped) {
		var one map[string]any
		require.NoError(t, json.Unmarshal(line, &one))
		samples = append(samples, one)
	}
	var lines bytes.Buffer
	for i, id := range ids {
		one := samples[i%len(samples)]
		one["application_id"] = id
		require.NoError(t, json.NewEncoder(&lines).Encode(one))
	}
	return lines.Bytes()
}

// applicationCSV are applications with these ids, as produce reads them.
func applicationCSV(t *testing.T, ids []string) string {
	path := filepath.Join(t.TempDir(), "applications.csv")
	text := "application_id,limit_bal,sex,education,marriage,age,pay_0,pay_2,pay_3,pay_4,pay_5,pay_6," +
		"bill_amt1,bill_amt2,bill_amt3,bill_amt4,bill_amt5,bill_amt6,pay_amt1,pay_amt2,pay_amt3,pay_amt4,pay_amt5,pay_amt6\n"
	for _, id := range ids {
		text += id + ",200000,2,2,1,34,0,0,-1,0,0,2,48210,47102,46001,45230,44990,43120,2000,1800,1700,1500,1600,1500\n"
	}
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// placed is the partition of every key in a topic: an error when a key is in two.
type placed map[string]int32

// placement reads a topic of 12 partitions that holds so many records.
func placement(t *testing.T, s servers, topic string, records int) placed {
	at := placed{}
	eachRecord(t, s, topic, records, func(r *kgo.Record) {
		if before, ok := at[string(r.Key)]; ok {
			require.Equal(t, before, r.Partition, "%s in %s", r.Key, topic)
		}
		at[string(r.Key)] = r.Partition
	})
	return at
}

// eachRecord reads the first so many committed records of a topic.
func eachRecord(t *testing.T, s servers, topic string, records int, see func(*kgo.Record)) {
	consumer, err := kgo.NewClient(kgo.SeedBrokers(s.kafka), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	require.NoError(t, err)
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for seen := 0; seen < records; {
		fetches := consumer.PollFetches(ctx)
		require.NoError(t, fetches.Err(), "%d of %d records of %s were read", seen, records, topic)
		fetches.EachRecord(func(r *kgo.Record) {
			seen++
			see(r)
		})
	}
}

// spread says whether keys are dealt out at all.
func (p placed) spread() bool {
	partitions := map[int32]bool{}
	for _, partition := range p {
		partitions[partition] = true
	}
	return len(partitions) == 12
}

// onePartition has every client write the same ids to the same topic.
func onePartition(t *testing.T, emitters ...client) {
	s := embedded(t)
	common := []string{"--brokers", s.kafka, "--prefix", "x"}
	run(t, append([]string{"topics", "apply"}, common...)...)
	all := ids("", 200)
	written := 0
	for _, e := range emitters {
		e.run(t, bytes.NewReader(applicationLines(t, all)), "--brokers", s.kafka, "--topic", "x.applications")
		written += len(all)
		at := placement(t, s, "x.applications", written)
		require.Len(t, at, len(all), e.name)
		require.True(t, at.spread())
	}
	run(t, append([]string{"produce", "--rate", "0", "--file", applicationCSV(t, all)}, common...)...)
	written += len(all)
	require.Len(t, placement(t, s, "x.applications", written), len(all), "creditstream produce")

	franz, err := kgo.NewClient(kgo.SeedBrokers(s.kafka), kgo.DefaultProduceTopic("x.applications"))
	require.NoError(t, err)
	defer franz.Close()
	for _, id := range all {
		require.NoError(t, franz.ProduceSync(t.Context(), &kgo.Record{Key: []byte(id), Value: []byte("{}")}).FirstErr())
	}
	written += len(all)
	require.Len(t, placement(t, s, "x.applications", written), len(all), "franz-go")

	// Decisions are where their applications are.
	service(t, "scorer", append([]string{"score", "--model", "shipped"}, common...)...)
	decided := placement(t, s, "x.predictions", written-len(all))
	require.Equal(t, placement(t, s, "x.applications", written), decided)
}

func TestOneIDIsInOnePartitionWhoeverWritesIt(t *testing.T) {
	long(t)
	t.Parallel()
	onePartition(t, goExample(t, "emit"))
}

// What the test above tells apart: a client that was not told to use murmur2.
func TestAnotherHashIsAnotherPartition(t *testing.T) {
	long(t)
	t.Parallel()
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka, "--prefix", "x")
	goExample(t, "emit").run(t, bytes.NewReader(applicationLines(t, ids("", 200))), "--brokers", s.kafka, "--topic", "x.applications")
	told := placement(t, s, "x.applications", 200)
	w := &kafka.Writer{Addr: kafka.TCP(s.kafka), Topic: "x.outcomes", Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll, BatchTimeout: time.Millisecond}
	for id := range told {
		require.NoError(t, w.WriteMessages(t.Context(), kafka.Message{Key: []byte(id)}))
	}
	require.NoError(t, w.Close())
	require.NotEqual(t, told, placement(t, s, "x.outcomes", 200))
}

// kept is what a reader kept of a stream's decisions, by application_id.
type kept map[string]string

// emittedIsRead has every emitter write applications and every reader read the
// decisions, each reader twice.
func emittedIsRead(t *testing.T, emitters []client, readers []reader) {
	s := embedded(t)
	common := []string{"--brokers", s.kafka, "--prefix", "x"}
	run(t, append([]string{"topics", "apply"}, common...)...)
	service(t, "scorer", append([]string{"score", "--model", "shipped"}, common...)...).ready()
	want := map[string]bool{}
	for _, e := range emitters {
		names := ids(e.name+" ", 60)
		a := e.run(t, bytes.NewReader(applicationLines(t, names)), "--brokers", s.kafka, "--topic", "x.applications")
		require.Equal(t, 60, bytes.Count(a.stdout.bytes(), []byte("\n")), "a line for each that was acknowledged")
		for _, id := range names {
			want[id] = true
		}
	}
	for _, r := range readers {
		out := filepath.Join(t.TempDir(), "decisions")
		args := []string{"--brokers", s.kafka, "--topic", "x.predictions", "--out", out, "--count", fmt.Sprint(len(want))}
		r.run(t, nil, args...)
		first := r.decisions(t, out)
		require.Len(t, first, len(want))
		for id := range want {
			require.Contains(t, []string{"approve", "refer", "decline"}, first[id], id)
		}
		// Another group reads everything once more into the same store.
		again := r.start(t, nil, append(args[:len(args)-1:len(args)-1], fmt.Sprint(len(want)+1), "--group", r.name)...)
		until(t, time.Minute, "the second group is at the end", func() bool { return through(t, s, r.name, "x.predictions", len(want)) })
		again.terminate()
		require.Equal(t, first, r.decisions(t, out))
	}
}

// reader is an example that keeps decisions, and how to look at what it kept.
type reader struct {
	client
	decisions func(t *testing.T, path string) kept
}

func goReader(t *testing.T) reader {
	return reader{goExample(t, "read"), func(t *testing.T, path string) kept {
		f, err := os.Open(path)
		require.NoError(t, err)
		defer func() { _ = f.Close() }()
		all, keys := kept{}, map[string]bool{}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var one struct {
				Key      string `json:"key"`
				ID       string `json:"application_id"`
				Decision string `json:"decision"`
			}
			require.NoError(t, json.Unmarshal(lines.Bytes(), &one))
			require.True(t, strings.HasPrefix(one.Key, "x.applications/"), one.Key)
			require.False(t, keys[one.Key], "%s is kept twice", one.Key)
			keys[one.Key], all[one.ID] = true, one.Decision
		}
		return all
	}}
}

// through says whether a group has committed every record of a topic that holds
// so many.
func through(t *testing.T, s servers, group, topic string, records int) bool {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka))
	require.NoError(t, err)
	defer client.Close()
	committed, err := kadm.NewClient(client).FetchOffsets(t.Context(), group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return false
	}
	require.NoError(t, err)
	for partition, last := range lastOffsets(t, s, topic, records) {
		if o, ok := committed.Lookup(topic, partition); !ok || o.At <= last {
			return false
		}
	}
	return true
}

// lastOffsets are those of each partition's last record: behind it is a
// transaction's marker, which need not be committed.
func lastOffsets(t *testing.T, s servers, topic string, records int) map[int32]int64 {
	last := map[int32]int64{}
	eachRecord(t, s, topic, records, func(r *kgo.Record) { last[r.Partition] = r.Offset })
	return last
}

func TestWhatTheGoExampleEmitsTheGoExampleReads(t *testing.T) {
	long(t)
	t.Parallel()
	emittedIsRead(t, []client{goExample(t, "emit")}, []reader{goReader(t)})
}

func TestTheGoExamplesSayWhatIsWrong(t *testing.T) {
	long(t)
	t.Parallel()
	s := embedded(t)
	f := func(c client, in, want string, args ...string) {
		t.Helper()
		a := c.start(t, strings.NewReader(in), args...)
		<-a.ended
		require.Equal(t, 1, a.cmd.ProcessState.ExitCode())
		require.Contains(t, string(a.stderr.bytes()), want)
	}
	emit, read := goExample(t, "emit"), goExample(t, "read")
	good := string(applicationLines(t, []string{"good"}))
	there := []string{"--brokers", s.kafka}
	f(emit, good, "connection refused", "--brokers", freeAddress(t))
	f(emit, good, "Unknown Topic", there...)
	f(emit, `{"application_id": "x", "features": {"limit_bal": 1}}`, "line 1: application x: feature sex is absent", there...)
	f(emit, strings.Replace(good, `"good"`, `""`, 1), `application_id "": expected 1 to 128 bytes`, there...)
	f(emit, strings.Replace(good, `"age"`, `"agee":1,"age"`, 1), "has 24 features, expected 23", there...)
	f(emit, "{", "line 1: unexpected EOF", there...)
	f(read, "", "connection refused", "--brokers", freeAddress(t), "--out", filepath.Join(t.TempDir(), "out"))
	f(read, "", "topic credit.predictions: UNKNOWN_TOPIC", append(there, "--out", filepath.Join(t.TempDir(), "out"))...)
	other := filepath.Join(t.TempDir(), "out")
	require.NoError(t, os.WriteFile(other, []byte("{}\n"), 0o600))
	f(read, "", "not a line that this program wrote", append(there, "--out", other)...)
}

// Lines before a wrong one are emitted, and a signal ends a wait for more.
func TestTheGoEmitterFinishesWhatItBegan(t *testing.T) {
	long(t)
	t.Parallel()
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka, "--prefix", "x")
	emit := goExample(t, "emit")
	args := []string{"--brokers", s.kafka, "--topic", "x.applications"}
	a := emit.start(t, bytes.NewReader(append(applicationLines(t, []string{"one", "two"}), "{}\n"...)), args...)
	<-a.ended
	require.Equal(t, 1, a.cmd.ProcessState.ExitCode())
	require.Contains(t, string(a.stderr.bytes()), "emitted 2 applications")

	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	a = emit.start(t, in, args...)
	_, err := out.Write(applicationLines(t, []string{"three"}))
	require.NoError(t, err)
	until(t, time.Minute, "three is acknowledged", func() bool { return bytes.HasPrefix(a.stdout.bytes(), []byte("three\t")) })
	require.NoError(t, a.cmd.Process.Signal(os.Interrupt))
	require.NoError(t, out.Close())
	a.wait(time.Minute)
	require.Contains(t, string(a.stderr.bytes()), "emitted 1 applications")
}

// A process that dies while it writes a line leaves half of it.
func TestTheGoReaderCutsOffHalfALine(t *testing.T) {
	long(t)
	t.Parallel()
	s := embedded(t)
	common := []string{"--brokers", s.kafka, "--prefix", "x"}
	run(t, append([]string{"topics", "apply"}, common...)...)
	service(t, "scorer", append([]string{"score", "--model", "shipped"}, common...)...).ready()
	goExample(t, "emit").run(t, bytes.NewReader(applicationLines(t, ids("", 30))), "--brokers", s.kafka, "--topic", "x.applications")
	read, out := goReader(t), filepath.Join(t.TempDir(), "decisions")
	args := []string{"--brokers", s.kafka, "--topic", "x.predictions", "--out", out, "--count", "30", "--group"}
	read.run(t, nil, append(args, "first")...)
	whole, err := os.ReadFile(out)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(out, whole[:len(whole)-7], 0o600))
	require.Equal(t, 29, bytes.Count(whole[:len(whole)-7], []byte("\n")))
	read.run(t, nil, append(args, "second")...)
	require.Len(t, read.decisions(t, out), 30)
}

// docs/decisions/0001: kafka-go says read committed and hands out what was
// aborted. Should this fail one day, the decision can be taken again.
func TestKafkaGoHandsOutAbortedRecords(t *testing.T) {
	long(t)
	t.Parallel()
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka, "--prefix", "x")
	const topic, partition = "x.predictions", 3
	transactional, err := kgo.NewClient(kgo.SeedBrokers(s.kafka), kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer transactional.Close()
	for _, how := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		require.NoError(t, transactional.BeginTransaction())
		for range 10 {
			value := map[kgo.TransactionEndTry]string{kgo.TryCommit: "committed", kgo.TryAbort: "aborted"}[how]
			require.NoError(t, transactional.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}).FirstErr())
		}
		require.NoError(t, transactional.EndTransaction(t.Context(), how))
	}
	const end = 33 // three markers among them

	read := map[string]int{}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{s.kafka}, Topic: topic, Partition: partition, IsolationLevel: kafka.ReadCommitted, MaxWait: 10 * time.Millisecond})
	for offset := int64(-1); offset < end-2; {
		m, err := r.ReadMessage(t.Context())
		require.NoError(t, err)
		read[string(m.Value)]++
		offset = m.Offset
	}
	require.NoError(t, r.Close())
	require.Equal(t, 20, read["committed"])
	require.Equal(t, 10, read["aborted"])

	config := sarama.NewConfig()
	config.Version, config.Consumer.IsolationLevel = sarama.V2_8_0_0, sarama.ReadCommitted
	judge, err := sarama.NewConsumer([]string{s.kafka}, config)
	require.NoError(t, err)
	messages, err := judge.ConsumePartition(topic, partition, sarama.OffsetOldest)
	require.NoError(t, err)
	clear(read)
	for offset := int64(-1); offset < end-2; {
		m := <-messages.Messages()
		read[string(m.Value)]++
		offset = m.Offset
	}
	require.NoError(t, errors.Join(messages.Close(), judge.Close()))
	require.Equal(t, map[string]int{"committed": 20}, read)
}
