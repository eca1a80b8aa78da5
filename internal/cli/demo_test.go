package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/demo"
	"github.com/creditstream/creditstream/internal/local"
)

func demoRun(t *testing.T, args ...string) demo.Result {
	t.Helper()
	code, out, errs := creditstream(t, append([]string{"demo", "--exit", "--json", "--rate", "0", "--api-listen", "127.0.0.1:0"}, args...)...)
	require.Zero(t, code, errs)
	require.Equal(t, 1, strings.Count(out, "\n"), "one line")
	var r demo.Result
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Zero(t, r.Lost+r.Duplicated+r.Altered+r.Unjudgeable)
	require.Equal(t, r.Applications, r.Decisions+r.DeadLetters)
	return r
}

func TestADemoDecidesAndJudgesItself(t *testing.T) {
	t.Parallel()
	r := demoRun(t, "--decisions", "3000")
	require.EqualValues(t, 3000, r.Decisions)
	require.Positive(t, r.FirstDecision)
	require.Positive(t, r.P50)
	require.GreaterOrEqual(t, r.P99, r.P50)
}

func TestADemoGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	demoRun(t, "--data-dir", dir, "--decisions", "500")
	// The broken feed's malformed records are dead letters, and both runs are judged.
	r := demoRun(t, "--data-dir", dir, "--decisions", "4000", "--scenario", "broken-feed")
	require.Greater(t, r.Applications, int64(4500))
	require.Positive(t, r.DeadLetters)
}

func TestADataDirIsOneDemosAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int, 1)
	var out, errs bytes.Buffer
	ready := notifying{w: &errs, want: "API docs", seen: make(chan struct{})}
	go func() {
		done <- Run(ctx, []string{"demo", "--data-dir", dir, "--in-process", "--api-listen", "127.0.0.1:0"}, strings.NewReader(""), &out, &ready)
	}()
	<-ready.seen
	code, _, second := creditstream(t, "demo", "--data-dir", dir, "--decisions", "1", "--exit")
	require.Equal(t, 1, code)
	require.Contains(t, second, dir)
	stop()
	require.Zero(t, <-done)
}

// notifying closes seen once a text was written.
type notifying struct {
	w    *bytes.Buffer
	want string
	seen chan struct{}
	done bool
}

func (n *notifying) Write(b []byte) (int, error) {
	if !n.done && strings.Contains(string(b), n.want) {
		n.done = true
		close(n.seen)
	}
	return n.w.Write(b)
}

func TestDemoRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	f := func(want string, args ...string) {
		t.Helper()
		code, _, errs := creditstream(t, append([]string{"demo"}, args...)...)
		require.NotZero(t, code)
		require.Contains(t, errs, want)
	}
	f("--decisions", "--exit")
	f("--exit", "--json")
	f("nowhere", "--scenario", "nowhere")
	f("rate", "--rate", "-1")
	f("--api-listen", "--api-listen", "nowhere")
	f("loopback", "--api-listen", ":8000")
}

// A record of somebody else on predictions ends neither the view nor the aggregator
// nor the judge, and so no demo.
func TestForeignRecord_EndsNoDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	demoRun(t, "--data-dir", dir, "--decisions", "200")
	broker, err := local.StartKafka(dir)
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
	require.NoError(t, err)
	for _, topic := range []string{"credit.predictions", "credit.outcomes", "credit.applications"} {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte{0, 0, 0, 0, 1, 2, 3}}).FirstErr())
	}
	client.Close()
	broker.Close()
	r := demoRun(t, "--data-dir", dir, "--decisions", "200")
	require.EqualValues(t, 400, r.Decisions)
	require.EqualValues(t, 1, r.DeadLetters)
}

// A full disk is named, with its folder, not as the broker's UNKNOWN_SERVER_ERROR.
func TestDemo_SaysThatTheDiskIsFull(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	dir := t.TempDir()
	for partition := range 4 {
		logs := filepath.Join(dir, "partitions", fmt.Sprintf("credit.applications-%d", partition))
		require.NoError(t, os.MkdirAll(logs, 0o755))
		require.NoError(t, os.Symlink("/dev/full", filepath.Join(logs, "0.dat")))
	}
	code, out, errs := creditstream(t, "demo", "--decisions", "100", "--exit", "--data-dir", dir)
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Contains(t, errs, "creditstream: the embedded Kafka cannot write to "+dir+": no space left on device; free some space, or name another folder with --data-dir\n")
}
