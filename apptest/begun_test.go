//go:build kafka

package apptest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// bothProtocols runs a test in each group protocol.
func bothProtocols(t *testing.T, test func(g *stage)) {
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			var flags []string
			if protocol == "consumer" {
				flags = []string{"--group-protocol", protocol}
			}
			test(newStage(t, given(t), flags...))
		})
	}
}

// endsSaying waits for a service that must end by itself, and not well.
func (a *app) endsSaying(why ...string) {
	select {
	case <-a.ended:
	case <-time.After(time.Minute):
		require.Fail(a.t, a.name+" does not end")
	}
	require.Equal(a.t, 1, a.cmd.ProcessState.ExitCode(), "exit code of %s", a.name)
	for _, w := range why {
		require.Contains(a.t, string(a.stderr.bytes()), w)
	}
}

// With the group, everything that it had committed is gone. The scorer asks where
// to begin, and answers nothing a second time.
func TestADeletedGroupAsksWhereToBeginOnKafka(t *testing.T) {
	bothProtocols(t, func(g *stage) {
		t := g.t
		one := g.scorer("one").ready()
		g.emit(500)
		g.exact()
		one.terminate()
		// Of the log's clock, which is this machine's.
		between := time.Now().Add(time.Millisecond)
		deleted, err := kadm.NewClient(newClient(t, g.servers)).DeleteGroup(t.Context(), g.prefix)
		require.NoError(t, err)
		require.NoError(t, deleted.Err)
		g.emit(100)
		before := g.witness.answered()
		g.scorer("one").endsSaying("has no committed offsets, but "+g.prefix+".predictions already holds decisions from the stream", "--from start, end or a time")
		require.Equal(t, before, g.witness.answered())

		one = g.scorer("one", "--from", between.UTC().Format(time.RFC3339Nano)).ready()
		g.exact()
		one.terminate()
	})
}
