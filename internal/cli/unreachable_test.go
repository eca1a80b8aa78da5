package cli

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// That no broker listens is said in the same words, whatever was asked for, and once.
func TestUnreachable_HasOneText(t *testing.T) {
	t.Parallel()
	at := "127.0.0.1:9"
	csv := filepath.Join(t.TempDir(), "out.csv")
	for _, command := range [][]string{
		{"model", "route", "--champion", "v", "--why", "w"}, {"model", "rollback", "--why", "w"}, {"model", "list"}, {"model", "history"},
		{"replicas"}, {"tail", "--limit", "1"}, {"verify"}, {"topics", "apply"}, {"dlq", "list"}, {"dlq", "replay", "--yes", "--all"},
		{"drift", "current"}, {"drift", "status"}, {"drift", "report", "--from", "start", "--out", ""},
		{"dataset", "export", "--from", "start", "--out", csv}, {"explain", "A-1"}, {"model", "judge"},
		{"produce", "--count", "1", "--rate", "1"}, {"view", "--rebuild"},
	} {
		code, _, errs := creditstream(t, append(command, "--brokers", at)...)
		require.Equal(t, 1, code, "%s: %s", command, errs)
		require.Regexp(t, `creditstream: (writing \S+: )?no Kafka broker answers at --brokers 127.0.0.1:9: dial tcp 127.0.0.1:9: `, errs, command)
		require.NotContains(t, errs, "kafka client", command)
	}
}
