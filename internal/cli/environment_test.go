package cli

import (
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func commandLine(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := newParser(&grammar{}, newSettings(), io.Discard, io.Discard, func(int) {})
	require.NoError(t, err)
	return parser.Model
}

func TestVariables_AreOfOneMeaning(t *testing.T) {
	type meaning struct{ kind string }
	meanings := map[string]meaning{}
	owner := map[string]string{}
	for _, node := range nodes(commandLine(t)) {
		command := strings.Join(words(node), " ")
		for _, f := range node.Flags {
			for _, name := range f.Envs {
				require.NotRegexp(t, serviceLink, name, "a service of Kubernetes may set it")
				require.False(t, among(name, foreignVariables, "_"), "%s is a name of tests or examples", name)
				if !isShared(f.Name) {
					before, taken := owner[name]
					require.False(t, taken, "%s sets --%s of %s and a flag of %s", name, f.Name, command, before)
					require.NotContains(t, meanings, name)
					owner[name] = command
					continue
				}
				require.NotContains(t, owner, name)
				m := meaning{kind: f.Target.Type().String()}
				if before, ok := meanings[name]; ok {
					require.Equal(t, before.kind, m.kind, name)
				}
				meanings[name] = m
			}
		}
	}
	require.Greater(t, len(owner), 50)
}

func TestVariables_BelongToTheirCommand(t *testing.T) {
	t.Setenv("CREDITSTREAM_SCORE_GROUP", "a")
	t.Setenv("CREDITSTREAM_DRIFT_RUN_GROUP", "b")
	t.Setenv("CREDITSTREAM_PREFIX", "t")
	require.Equal(t, "a", configOf(t, "score")["group"].Value)
	require.Equal(t, "b", configOf(t, "drift", "run")["group"].Value)
	view := configOf(t, "view")
	require.NotContains(t, []string{"a", "b"}, view["group"].Value)
	require.Equal(t, "CREDITSTREAM_VIEW_GROUP", view["group"].Variable)
	require.Equal(t, "t", view["prefix"].Value)
	require.Equal(t, "CREDITSTREAM_PREFIX", view["prefix"].Variable)
	for _, name := range unsetFlags {
		for _, node := range nodes(commandLine(t)) {
			for _, f := range node.Flags {
				require.False(t, f.Name == name && len(f.Envs) > 0, "--%s of %s", name, node.Path())
			}
		}
	}
}

func TestVariables_OldOnesRefuseToStart(t *testing.T) {
	f := func(name string, args, want []string) {
		t.Helper()
		t.Setenv(name, "1")
		code, _, errs := creditstream(t, args...)
		require.Equal(t, 2, code)
		for _, w := range append(want, name+" is no longer read") {
			require.Contains(t, errs, w)
		}
		t.Setenv(name, "") // empty means unset
		code, _, errs = creditstream(t, "version")
		require.Zero(t, code)
		require.Empty(t, errs)
	}
	f("CREDITSTREAM_GROUP", []string{"score"}, []string{"set CREDITSTREAM_SCORE_GROUP for score\n"})
	f("CREDITSTREAM_GROUP", []string{"config", "score"}, []string{"CREDITSTREAM_SCORE_GROUP for score", "CREDITSTREAM_VIEW_GROUP for view"})
	f("CREDITSTREAM_LIMIT", []string{"tail"}, []string{"--limit has no variable"})
	f("CREDITSTREAM_FROM", []string{"version"}, []string{"--from has no variable"})
	f("CREDITSTREAM_YES", []string{"dlq", "replay", "--all"}, []string{"--yes has no variable"})
	f("CREDITSTREAM_JSON", []string{"replicas"}, []string{"--json has no variable"})
	f("CREDITSTREAM_EXPECT", []string{"model", "rollback"}, []string{"--expect has no variable"})
	// Once of run, today of view.
	f("CREDITSTREAM_VIEW_GROUP", []string{"run", "view"}, []string{"set CREDITSTREAM_RUN_VIEW_GROUP for run"})
	t.Setenv("CREDITSTREAM_VIEW_GROUP", "a")
	require.Equal(t, "a", configOf(t, "view")["group"].Value)
	code, _, errs := creditstream(t, "config", "run", "view")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "CREDITSTREAM_RUN_VIEW_GROUP")
}

