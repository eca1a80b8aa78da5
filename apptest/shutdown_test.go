package apptest

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asked is one request on a connection that may be used again: its status, and
// whether the connection may not be.
func asked(t *testing.T, method, url, body string) (status int, closes bool) {
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode, answer.Close
}

// heedHangup has child processes told of SIGHUP even where the tests run under nohup,
// which a child would inherit and the binary respects.
func heedHangup(t *testing.T) {
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(heard) })
}

// A balancer hears that the process is about to stop before it takes no more
// connections; until then everybody is answered. The delay is far longer than this
// test: only a second signal ends it.
func TestShutdown_IsUnreadyBeforeItCloses(t *testing.T) {
	t.Parallel()
	heedHangup(t)
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka, "--replication", "1", "--partitions", "1")
	for _, first := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(first.String(), func(t *testing.T) {
			listen := freeAddress(t)
			api := service(t, "api", "api", "--brokers", s.kafka, "--redis", s.redis, "--model", "shipped", "--no-feed",
				"--api-listen", listen, "--shutdown-delay", "10m").ready()
			status, closes := asked(t, http.MethodPost, "http://"+listen+"/predict", question("", 1))
			require.Equal(t, http.StatusOK, status)
			require.False(t, closes)

			require.NoError(t, api.cmd.Process.Signal(first))
			until(t, time.Minute, "both ports are unready", func() bool {
				here, _ := asked(t, http.MethodGet, "http://"+listen+"/readyz", "")
				there, _ := asked(t, http.MethodGet, "http://"+api.listen+"/readyz", "")
				return here == http.StatusServiceUnavailable && there == http.StatusServiceUnavailable
			})
			for i := range 3 {
				status, closes = asked(t, http.MethodPost, "http://"+listen+"/predict", question("", i))
				require.Equal(t, http.StatusOK, status, "still answered")
				require.True(t, closes, "the next request is to go elsewhere")
			}
			status, _ = asked(t, http.MethodGet, "http://"+listen+"/healthz", "")
			require.Equal(t, http.StatusOK, status, "it is not to be restarted")
			require.False(t, api.hasEnded())
			api.terminate()
		})
	}
	t.Run("Ctrl-C", func(t *testing.T) {
		api := service(t, "api", "api", "--brokers", s.kafka, "--redis", s.redis, "--model", "shipped", "--no-feed",
			"--api-listen", freeAddress(t), "--shutdown-delay", "10m").ready()
		require.NoError(t, api.cmd.Process.Signal(syscall.SIGINT))
		api.wait(time.Minute)
	})
}

// What was started to outlive a terminal does so: of two signals in a row the second
// is the first that counts.
func TestShutdown_NohupOutlivesTheTerminal(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka, "--replication", "1", "--partitions", "1")
	listen := freeAddress(t)
	api := launch(t, "nohup", exec.Command("nohup", os.Getenv(binary), "--log-level", "debug", "api", "--brokers", s.kafka, "--redis", s.redis,
		"--model", "shipped", "--no-feed", "--api-listen", freeAddress(t), "--listen", listen, "--shutdown-delay", "0s"))
	api.listen = listen
	api.ready()
	require.NoError(t, api.cmd.Process.Signal(syscall.SIGHUP))
	api.terminate()
	require.Contains(t, string(api.stderr.bytes()), "msg=stopping cause=terminated")
}
