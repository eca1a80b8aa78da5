package apptest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// replayedOnce kills a replay of many letters, runs it again and holds that every
// letter was handed in once, by another client that reads the topics.
func replayedOnce(t *testing.T, s servers) {
	const n = 6000
	prefix := fmt.Sprintf("apptest-%08x", rand.Uint32())
	common := []string{"--brokers", s.kafka, "--prefix", prefix}
	with := func(args ...string) []string { return append(args, common...) }
	run(t, with("topics", "apply")...)
	w := watch(t, s, prefix)
	service(t, "scorer", with("score", "--model", "shipped", "--group", prefix, "--instance", "one")...)
	run(t, with("produce", "--count", fmt.Sprint(n), "--rate", "0", "--malformed", "1")...)
	until(t, time.Minute, "all are answered", func() bool { return w.answered() == 2*n })

	waiting := lettersOf(t, with("dlq", "list", "--json")...)
	require.Len(t, waiting, n)
	before := waiting[len(waiting)-1].FailedAt
	old := with("dlq", "replay", "--to", before.Add(time.Microsecond).Format(time.RFC3339Nano), "--yes")
	killed := start(t, "killed", old...)
	until(t, time.Minute, "some are replayed", func() bool { return w.markers() > 0 })
	killed.kill()
	run(t, old...)
	until(t, time.Minute, "all are replayed", func() bool { return w.markers() == n })
	until(t, time.Minute, "all are answered", func() bool { return w.answered() == 3*n })

	once := map[string]int{}
	for _, l := range waiting {
		once[l.Letter] = 1
	}
	require.Equal(t, once, w.replayed())
	again := lettersOf(t, with("dlq", "list", "--json")...)
	require.Len(t, again, n, "what was malformed is so again")
	for _, l := range again {
		require.True(t, strings.HasPrefix(l.ReplayedFrom, prefix+".applications.dlq/"))
	}
	require.Len(t, lettersOf(t, with("dlq", "list", "--json", "--replayed")...), n)

	var v verdict
	until(t, time.Minute, "the group's offsets are at the end", func() bool {
		run(t, with("verify", "--group", prefix, "--json")...).answer(&v)
		return v.Applications == 3*n
	})
	// A marker of each partition's last transaction has an offset, which no group commits.
	v.Pending = 0
	require.Equal(t, verdict{Applications: 3 * n, Predictions: n, DeadLetters: 2 * n, Replayed: n, Repeated: v.Repeated}, v)
	require.Equal(t, counts{applications: 3 * n, predictions: n, letters: 2 * n}, w.judge())
}

// listed is a line of dlq list --json.
type listed struct {
	Letter       string    `json:"letter"`
	FailedAt     time.Time `json:"failed_at"`
	ReplayedFrom string    `json:"replayed_from"`
}

func lettersOf(t *testing.T, args ...string) (all []listed) {
	decoder := json.NewDecoder(strings.NewReader(string(run(t, args...).stdout.bytes())))
	for decoder.More() {
		var l listed
		require.NoError(t, decoder.Decode(&l))
		all = append(all, l)
	}
	return all
}

func TestDeadLettersAreReplayedOnce(t *testing.T) {
	long(t)
	t.Parallel()
	replayedOnce(t, embedded(t))
}
