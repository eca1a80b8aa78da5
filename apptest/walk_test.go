package apptest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// walked is the walk of docs/getting-started.md on a cluster, by its commands: what
// produce emits is what the model that it releases expects.
func walked(t *testing.T, s servers) {
	const n, rate = 24_000, 3000
	prefix := fmt.Sprintf("apptest-%08x", rand.Uint32())
	with := func(args ...string) []string { return append(args, "--brokers", s.kafka, "--prefix", prefix) }
	run(t, with("topics", "apply", "--partitions", "4")...)
	var released struct{ Version string }
	run(t, with("model", "release", "demo", "--json")...).answer(&released)
	run(t, with("model", "route", "--champion", released.Version, "--why", "first model")...)
	service(t, "scorer", with("score")...).ready()
	service(t, "view", with("view", "--redis", s.redis)...)
	service(t, "drift", with("drift", "--redis", s.redis, "--fairness-ratio", "0.7", "--from", "start")...).ready()
	run(t, with("produce", "--seed", "7", "--count", fmt.Sprint(n), "--rate", fmt.Sprint(rate))...)
	type status struct {
		State     string
		Decisions int
		Alerts    []struct{ Alert, State string }
		Windows   []struct {
			Decisions int
			Features  []struct {
				Feature    string
				Evidence   float64 `json:"evidence"`
				EvidenceOf int     `json:"evidence_of"`
			}
		}
	}
	var last status
	until(t, time.Minute, "everything is counted and judged", func() bool {
		code, a := ends(t, with("drift", "status", "--json")...)
		if code != 0 {
			return false // not evaluated yet
		}
		last = status{}
		a.answer(&last)
		return last.Decisions == n && len(last.Windows) > 0 && last.Windows[0].Features[0].EvidenceOf > 0
	})
	require.Empty(t, last.Alerts)
	require.NotEqual(t, "act", last.State)
	for _, f := range last.Windows[0].Features {
		require.Less(t, f.Evidence, 8.0, f.Feature)
	}
}

func TestTheDocumentedWalkIsQuiet(t *testing.T) {
	long(t)
	t.Parallel()
	walked(t, embedded(t))
}