func TestVariables_UnknownOnesAreNamed(t *testing.T) {
	for _, name := range []string{
		"CREDITSTREAM_PORT", "CREDITSTREAM_SERVICE_HOST", "CREDITSTREAM_SERVICE_PORT_HTTP", "CREDITSTREAM_PORT_8000_TCP",
		"CREDITSTREAM_PORT_8000_TCP_ADDR", "CREDITSTREAM_API_SERVICE_HOST", "CREDITSTREAM_API_PORT_8000_TCP_PROTO",
		"CREDITSTREAM_REDIS_PORT", "CREDITSTREAM_TEST_KAFKA", "CREDITSTREAM_CHAOS_SEED", "CREDITSTREAM_ONNXRUNTIME",
		"CREDITSTREAM_URL", "CREDITSTREAM_API_KEY", "CREDITSTREAM_BINARY", "CREDITSTREAM_BROKERS", "CREDITSTREAM_VIEW_TTL",
	} {
		t.Setenv(name, "127.0.0.1:1")
	}
	t.Setenv("CREDITSTREAM_NOTHING", "")
	code, _, errs := creditstream(t, "version")
	require.Zero(t, code)
	require.Empty(t, errs)
	t.Setenv("CREDITSTREAM_BROKER", "a:1")
	t.Setenv("CREDITSTREAM_SCORE_FROM", "start")
	code, _, errs = creditstream(t, "version")
	require.Zero(t, code)
	require.Equal(t, 2, strings.Count(errs, "environment variable ignored"), errs)
	require.Contains(t, errs, "variable=CREDITSTREAM_BROKER did_you_mean=CREDITSTREAM_BROKERS")
	require.Contains(t, errs, "variable=CREDITSTREAM_SCORE_FROM")
}

func TestVariables_EndsOfLinesAreNoPartOfThem(t *testing.T) {
	t.Setenv("CREDITSTREAM_BROKERS", "a:1, b:2\n")
	t.Setenv("CREDITSTREAM_REDIS", "c:3\r\n")
	t.Setenv("CREDITSTREAM_REDIS_INSECURE", "true\n")
	t.Setenv("CREDITSTREAM_VIEW_GROUP", "\n")
	c := configOf(t, "view")
	require.Equal(t, "a:1,b:2", c["brokers"].Value)
	require.Equal(t, "c:3", c["redis"].Value)
	require.Equal(t, originDefault, c["group"].Origin)
	require.Equal(t, "e:5", configOf(t, "score", "--brokers", " e:5 ")["brokers"].Value)
}

// update writes the page's table anew.
var update = flag.Bool("update", false, "write docs/configuration.md's tables anew")

func TestConfigurationPage_ListsEveryVariable(t *testing.T) {
	const page, begin, end = "../../docs/configuration.md", "<!-- variables -->\n", "<!-- end of variables -->\n"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want := before + begin + variableTables(commandLine(t)) + end + after
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644)) //nolint:gosec // a page that all may read
		return
	}
	require.Equal(t, want, string(text), "go test -run TestConfigurationPage ./internal/cli -update writes it again")
}

// variableTables are the shared flags with the commands that have them, and the
// commands with the flags of their own.
func variableTables(app *kong.Application) string {
	all := nodes(app)
	var names []string
	users, variables := map[string][]string{}, map[string]string{}
	var own strings.Builder
	for _, node := range all {
		command := strings.Join(words(node), " ")
		var line []string
		for _, f := range node.Flags {
			switch {
			case len(f.Envs) == 0:
			case isShared(f.Name):
				if users[f.Name] == nil {
					names = append(names, f.Name)
				}
				users[f.Name], variables[f.Name] = append(users[f.Name], command), f.Envs[0]
			default:
				line = append(line, "`"+f.Envs[0]+"`")
			}
		}
		if len(line) > 0 {
			slices.Sort(line)
			own.WriteString("\n`" + command + "`: " + strings.Join(line, ", ") + "\n")
		}
	}
	var out strings.Builder
	out.WriteString("\n| flag | variable | read by |\n|---|---|---|\n")
	slices.Sort(names)
	for _, name := range names {
		by := strings.Join(users[name], ", ")
		switch n := len(users[name]); {
		case by == "":
			by = "every command"
		case n > 7:
			by = "every command that uses it"
		}
		out.WriteString("| `--" + name + "` | `" + variables[name] + "` | " + by + " |\n")
	}
	return out.String() + "\n### Of one command\n" + own.String() + "\n"
}
