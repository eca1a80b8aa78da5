package apptest

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A second scorer under an instance that works is refused by name, as often as it is
// started, and the first goes on; once that was killed, the next takes its place.
func TestASecondScorerOfAnInstanceIsRefused(t *testing.T) {
	long(t)
	t.Parallel()
	g := newStage(t, embedded(t))
	first := g.scorer("same").ready()
	until(t, time.Minute, "it is reported", func() bool { return len(g.replicas()) == 1 })
	for range 2 {
		second := g.scorer("same")
		second.says(regexp.MustCompile(`another process runs as score/same: on host .*; give each process its own --instance`))
		<-second.ended
		require.Equal(t, 1, second.cmd.ProcessState.ExitCode())
	}
	g.emit(1000)
	g.exact()
	require.False(t, first.hasEnded())
	first.kill()
	third := g.scorer("same").ready()
	g.emit(1000)
	g.exact()
	third.terminate()
}
