package cli

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumbers_AreDecimal(t *testing.T) {
	path := settingsFile(t, "produce:\n  start: 0000001000\n  scenario-after: 010\n")
	t.Setenv("CREDITSTREAM_PRODUCE_SEED", "0017")
	c := configOf(t, "--config", path, "produce", "--count", "0000000090", "--rate", "010.5")
	require.Equal(t, "1000", c["start"].Value)
	require.Equal(t, "10", c["scenario-after"].Value)
	require.Equal(t, "17", c["seed"].Value)
	require.Equal(t, "90", c["count"].Value)
	require.Equal(t, "10.5", c["rate"].Value)
	require.Equal(t, "8", configOf(t, "score", "--sessions", "008")["sessions"].Value)
	require.Equal(t, "9m0s", configOf(t, "view", "--ttl", "09m")["ttl"].Value)
	for _, wrong := range []string{"--start=0x10", "--start=0b1", "--start=1_000", "--start=1e3", "--rate=0x1p4", "--rate=NaN", "--rate=Inf", "--start=99999999999999999999"} {
		code, _, errs := creditstream(t, "produce", wrong)
		require.Equal(t, 2, code, wrong)
		flag, value, _ := strings.Cut(wrong, "=")
		require.Contains(t, errs, flag+`: "`+value+`"`)
	}
}

// A misspelt value, flag, command or key is answered with what was meant, in words that
// are not Go's, and with exit code 2.
func TestUsage_IsExplained(t *testing.T) {
	goWords := regexp.MustCompile(`\b(string|int64|uint64|int|uint|bool|float32|float64|EOL|strconv|kong)\b|\*main\.`)
	f := func(want string, args ...string) {
		t.Helper()
		code, out, errs := creditstream(t, args...)
		require.Equal(t, 2, code, "%v: %s", args, errs)
		require.Empty(t, out)
		require.Contains(t, errs, want)
		require.NotRegexp(t, goWords, errs)
	}
	file := func(text string) string { return settingsFile(t, text) }
	f("--engine onx: expected auto, native or onnx; did you mean onnx?", "score", "--engine", "onx")
	f("--class contracts: expected decode, contract, too-large, permanent, unknown or foreign; did you mean contract?", "dlq", "list", "--class", "contracts")
	f("--scenario recesion: expected steady, recession, new-segment or broken-feed; did you mean recession?", "produce", "--scenario", "recesion")
	f("did you mean recession?", "demo", "--scenario", "recesion")
	f("--decision aprove: expected approve, refer or decline; did you mean approve?", "tail", "--decision", "aprove")
	f("--channel web: expected stream or api", "tail", "--channel", "web")
	f("--of kanary: expected canary or shadow; did you mean canary?", "model", "judge", "--of", "kanary")
	f("run vew: expected score, view, api or drift; did you mean view?", "run", "vew")
	f("line 1: prodce.start is not a setting; did you mean produce.start?", "--config", file("prodce: {start: 1}\n"), "version")
	f("line 1: brokres is not a setting; did you mean brokers?", "--config", file("brokres: a:1\n"), "version")
	f("line 1: group is a command's own: set ", "--config", file("group: a\n"), "version")
	f("line 1: dlq.replay.yes is not a setting: say --yes where it is meant", "--config", file("dlq: {replay: {yes: true}}\n"), "version")
	f("line 2: a second YAML document begins; expected one", "--config", file("brokers: a:1\n---\nprefix: b\n"), "version")
	f("(file ", "--config", file("score: {sessions: many}\n"), "score")
	f("--group: expected a value", "score", "--group")
	f("--brokers: expected a value", "score", "--brokers")
	f("--group: expected a value, found --static; a value that begins with a dash is written --group=--static", "score", "--group", "--static")
	f(`--static: "maybe": expected true or false`, "score", "--static=maybe")
	f(`--ttl: "5": expected a duration with its unit, as 90s, 5m or 24h`, "view", "--ttl", "5")
	f(`--sessions: "many": expected a whole number`, "score", "--sessions", "many")
	f("--sessions 0: expected 1 … 64", "score", "--sessions", "0")
	f("which?", "dlq", "replay")
	f("letter ", "dlq", "replay", "x/y")
	f("--from ", "dlq", "list", "--from", "noon")
	f("--from ", "tail", "--from", "noon")
	f("--from ", "score", "--from", "noon")
	f("--from ", "verify", "--from", "noon")
	f("--from ", "model", "judge", "--from", "noon")
	f("--from is needed", "dataset", "export", "--out", "x")
	f("--windows", "drift", "run", "--windows", "often")
	f("--bucket", "drift", "run", "--bucket", "1ms")
	f("--alert-webhook", "drift", "run", "--alert-webhook", "127.0.0.1")
	f("--rate-limit", "api", "--rate-limit=-1")
	f("malformed 2: must be a share 0 … 1", "produce", "--malformed", "2")
	f("--last 0", "drift", "current", "--last", "0")
	f("--timeout 0s", "health", "--timeout", "0s", "http://127.0.0.1:1/")
	f("--exit needs --decisions", "demo", "--exit")
	f("--source", "explain", "--source", "x", "A-1")
	f(`"nope" is not a command`, "config", "nope")
	f("--partitions 0", "topics", "apply", "--partitions", "0")
	f("--principal", "topics", "acls", "--principal", "nobody")

	t.Setenv("CREDITSTREAM_SCORE_SESSIONS", "many")
	f("(environment CREDITSTREAM_SCORE_SESSIONS)", "score")
	t.Setenv("CREDITSTREAM_ENGINE", "onx")
	f("--engine onx: expected auto, native or onnx; did you mean onnx? (environment CREDITSTREAM_ENGINE)", "api")
}

