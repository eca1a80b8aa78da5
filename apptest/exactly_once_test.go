package apptest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// summary is what produce --json prints.
type summary struct {
	Produced  int `json:"produced"`
	Malformed int `json:"malformed_total"`
}

// verdict is what verify --json prints.
type verdict struct {
	Applications   int   `json:"applications"`
	Predictions    int   `json:"predictions"`
	DeadLetters    int   `json:"dead_letters"`
	Lost           int   `json:"lost"`
	Duplicated     int   `json:"duplicated"`
	Altered        int   `json:"altered"`
	Repeated       int   `json:"repeated_application_id"`
	APIOnly        int   `json:"api_only"`
	Replayed       int   `json:"replayed"`
	Unjudgeable    int64 `json:"unjudgeable"`
	Unreadable     int64 `json:"unreadable"`
	Unreproducible int   `json:"unreproducible"`
	Pending        int64 `json:"pending"`
	Hidden         int64 `json:"hidden"`
}

// scenario is two scorers that answer applications while one is killed and
// started again, the other told to stop.
type scenario struct {
	applications int
	source       []string // where produce takes them from, and how fast
	score        []string // more flags for the scorers
	back         bool     // the one that was told to stop is started again
}

// exactlyOnce plays a scenario and judges it three times: by verify, by another
// client that reads the topics, and by what Redis holds.
func (c scenario) exactlyOnce(t *testing.T, s servers) {
	n := c.applications
	prefix := fmt.Sprintf("apptest-%08x", rand.Uint32()) // its own topics, group, ids and Redis keys
	common := []string{"--brokers", s.kafka, "--prefix", prefix}
	with := func(args ...string) []string { return append(args, common...) }
	scorer := func(instance string) *app {
		return service(t, instance, with(append([]string{"score", "--model", "shipped", "--group", prefix, "--instance", instance}, c.score...)...)...)
	}
	produce := func(count int) *app {
		return start(t, "produce", with(append([]string{"produce", "--json", "--malformed", "0.01",
			"--id-prefix", prefix + "-", "--count", fmt.Sprint(count)}, c.source...)...)...)
	}

	run(t, with("topics", "apply")...)
	w := watch(t, s, prefix)
	answered := func(want int) {
		until(t, 90*time.Second, fmt.Sprintf("%d applications are answered", want), func() bool { return w.answered() >= want })
	}
	view := service(t, "view", with("view", "--redis", s.redis)...).ready()
	one, two := scorer("one"), scorer("two")
	one.ready()
	two.ready()

	first := produce(n)
	answered(n / 20)
	one.kill()
	require.Less(t, w.answered(), n, "it was killed when all was done")
	one = scorer("one")
	answered(n / 4)
	require.Less(t, w.answered(), n, "it is stopped when all is done")
	two.terminate()
	if c.back {
		scorer("two").ready()
	}
	one.ready()
	first.wait(time.Minute)
	// The same ids again: Redis must hold the later decision.
	again := produce(n / 50)
	again.wait(time.Minute)

	var emitted, repeated summary
	first.answer(&emitted)
	again.answer(&repeated)
	require.Equal(t, n, emitted.Produced)
	require.Equal(t, n/100, emitted.Malformed)
	predictions, letters := emitted.Produced+repeated.Produced, emitted.Malformed+repeated.Malformed
	total := predictions + letters
	answered(total)
	until(t, time.Minute, "every application is read", func() bool { return w.emitted() >= total })

	var v verdict
	until(t, time.Minute, "the group's offsets are at the end", func() bool {
		run(t, with("verify", "--json", "--group", prefix)...).answer(&v)
		return v.Pending == 0
	})
	require.Equal(t, verdict{Applications: total, Predictions: predictions, DeadLetters: letters, Repeated: repeated.Produced}, v)

	last := w.predictions()
	require.Len(t, last, n)
	until(t, time.Minute, "Redis holds the last prediction of every id", func() bool { return len(differing(t, s, prefix, last)) == 0 })
	view.terminate()
	one.terminate()
	require.Equal(t, counts{applications: total, predictions: predictions, letters: letters}, w.judge())
}
