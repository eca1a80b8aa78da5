package flags

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAPI_NeedsKeysBeyondLoopback(t *testing.T) {
	for listen, loopback := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "127.9.9.9:1": true, ":1": false, "[::]:1": false, "10.0.0.1:1": false} {
		require.Equal(t, loopback, OnLoopback(listen), listen)
	}
	page := API{Listen: ":8000", Keys: "keys", MaxInFlight: 1, PublishTimeout: time.Second}
	require.NoError(t, page.check())
	page.Keys, page.NoAuth = "", true
	require.NoError(t, page.check())
	page.NoAuth = false
	require.ErrorAs(t, page.check(), &UsageError{})
}

func TestSecretFilesThatCannotServeAreNamed(t *testing.T) {
	dir := t.TempDir()
	f := func(text, want string) {
		t.Helper()
		path := filepath.Join(dir, "secret")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := readSecret("sasl-password-file", path)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "Xq7")
	}
	f("", "expected one line with the secret")
	f("\nXq7", "expected one line")
	f("Xq7\nXq7\n", "expected one line")
	_, err := readSecret("sasl-password-file", filepath.Join(dir, "none"))
	require.ErrorContains(t, err, "--sasl-password-file: open ")
	for _, text := range []string{"a b", "a b\n", "a b\r\n"} {
		path := filepath.Join(dir, "secret")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		got, err := readSecret("x", path)
		require.NoError(t, err)
		require.Equal(t, "a b", got)
	}
	_, err = secretSource("sasl-password", "a", "b")
	require.ErrorContains(t, err, "--sasl-password and --sasl-password-file are both set")
}

func TestRedacted_HidesPasswords(t *testing.T) {
	for text, want := range map[string]string{
		"http://user:pa55@host:1/path":        "http://user:********@host:1/path",
		"https://pa55@host":                   "https://********@host",
		"redis://:pa55@host:6379/1":           "redis://:********@host:6379/1",
		"rediss://user:pa@5/5,5@host:6379":    "rediss://user:********@host:6379",
		"user:pa55@host:1":                    "user:********@host:1",
		"http://host/hook?token=pa55&b=c":     "http://host/hook?token=********&b=c",
		"http://host/hook?a=b&api_key=pa55#x": "http://host/hook?a=b&api_key=********#x",
		"redis://host:6379?password=pa55":     "redis://host:6379?password=********",
		"http://host:1/a?b=c":                 "http://host:1/a?b=c",
		"host:1":                              "host:1",
	} {
		require.Equal(t, want, Redacted(text))
	}
}

// All clients of a process share what their log has said of throttles.
func TestKafka_ConfigsShareOneThrottleLog(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	f := &Kafka{}
	require.NoError(t, f.open(log))
	require.NotNil(t, f.Config(log).Throttles)
	require.Same(t, f.Config(log).Throttles, f.Config(log).For("another").Throttles)
}
