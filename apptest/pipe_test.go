package apptest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The kernel sends SIGPIPE for every connection whose other end has gone away while
// something was written to it: any client could end a service by it.
func TestAConnectionThatBreaksEndsNothing(t *testing.T) {
	t.Parallel()
	g := newStage(t, embedded(t))
	scorer := g.scorer("one").ready()
	require.NoError(t, scorer.cmd.Process.Signal(syscall.SIGPIPE))
	g.emit(200)
	g.exact()
	scorer.ready().terminate()
}

// A reader of the output that goes away, as in tail | head, ends the program, with
// whatever else it runs: it says 1, where a signal would have cut it off.
func TestAnOutputThatNobodyReadsEndsTheProgram(t *testing.T) {
	t.Parallel()
	ends := func(t *testing.T, cmd *exec.Cmd, of *io.Writer) {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		*of = w
		require.NoError(t, cmd.Start())
		require.NoError(t, w.Close())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		_, err = bufio.NewReader(r).ReadString('\n')
		require.NoError(t, err)
		require.NoError(t, r.Close())
		select {
		case err := <-ended:
			require.Error(t, err)
			require.Equal(t, 1, cmd.ProcessState.ExitCode())
		case <-time.After(time.Minute):
			require.Fail(t, "it goes on though nobody reads")
		}
	}
	t.Run("standard error", func(t *testing.T) {
		demo := exec.Command(os.Getenv(binary), "demo", "--api-listen", "127.0.0.1:0", "--log-level", "debug")
		ends(t, demo, &demo.Stderr)
	})
	t.Run("standard output", func(t *testing.T) {
		g := newStage(t, embedded(t))
		scorer := g.scorer("one").ready()
		g.emit(20_000)
		g.answered()
		tail := exec.Command(os.Getenv(binary), "tail", "--from", "start", "--brokers", g.servers.kafka, "--prefix", g.prefix)
		ends(t, tail, &tail.Stdout)
		scorer.terminate()
	})
}
