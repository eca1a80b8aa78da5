package apptest

import (
	"errors"
	"slices"
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
	g.shared()

	began := time.Now()
	two.terminate()
	require.Len(t, g.owned(), 2, "it has left before it ended")
	left := time.Since(began)
	g.emit(2000) // to every partition
	g.exact()
	t.Logf("SIGTERM: gone after %s; what was sent then was answered, in every partition, after %s", left.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	one.terminate()
	require.Empty(t, g.owned())
}

// isTakenOver kills one of two scorers for good: the other has its work when the
// session has expired.
func (g *stage) isTakenOver() {
	one, two := g.scorer("one").ready(), g.scorer("two").ready()
	g.emit(2000)
	g.answered()
	g.shared()
	began := time.Now()
	two.kill()
	g.emit(2000)
	g.exact()
	g.t.Logf("SIGKILL: what was sent then was answered, in every partition, after %s", time.Since(began).Round(100*time.Millisecond))
	one.terminate()
}

// shared waits until each of two sessions of two scorers owns one of the partitions:
// the one that ends has something to hand over.
func (g *stage) shared() {
	until(g.t, time.Minute, "both scorers own partitions", func() bool { return slices.Equal(g.owned(), []int{1, 1, 1, 1}) })
}

// owned counts the partitions of each member that the group has.
func (g *stage) owned() (partitions []int) {
	if g.admin == nil {
		g.admin = kadm.NewClient(newClient(g.t, g.servers))
	}
	if len(g.score) > 0 {
		groups, err := g.admin.DescribeConsumerGroups(g.t.Context(), g.prefix)
		require.NoError(g.t, err)
		require.NoError(g.t, groups.Error())
		for _, m := range groups[g.prefix].Members {
			n := 0
			for _, assigned := range m.Assignment { // of one topic, which the embedded broker does not name
				n += len(assigned)
			}
			partitions = append(partitions, n)
		}
		return partitions
	}
	groups, err := g.admin.DescribeGroups(g.t.Context(), g.prefix)
	require.NoError(g.t, err)
	if errors.Is(groups.Error(), kerr.GroupIDNotFound) {
		return nil
	}
	require.NoError(g.t, groups.Error())
	for _, m := range groups[g.prefix].Members {
		n := 0
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				n += len(topic.Partitions)
			}
		}
		partitions = append(partitions, n)
	}
	return partitions
}

func TestAScorerThatIsToldToStopHandsOver(t *testing.T) {
	long(t)
	t.Parallel()
	newStage(t, embedded(t)).handsOver()
}

func TestAScorerThatIsKilledIsTakenOver(t *testing.T) {
	long(t)
	t.Parallel()
	newStage(t, embedded(t)).isTakenOver()
}

func TestAScorerThatIsToldToStopHandsOverByTheConsumerProtocol(t *testing.T) {
	long(t)
	t.Parallel()
	newStage(t, embedded(t), "--group-protocol", "consumer").handsOver()
}
