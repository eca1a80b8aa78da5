package apptest

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stoppedInside stops a scorer inside a transaction for longer than that may
// take, and lets it go on when another has its work.
func (g *stage) stoppedInside() {
	t := g.t
	one := g.scorer("one").ready()
	bar := newBarrier(newClient(t, g.servers), g.prefix+".predictions", g.prefix+".applications.dlq")
	const n = 20_000
	steady := start(t, "produce", g.with("produce", "--json", "--malformed", "0.01", "--rate", "2000", "--count", fmt.Sprint(n))...)

	// It alone writes: what stays open while it stands is its transaction.
	var at []held
	until(t, time.Minute, "it stands inside a transaction", func() bool {
		require.False(t, steady.hasEnded(), "it is stopped when all is done")
		answered := g.witness.answered()
		until(t, time.Minute, "it answers", func() bool { return g.witness.answered() > answered })
		require.NoError(t, one.cmd.Process.Signal(syscall.SIGSTOP))
		if at = bar.stuck(t.Context()); len(at) > 0 {
			return true
		}
		require.NoError(t, one.cmd.Process.Signal(syscall.SIGCONT))
		return false
	})
	stopped := time.Now()
	two := g.scorer("two")
	until(t, time.Minute, "readers go on", func() bool { return bar.passed(t.Context(), at) })
	t.Logf("SIGSTOP inside a transaction: readers went on after %s", time.Since(stopped).Round(100*time.Millisecond))
	steady.wait(time.Minute)
	var emitted summary
	steady.answer(&emitted)
	g.emitted += emitted.Produced + emitted.Malformed
	g.answered()
	t.Logf("and the other had answered everything after %s", time.Since(stopped).Round(100*time.Millisecond))
	require.NoError(t, one.cmd.Process.Signal(syscall.SIGCONT))
	// No other process has its instance: it goes on, unless it stood for longer
	// than a transaction may take to end, and leaves that to its supervisor.
	until(t, time.Minute, "it goes on or ends", func() bool { return one.hasEnded() || isReady(one.listen) })
	if one.hasEnded() {
		require.Contains(t, string(one.stderr.bytes()), "did not end within")
		one = g.scorer("one").ready()
	}
	g.emit(1000)
	g.exact()
	one.terminate()
	two.terminate()
}

func TestAScorerStoppedInsideATransactionIsOvertaken(t *testing.T) {
	long(t)
	t.Parallel()
	newStage(t, embedded(t)).stoppedInside()
}

// A view that comes back from a long pause with old predictions in hand leaves
// the newer ones where another has put them.
func TestAPausedViewDoesNotPutOldPredictionsBack(t *testing.T) {
	long(t)
	t.Parallel()
	g := newStage(t, embedded(t))
	scorer := g.scorer("one").ready()
	emit := func(rate string) *app {
		return start(t, "produce", g.with("produce", "--json", "--population", "--seed", "7", "--count", "4000", "--rate", rate)...)
	}
	old := g.view("old").ready()
	first := emit("4000")
	until(t, time.Minute, "it writes", func() bool { return len(differing(t, g.servers, g.prefix, g.witness.some(500))) == 0 })
	require.NoError(t, old.cmd.Process.Signal(syscall.SIGSTOP))
	first.wait(time.Minute)
	emit("0").wait(time.Minute) // the same ids
	g.emitted = 8000
	g.answered()
	last := g.witness.predictions()
	require.Len(t, last, 4000)
	require.NotEmpty(t, differing(t, g.servers, g.prefix, last), "it had written everything before it was stopped")
	ahead := g.view("ahead")
	until(t, time.Minute, "the other has everything", func() bool { return len(differing(t, g.servers, g.prefix, last)) == 0 })
	require.NoError(t, old.cmd.Process.Signal(syscall.SIGCONT))
	old.ready()
	ahead.ready()
	require.Empty(t, differing(t, g.servers, g.prefix, last))
	g.emit(100)
	g.answered()
	until(t, time.Minute, "both go on", func() bool { return len(differing(t, g.servers, g.prefix, g.witness.predictions())) == 0 })
	for _, a := range []*app{old, ahead, scorer} {
		a.terminate()
	}
}

// Decisions of the API do not make the first scorer ask where to begin.
func TestTheAPIMayAnswerBeforeTheFirstScorer(t *testing.T) {
	long(t)
	t.Parallel()
	g := newStage(t, embedded(t))
	listen := freeAddress(t)
	service(t, "api", g.with("api", "--model", "shipped", "--redis", g.servers.redis, "--api-listen", listen, "--no-feed")...).ready()
	for i := range 20 {
		_, ok := predict("http://"+listen+"/predict", fmt.Sprint("api-", i), i)
		require.True(t, ok)
	}
	g.emit(500)
	g.scorer("one").ready()
	until(t, time.Minute, "the witness has read them", func() bool { return g.witness.requested() == 20 })
	g.exact()
}
