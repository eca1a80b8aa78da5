package apptest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// handsOver stops one of two scorers for good. It must be out of its group before
// it ends: what it owned is then the other's without anybody waiting for a
// session to expire.
func (g *stage) handsOver() {
	t := g.t
	one, two := g.scorer("one"), g.scorer("two")
	one.ready()
	two.ready()
	g.emit(2000)
	g.answered()
	require.Equal(t, 4, g.members(), "two scorers of two sessions")

	began := time.Now()
	two.terminate()
	require.Equal(t, 2, g.members(), "it has left before it ended")
	left := time.Since(began)
	g.emit(2000) // to every partition
	g.exact()
	t.Logf("SIGTERM: gone after %s; what was sent then was answered, in every partition, after %s", left.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	one.terminate()
	require.Zero(t, g.members())
}

// isTakenOver kills one of two scorers for good: the other has its work when the
// session has expired.
func (g *stage) isTakenOver() {
	one, two := g.scorer("one").ready(), g.scorer("two").ready()
	g.emit(2000)
	g.answered()
	began := time.Now()
	two.kill()
	g.emit(2000)
	g.exact()
	g.t.Logf("SIGKILL: what was sent then was answered, in every partition, after %s", time.Since(began).Round(100*time.Millisecond))
	one.terminate()
}

// members are those that the group has.
func (g *stage) members() int {
	adm := kadm.NewClient(newClient(g.t, g.servers))
	if len(g.score) > 0 {
		groups, err := adm.DescribeConsumerGroups(g.t.Context(), g.prefix)
		require.NoError(g.t, err)
		require.NoError(g.t, groups.Error())
		return len(groups[g.prefix].Members)
	}
	groups, err := adm.DescribeGroups(g.t.Context(), g.prefix)
	require.NoError(g.t, err)
	if errors.Is(groups.Error(), kerr.GroupIDNotFound) {
		return 0
	}
	require.NoError(g.t, groups.Error())
	return len(groups[g.prefix].Members)
}

func TestAScorerThatIsToldToStopHandsOver(t *testing.T) {
	newStage(t, embedded(t)).handsOver()
}

func TestAScorerThatIsKilledIsTakenOver(t *testing.T) {
	t.Parallel() // it waits for a timeout most of the time
	newStage(t, embedded(t)).isTakenOver()
}

func TestAScorerThatIsToldToStopHandsOverByTheConsumerProtocol(t *testing.T) {
	newStage(t, embedded(t), "--group-protocol", "consumer").handsOver()
}