func TestAddresses_AreCheckedBeforeAnythingStarts(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, _, errs := creditstream(t, args...)
		require.Equal(t, 2, code, "%v: %s", args, errs)
		require.Contains(t, errs, want)
		require.NotContains(t, errs, "pa55")
	}
	for _, wrong := range []string{"kafka", "kafka:", ":9092", "kafka:0", "kafka:99999", "kafka:x", "a b:1", ",kafka:9092", "http://kafka:9092", "u:pa55@kafka:9092"} {
		for _, command := range [][]string{{"score"}, {"produce"}, {"topics", "list"}, {"verify"}, {"tail"}, {"model", "list"}} {
			f("--brokers", append(command, "--brokers", wrong)...)
		}
	}
	for _, wrong := range []string{"127.0.0.1", "127.0.0.1:99999", "http://127.0.0.1:80", "9100", "a:-1"} {
		f("--listen", "view", "--listen", wrong)
		f("--listen", "run", "score", "--listen", wrong)
		f("--api-listen", "api", "--api-listen", wrong)
		f("--api-listen", "demo", "--api-listen", wrong)
	}
	for _, wrong := range []string{"127.0.0.1:8081", "ftp://a:1", "http://", "http://a:99999", "http://u:pa55@a:1", "u:pa55@a:1", "http://a:1?key=pa55"} {
		for _, command := range []string{"score", "view", "api", "produce", "tail", "verify", "demo"} {
			f("--schema-registry", command, "--schema-registry", wrong)
		}
	}
}

func TestConfig_MasksPasswordsInURLs(t *testing.T) {
	t.Setenv("CREDITSTREAM_ALERT_WEBHOOK", "http://user:pa55@host:1")
	c := configOf(t, "drift", "run")
	require.Equal(t, "http://user:********@host:1", c["alert-webhook"].Value)
	_, out, _ := creditstream(t, "config")
	require.NotContains(t, out, "pa55")
	require.Contains(t, out, "CREDITSTREAM_ALERT_WEBHOOK")
}

func TestHelp_SaysNothingWhenNobodyReadsOn(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"score", "--help"}, {"config"}, {"version"}} {
		var errs bytes.Buffer
		code := Run(t.Context(), args, strings.NewReader(""), brokenPipe{}, &errs)
		require.Equal(t, 1, code)
		require.Empty(t, errs.String(), args)
	}
	var errs bytes.Buffer
	code := Run(t.Context(), []string{"--help"}, strings.NewReader(""), fullDisk{}, &errs)
	require.Equal(t, 1, code)
	require.Contains(t, errs.String(), "no space left on device")
	require.NotContains(t, errs.String(), "Try:")
}

type (
	brokenPipe struct{}
	fullDisk   struct{}
)

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.Join(io.ErrClosedPipe, syscall.EPIPE) }
func (fullDisk) Write([]byte) (int, error)   { return 0, syscall.ENOSPC }

func TestPprof_NeedsAListener(t *testing.T) {
	for _, command := range []string{"produce --count 1", "view --rebuild", "score --tls --tls-ca /no/such/file", "config score"} {
		code, _, errs := creditstream(t, append(strings.Fields(command), "--brokers", "127.0.0.1:1", "--pprof")...)
		require.Equal(t, exitUsage, code, errs)
		require.Contains(t, errs, "--pprof needs --listen", command)
	}
}
