//go:build kafka

package apptest

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// The log of one partition is truncated past what was committed while the scorer
// is away. That partition stops and is named, the others go on, and the judge
// counts what was never answered.
func TestAPartitionTruncatedPastItsOffsetOnKafka(t *testing.T) {
	t.Parallel()
	g := newStage(t, given(t))
	adm := kadm.NewClient(newClient(t, g.servers))
	one := g.scorer("one").ready()
	g.emitTo(50, 0, 1, 2, 3)
	g.exact()
	one.terminate()
	g.emitTo(30, 0, 1, 2, 3)
	const truncated, gone, left = 2, 12, 18
	var before kadm.Offsets
	before.AddOffset(g.prefix+".applications", truncated, 50+gone, -1)
	deleted, err := adm.DeleteRecords(t.Context(), before)
	require.NoError(t, err)
	require.NoError(t, deleted.Error())

	one = g.scorer("one").ready()
	until(t, time.Minute, "the others go on", func() bool { return g.witness.answered() == g.emitted-gone-left })
	until(t, time.Minute, "what is out of reach is counted", func() bool {
		return one.measures(fmt.Sprintf(`creditstream_scorer_unreachable_offsets\{partition="%d"\} %d`, truncated, gone))
	})
	one.says(regexp.MustCompile("partition stopped: its next offset is outside the log; the others go on"))
	g.emitTo(10, 0, 1, 2, 3)
	until(t, time.Minute, "and on", func() bool { return g.witness.answered() == g.emitted-gone-left-10 })
	judged := func() (v verdict) {
		judge := start(t, "verify", g.with("verify", "--json", "--group", g.prefix)...)
		<-judge.ended
		judge.answer(&v)
		require.Equal(t, v.Lost > 0, judge.cmd.ProcessState.ExitCode() == 1)
		return v
	}
	answered := g.emitted - gone - left - 10
	var v verdict
	until(t, time.Minute, "the others' offsets are at the end", func() bool { v = judged(); return v.Pending == left+10 })
	require.Equal(t, verdict{Applications: answered - 50, Predictions: answered - 50, Lost: gone, Unjudgeable: 50, Pending: left + 10}, v)
	status, text := shownBy(one.listen, "/readyz")
	require.Equal(t, http.StatusOK, status, "one of several partitions is no reason: %s", text)
	one.terminate()

	// Where to go on is the operator's to say.
	var at kadm.Offsets
	at.AddOffset(g.prefix+".applications", truncated, 50+gone, -1)
	require.NoError(t, adm.CommitAllOffsets(t.Context(), g.prefix, at))
	one = g.scorer("one").ready()
	until(t, time.Minute, "all that is there is answered", func() bool { return g.witness.answered() == g.emitted-gone })
	until(t, time.Minute, "the group's offsets are at the end", func() bool { v = judged(); return v.Pending == 0 })
	require.Equal(t, verdict{Applications: g.emitted - gone - 50, Predictions: g.emitted - gone - 50, Unjudgeable: 50 + gone}, v)
	require.NotContains(t, string(one.stderr.bytes()), "partition stopped")
	one.terminate()
}

// Nothing is skipped in a partition that had nothing when its group began, nor in
// one that was added since.
func TestAPartitionThatWasIdleAndOneAddedLiveOnKafka(t *testing.T) {
	bothProtocols(t, func(g *stage) {
		t := g.t
		one := g.scorer("one").ready()
		g.emitTo(50, 0, 1, 2)
		g.exact()
		one.terminate()
		g.emitTo(20, 3)
		one = g.scorer("one").ready()
		g.exact()
		g.emitTo(20, 0, 3)
		g.exact()

		run(t, g.with("topics", "apply", "--update", "--partitions", fmt.Sprint(stagePartitions+1))...)
		g.witness = watch(t, g.servers, g.prefix) // the one before does not know of it
		added := time.Now()
		g.emitTo(20, stagePartitions)
		g.exact()
		t.Logf("a partition added: what was sent to it was answered after %s", time.Since(added).Round(100*time.Millisecond))
		one.terminate()
	})
}
