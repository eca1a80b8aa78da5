package apptest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/loopback"
)

// binary names the environment variable that names the binary.
const binary = "CREDITSTREAM_BINARY"

func TestMain(m *testing.M) {
	code, err := withBinary(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// withBinary builds the binary unless the environment names one.
func withBinary(run func() int) (int, error) {
	if os.Getenv(binary) != "" {
		return run(), nil
	}
	dir, err := os.MkdirTemp("", "apptest")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "creditstream")
	if out, err := exec.Command("go", "build", "-o", path, "..").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	if err := os.Setenv(binary, path); err != nil {
		return 1, err
	}
	return run(), nil
}

// long marks a test that make test leaves to make test-app: a scenario that takes
// long, of a kind that a quick one shows too.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a long scenario: make test-app plays it")
	}
}

// servers are the Kafka and Redis of a test.
type servers struct {
	kafka string // bootstrap addresses
	redis string
}

// app is one process of the binary.
type app struct {
	t      *testing.T
	name   string
	listen string // of a service
	cmd    *exec.Cmd
	stdout output
	stderr output
	ended  chan struct{} // closed when the process has ended
}

// start starts a process of the binary.
func start(t *testing.T, name string, args ...string) *app {
	return launch(t, name, exec.Command(os.Getenv(binary), args...))
}

// launch starts any command. What it wrote is shown when the test fails; it is
// killed at the test's end if it still runs. Its environment is cmd.Env and what a
// program needs to run.
func launch(t *testing.T, name string, cmd *exec.Cmd) *app {
	a := &app{t: t, name: name, cmd: cmd, ended: make(chan struct{})}
	a.cmd.Stdout, a.cmd.Stderr = &a.stdout, &a.stderr
	a.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, cmd.Env...)
	require.NoError(t, a.cmd.Start())
	go func() {
		_ = a.cmd.Wait() // its exit code is in ProcessState
		close(a.ended)
	}()
	t.Cleanup(func() {
		a.kill()
		if t.Failed() {
			t.Logf("---- %s: %s (%s)\n%s%s", name, strings.Join(cmd.Args, " "), a.cmd.ProcessState, a.stdout.tail(), a.stderr.tail())
		}
	})
	return a
}

// service starts a component that says whether it is ready.
func service(t *testing.T, name string, args ...string) *app {
	listen := freeAddress(t)
	a := start(t, name, append(args, "--listen", listen)...)
	a.listen = listen
	return a
}

// ready waits until a service can do its work.
func (a *app) ready() *app {
	until(a.t, time.Minute, a.name+" is ready", func() bool {
		return a.hasEnded() || isReady(a.listen)
	})
	require.False(a.t, a.hasEnded(), "%s has ended", a.name)
	return a
}

// isReady asks a service whether it can do its work.
func isReady(listen string) bool {
	answer, err := http.Get("http://" + listen + "/readyz")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// until waits for a condition, which may fail the test itself.
func until(t *testing.T, within time.Duration, what string, condition func() bool) {
	deadline, again := time.After(within), time.NewTicker(5*time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-deadline:
			require.Fail(t, "waited for "+within.String(), "until %s", what)
		}
	}
}

// says waits until the process has told people something, and returns what matches.
func (a *app) says(something *regexp.Regexp) (found []string) {
	a.t.Helper()
	until(a.t, time.Minute, a.name+" says "+something.String(), func() bool {
		ended := a.hasEnded() // then all it said is here
		found = something.FindStringSubmatch(string(a.stderr.bytes()))
		require.False(a.t, ended && found == nil, "%s has ended without saying %s", a.name, something)
		return found != nil
	})
	return found
}

func freeAddress(t *testing.T) string {
	at, _, err := loopback.Free(1)
	require.NoError(t, err)
	return at
}

func (a *app) hasEnded() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

// kill ends the process with SIGKILL.
func (a *app) kill() {
	if !a.hasEnded() {
		_ = a.cmd.Process.Kill() // it may just have ended
	}
	<-a.ended
}

// terminate ends the process with SIGTERM; it must end by itself, well.
func (a *app) terminate() {
	require.NoError(a.t, a.cmd.Process.Signal(syscall.SIGTERM))
	a.wait(30 * time.Second)
}

// wait waits for a process that ends by itself, well.
func (a *app) wait(within time.Duration) {
	select {
	case <-a.ended:
	case <-time.After(within):
		require.Fail(a.t, a.name+" does not end")
	}
	require.Zero(a.t, a.cmd.ProcessState.ExitCode(), "exit code of %s", a.name)
}

// run runs a command to its end, which must be well.
func run(t *testing.T, args ...string) *app {
	a := start(t, args[0], args...)
	a.wait(time.Minute)
	return a
}

// answer reads the JSON object that a process printed.
func (a *app) answer(into any) {
	require.NoError(a.t, json.Unmarshal(a.stdout.bytes(), into), a.name)
}

// output keeps what a process writes.
type output struct{ capture.Output }

func (o *output) bytes() []byte { return []byte(o.String()) }

// tail is the end of what was written.
func (o *output) tail() string {
	b := o.bytes()
	return string(b[max(0, len(b)-8<<10):])
}
