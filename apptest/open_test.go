package apptest

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// hang opens a transaction on a topic's first partition and writes one record in it, as a
// producer does that then hangs. By its clock that was a minute ago.
func hang(t *testing.T, s servers, topic string) (end func(commit kgo.TransactionEndTry)) {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.kafka, ",")...), kgo.TransactionalID(topic+"-hangs"),
		kgo.TransactionTimeout(5*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.NoError(t, client.BeginTransaction())
	record := &kgo.Record{Topic: topic, Value: []byte("x"), Timestamp: time.Now().Add(-time.Minute)}
	require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	return func(commit kgo.TransactionEndTry) {
		require.NoError(t, client.EndTransaction(context.WithoutCancel(t.Context()), commit))
	}
}

func TestVerify_EndsWithACodeOfItsOwnWhereNotAllIsJudged(t *testing.T) {
	long(t)
	t.Parallel()
	s := embedded(t)
	with := func(args ...string) []string { return append(args, "--brokers", s.kafka, "--prefix", "o") }
	run(t, with("topics", "apply")...)
	w := watch(t, s, "o")
	service(t, "scorer", with("score", "--model", "shipped", "--group", "g")...)
	produced := 0
	produce := func(n int) {
		run(t, with("produce", "--rate", "0", "--count", fmt.Sprint(n))...)
		produced += n
	}
	judge := func(args ...string) (code int, text string) {
		a := start(t, "verify", with(append([]string{"verify", "--group", "g"}, args...)...)...)
		<-a.ended
		return a.cmd.ProcessState.ExitCode(), string(a.stdout.bytes())
	}
	produce(100)
	until(t, time.Minute, "all are answered", func() bool { return w.answered() == produced })
	end := hang(t, s, "o.applications")
	produce(100)
	code, text := judge()
	require.Equal(t, 3, code)
	require.Regexp(t, `NOT JUDGED: \d+ records? behind an open transaction on o\.applications/0 since \d`, text)
	require.NotContains(t, text, "exactly once")
	var open struct {
		Open []struct {
			Topic     string
			Partition int
			Records   int
			Since     time.Time
		} `json:"open_transactions"`
	}
	a := start(t, "verify", with("verify", "--group", "g", "--json")...)
	<-a.ended
	a.answer(&open)
	require.Len(t, open.Open, 1)
	require.Equal(t, "o.applications", open.Open[0].Topic)
	require.Greater(t, open.Open[0].Records, 1)
	require.False(t, open.Open[0].Since.IsZero())

	end(kgo.TryAbort)
	until(t, time.Minute, "what was behind it is answered", func() bool { return w.answered() == produced })
	until(t, time.Minute, "and committed", func() bool { code, text = judge(); return code == 0 })
	require.Contains(t, text, "exactly once")

	offsets := kadm.Offsets{}
	offsets.AddOffset("o.applications", 1, 1, -1)
	_, err := kadm.NewClient(newClient(t, s)).DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	code, text = judge()
	require.Equal(t, 3, code)
	require.Contains(t, text, "cannot be judged any more: 1 ")
	require.NotContains(t, text, "exactly once")
	code, text = judge("--allow-unjudgeable")
	require.Zero(t, code)
	require.NotContains(t, text, "exactly once")
}

func TestAnOpenTransaction_IsSeenFromEverywhere(t *testing.T) {
	long(t)
	t.Parallel()
	seenFromEverywhere(newStage(t, embedded(t)))
}

// seenFromEverywhere has a producer hang in a transaction on applications, and looks
// whether whoever asks hears of it, and of its end.
func seenFromEverywhere(g *stage) {
	t := g.t
	one := g.scorer("one").ready()
	g.emitTo(20, 0, 1, 2, 3)
	g.exact()
	end := hang(t, g.servers, g.prefix+".applications")
	g.emitTo(30, 0, 1, 2, 3)
	until(t, time.Minute, "the others go on", func() bool { return g.witness.answered() == g.emitted-30 })
	said := "31 records behind an open transaction on " + g.prefix + ".applications/0 since "
	until(t, time.Minute, "readyz says it", func() bool {
		status, text := shownBy(one.listen, "/readyz")
		require.Equal(t, http.StatusOK, status, "the others are answered: %s", text)
		return strings.Contains(text, said)
	})
	one.says(regexp.MustCompile("records wait behind an open transaction .*partition=0"))
	require.True(t, one.measures(`creditstream_open_transaction_records\{component="score",partition="0",topic="[^"]*"\} 31`))
	require.True(t, one.measures(`creditstream_open_transaction_records\{component="score",partition="1",topic="[^"]*"\} 0`))
	require.True(t, one.measures(`creditstream_scorer_lag\{partition="0"\} 0`), "it is no lag")
	until(t, time.Minute, "replicas says it", func() bool {
		return strings.Contains(string(run(t, g.with("replicas")...).stdout.bytes()), said)
	})
	judge := start(t, "verify", g.with("verify", "--group", g.prefix)...)
	<-judge.ended
	require.Equal(t, 3, judge.cmd.ProcessState.ExitCode())
	require.Contains(t, string(judge.stdout.bytes()), said)

	unknown := start(t, "explain", g.with("explain", "nobody")...)
	<-unknown.ended
	require.Contains(t, string(unknown.stderr.bytes()), "behind an open transaction")

	end(kgo.TryAbort)
	g.exact()
	until(t, time.Minute, "nobody says it any more", func() bool {
		_, text := shownBy(one.listen, "/readyz")
		return !strings.Contains(text, "open transaction") &&
			!strings.Contains(string(run(t, g.with("replicas")...).stdout.bytes()), "open transaction")
	})
	one.says(regexp.MustCompile("the open transaction has ended"))
	require.True(t, one.measures(`creditstream_open_transaction_records\{component="score",partition="0",topic="[^"]*"\} 0`))
	require.True(t, one.measures(`creditstream_open_transaction_seconds\{component="score",partition="0",topic="[^"]*"\} 0`))
	one.terminate()
}

// What routes and models hold behind a transaction that hangs nobody can see: the commands
// say so, and none writes on top of it. Nor do those that look at other topics keep silent.
func TestCommands_SayWhatLiesBehindAnOpenTransaction(t *testing.T) {
	s := embedded(t)
	with := func(args ...string) []string { return append(args, "--brokers", s.kafka, "--prefix", "o") }
	run(t, with("topics", "apply")...)
	asked := func(args ...string) (code int, text string) {
		a := start(t, strings.Join(args, " "), with(args...)...)
		<-a.ended
		return a.cmd.ProcessState.ExitCode(), string(a.stderr.bytes())
	}
	for _, topic := range []string{"models", "routes", "predictions", "replicas", "drift.status"} {
		hang(t, s, "o."+topic)
	}
	says := func(topic string, want int, args ...string) {
		t.Helper()
		code, text := asked(args...)
		require.Equal(t, want, code, text)
		require.Regexp(t, `behind an open transaction.*o\.`+regexp.QuoteMeta(topic), text)
	}
	says("routes", 0, "model", "history")
	says("models", 0, "model", "list")
	says("routes", 1, "model", "route", "--champion", "v1", "--why", "try")
	says("routes", 1, "model", "rollback", "--expect", "0", "--why", "try")
	says("predictions", 0, "drift", "current")
	says("predictions", 0, "tail", "--from", "start")
	says("replicas", 0, "replicas")
	says("drift.status", 1, "drift", "status")
}
