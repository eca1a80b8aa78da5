package apptest

import (
	"context"
	"fmt"
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
