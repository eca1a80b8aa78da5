package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/local"
)

// produced runs `produce` with the flags and returns what it printed.
func produced(ctx context.Context, t *testing.T, flags ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	code = Run(ctx, append([]string{"produce"}, flags...), strings.NewReader(""), &out, &log)
	return code, out.String(), log.String()
}

// brokerWithTopics is an embedded broker after `topics apply`.
func brokerWithTopics(t *testing.T) string {
	t.Helper()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	var out bytes.Buffer
	require.Zero(t, Run(t.Context(), []string{"topics", "apply", "--brokers", broker.Addr()}, strings.NewReader(""), &out, &out), out.String())
	return broker.Addr()
}

func TestProduceSaysWhatARunCameTo(t *testing.T) {
	addr := brokerWithTopics(t)
	code, stdout, stderr := produced(t.Context(), t, "--brokers", addr, "--count", "300", "--rate", "0", "--malformed", "0.02")
	require.Zero(t, code, stderr)
	require.Regexp(t, `^300 applications in \d+\.\d s \([\d,]+/s\)\n6 malformed records: 1 not-json 1 missing-field 1 out-of-range 1 wrong-type 1 duplicate-key 1 too-large\n$`, stdout)
	require.Contains(t, stderr, "drawing a new population")

	code, stdout, stderr = produced(t.Context(), t, "--brokers", addr, "--count", "300", "--rate", "0", "--seed", "7", "--start", "50", "--json")
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	var s map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &s))
	for key, want := range map[string]any{"produced": 300.0, "unacknowledged": 0.0, "malformed_total": 0.0, "outcomes": 0.0, "outcomes_dropped": 0.0, "seed": 7.0, "next_start": 350.0, "interrupted": false} {
		require.Equal(t, want, s[key], key)
	}
	require.Contains(t, s, "seconds")
	require.Contains(t, s, "rate")
	require.Len(t, s["malformed"], 6)
}

// What ends it at once is said once: nothing else is missing meanwhile.
func TestProduce_SaysOnceThatATopicIsMissing(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	code, out, errs := produced(t.Context(), t, "--brokers", broker.Addr(), "--count", "1", "--seed", "7")
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Equal(t, 1, strings.Count(errs, "\n"), errs)
	require.Contains(t, errs, "creditstream: the cluster has no topic credit.applications;")
}

func TestProduceInterruptedSaysHowToGoOn(t *testing.T) {
	addr := brokerWithTopics(t)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	code, stdout, stderr := produced(stopped, t, "--brokers", addr, "--seed", "7", "--start", "50")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "go on with: --seed 7 --start 50\n")
}

func TestProduceRefusesInOneSentence(t *testing.T) {
	f := func(code int, want string, flags ...string) {
		t.Helper()
		got, stdout, stderr := produced(t.Context(), t, flags...)
		require.Equal(t, code, got, stderr)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "creditstream: "+want)
	}
	path := filepath.Join(t.TempDir(), "rows.csv")
	require.NoError(t, os.WriteFile(path, []byte("ID,LIMIT_BAL\n"), 0o600))
	f(1, path+" line 1: column SEX, EDUCATION", "--file", path)
	f(1, "open "+path+".gone: no such file", "--file", path+".gone")
	f(2, "--file and --population can't be used together", "--file", path, "--population")
	f(2, "loop needs a file", "--loop")
	f(2, "--scenario flood: expected steady, recession, new-segment or broken-feed", "--scenario", "flood")
	f(2, "rate -1: must be", "--rate=-1")
	f(2, `--rate: "fast": expected a number`, "--rate", "fast")
	f(2, "malformed 2: must be a share", "--malformed", "2")
	f(2, "--outcomes-for some: expected approved or all", "--outcomes-for", "some")
	f(2, "--outcomes-for all tells none: set --outcomes-after too", "--outcomes-for", "all")
	f(2, `--outcomes-after: "5": expected a duration`, "--outcomes-after", "5")
	f(2, "--id-prefix: must not be empty", "--id-prefix", "")
	f(2, `id prefix "a\tb": must be`, "--id-prefix", "a\tb")
	f(2, "unexpected argument extra", "extra")
}
