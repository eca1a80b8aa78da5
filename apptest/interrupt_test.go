package apptest

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// silence is a broker that takes connections and never answers; asked is closed when
// there is one.
func silence(t *testing.T) (address string, asked <-chan struct{}) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	began, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for first := true; ; first = false {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			if first {
				close(began)
			}
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-ended })
	return listener.Addr().String(), began
}

// interrupt presses Ctrl-C and returns what the process has said and its exit code.
func (a *app) interrupt() (said string, code int) {
	require.NoError(a.t, a.cmd.Process.Signal(os.Interrupt))
	select {
	case <-a.ended:
	case <-time.After(time.Minute):
		require.Fail(a.t, a.name+" does not end")
	}
	return string(a.stderr.bytes()), a.cmd.ProcessState.ExitCode()
}

// odd is what nobody who presses Ctrl-C wants to read.
var odd = []string{"cancel", "broker answers", "goroutine ", "level=ERROR", "signal: "}

// Ctrl-C in the middle of asking: the command says that it was interrupted, and no more.
func TestInterrupt_EndsACommandThatWaits(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"model list", "replicas", "verify", "topics list", "dlq list", "tail"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			address, asked := silence(t)
			a := start(t, command, append(strings.Fields(command), "--brokers", address)...)
			select {
			case <-asked:
			case <-a.ended:
			case <-time.After(time.Minute):
			}
			said, code := a.interrupt()
			require.Equal(t, 1, code, said)
			require.Regexp(t, `\Acreditstream: interrupted(: looking for topics)?\n\z`, said)
		})
	}
}

// Ctrl-C ends a service well, whether it works or still looks for a broker.
func TestInterrupt_EndsAServiceWell(t *testing.T) {
	t.Parallel()
	g := newStage(t, embedded(t))
	address, asked := silence(t)
	waiting := start(t, "waiting", "score", "--model", "shipped", "--brokers", address)
	working := g.scorer("one").ready()
	g.emit(200)
	g.exact()
	said, code := working.interrupt()
	require.Zero(t, code, said)
	<-asked
	saidMeanwhile, code := waiting.interrupt()
	require.Zero(t, code, saidMeanwhile)
	for _, o := range odd {
		require.NotContains(t, said, o)
		require.NotContains(t, saidMeanwhile, o)
	}
}
