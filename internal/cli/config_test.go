package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func configOf(t *testing.T, args ...string) map[string]inForce {
	t.Helper()
	code, out, errs := creditstream(t, append([]string{"config", "--json"}, args...)...)
	require.Zero(t, code, errs)
	var all []inForce
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	found := map[string]inForce{}
	for _, one := range all {
		found[one.Setting] = one
	}
	return found
}

func settingsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "creditstream.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestAFlagWinsOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	path := settingsFile(t, "brokers: [a:1, b:2]\nprefix: file\nscore:\n  group: file\n  sessions: 4\n  from: end\n")
	t.Setenv("CREDITSTREAM_CONFIG", path)
	t.Setenv("CREDITSTREAM_PREFIX", "environment")
	t.Setenv("CREDITSTREAM_SCORE_STATIC", "true")
	c := configOf(t, "score", "--group", "flag")
	f := func(setting, value, origin string) {
		t.Helper()
		require.Equal(t, value, c[setting].Value, setting)
		require.True(t, strings.HasPrefix(c[setting].Origin, origin), "%s: %s", setting, c[setting].Origin)
	}
	f("brokers", "a:1,b:2", "file "+path+" line 1 (brokers)")
	f("prefix", "environment", "environment CREDITSTREAM_PREFIX")
	f("group", "flag", "flag")
	f("sessions", "4", "file "+path+" line 5 (score.sessions)")
	f("from", "end", "file "+path+" line 6 (score.from)")
	f("static", "true", "environment CREDITSTREAM_SCORE_STATIC")
	f("engine", "auto", "default")
	f("config", path, "environment CREDITSTREAM_CONFIG")
}

func TestConfigListsEveryCommandOrAGroup(t *testing.T) {
	_, all, _ := creditstream(t, "config")
	require.Contains(t, all, "every command\n")
	require.Contains(t, all, "\nscore\n")
	_, topics, _ := creditstream(t, "config", "topics")
	require.Contains(t, topics, "\ntopics apply\n")
	require.NotContains(t, topics, "\nscore\n")
}

func TestWrongSettingsAreNamed(t *testing.T) {
	f := func(file string, args []string, want ...string) {
		t.Helper()
		if file != "" {
			args = append([]string{"--config", settingsFile(t, file)}, args...)
		}
		code, _, errs := creditstream(t, args...)
		require.NotZero(t, code)
		for _, w := range want {
			require.Contains(t, errs, w)
		}
	}
	f("", []string{"config", "nope"}, `"nope" is not a command`)
	f("", []string{"config", "score", "--sessions", "many"}, "--sessions", "many")
	f("", []string{"score", "--sessions", "many"}, "--sessions", "many")
	f("", []string{"config", "score", "--engine", "steam"}, "--engine", "steam")
	f("broker: a:1\n", []string{"version"}, "line 1: broker is not a setting")
	f("brokers: a:1\nbrokers: b:1\n", []string{"version"}, "brokers")
	f("- a\n", []string{"version"}, "expected settings as key: value")
	f("score: {sessions: {a: 1}}\n", []string{"version"}, "score.sessions.a is not a setting")
	f("", []string{"--config", "/nowhere.yaml", "version"}, "/nowhere.yaml")
}
