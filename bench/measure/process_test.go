package measure

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCPUAndMemoryOfThisProcessAreSeen(t *testing.T) {
	before, x := CPU(os.Getpid()), 1.0
	for CPU(os.Getpid())-before < 3*tick { // ends only if what is used is seen
		for range 1_000_000 {
			x = x*1.0000001 + 1
		}
	}
	require.NotZero(t, x)
	require.Greater(t, PeakMemory(os.Getpid()), int64(1<<20))
	require.Zero(t, CPU(-1))
	require.Zero(t, PeakMemory(-1))
}

func TestTreeHoldsChildren(t *testing.T) {
	child := exec.CommandContext(t.Context(), "cat")
	hold, err := child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	require.Eventually(t, func() bool {
		tree := Tree(os.Getpid())
		return len(tree) > 1 && tree[0] == os.Getpid() && tree[len(tree)-1] == child.Process.Pid
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, hold.Close())
	require.NoError(t, child.Wait())
}
