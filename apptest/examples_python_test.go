//go:build examples

package apptest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pythonVariable names the interpreter of an environment with
// examples/python/requirements.txt.
const pythonVariable = "CREDITSTREAM_TEST_PYTHON"

func pythonExample(t *testing.T, name string) client {
	python := os.Getenv(pythonVariable)
	require.NotEmpty(t, python, pythonVariable+" is not set; run: make test-examples")
	return client{"python/" + name, []string{python, "../examples/python/" + name + ".py"}}
}

func curlExample(t *testing.T) client {
	_, err := exec.LookPath("curl")
	require.NoError(t, err)
	return client{"curl", []string{"../examples/curl/predict.sh"}}
}

// pythonReader's table is looked at with the interpreter's own SQLite.
func pythonReader(t *testing.T) reader {
	return reader{pythonExample(t, "read"), func(t *testing.T, path string) kept {
		query := `import json, sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute("SELECT application_id, decision, source FROM decisions").fetchall()
assert all(source.startswith("x.applications/") for _, _, source in rows), rows
print(json.dumps({"rows": len(rows), "kept": {id: decision for id, decision, _ in rows}}))`
		out, err := exec.Command(os.Getenv(pythonVariable), "-c", query, path).CombinedOutput()
		require.NoError(t, err, string(out))
		var found struct {
			Rows int  `json:"rows"`
			Kept kept `json:"kept"`
		}
		require.NoError(t, json.Unmarshal(out, &found))
		require.Len(t, found.Kept, found.Rows, "an application_id is kept twice")
		return found.Kept
	}}
}

func TestExamplesPutOneIDInOnePartition(t *testing.T) {
	onePartition(t, goExample(t, "emit"), pythonExample(t, "emit"))
}

func TestExamplesReadWhatExamplesEmit(t *testing.T) {
	emittedIsRead(t, []client{goExample(t, "emit"), pythonExample(t, "emit")}, []reader{goReader(t), pythonReader(t)})
}

func TestThePythonExamplesSayWhatIsWrong(t *testing.T) {
	s := embedded(t)
	f := func(c client, in, want string, args ...string) {
		t.Helper()
		a := c.start(t, strings.NewReader(in), args...)
		<-a.ended
		require.Equal(t, 1, a.cmd.ProcessState.ExitCode())
		require.Contains(t, string(a.stderr.bytes()), want)
		require.NotContains(t, string(a.stderr.bytes()), "Traceback")
	}
	run(t, "topics", "apply", "--brokers", s.kafka)
	emit, read := pythonExample(t, "emit"), pythonExample(t, "read")
	good := string(applicationLines(t, []string{"good"}))
	there := []string{"--brokers", s.kafka}
	f(emit, good, "Unknown topic", append(there, "--topic", "none")...)
	f(emit, `{"application_id": "x", "features": {"limit_bal": 1}}`, "line 1: application x: sex is absent", there...)
	f(emit, strings.Replace(good, `"good"`, `""`, 1), `application_id '': expected 1 to 128 bytes`, there...)
	f(emit, "[]", "application_id None: expected", there...)
	f(emit, good+"{", "line 2: Expecting property name", there...)
	f(read, "", "Unknown topic", append(there, "--topic", "none", "--out", filepath.Join(t.TempDir(), "out"))...)
}

// served starts an API on an embedded Kafka and Redis.
func served(t *testing.T) (url string) {
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka)
	address := freeAddress(t)
	service(t, "api", "api", "--brokers", s.kafka, "--redis", s.redis, "--model", "shipped", "--api-listen", address).ready()
	return "http://" + address
}

func (c client) asks(t *testing.T, in io.Reader, env ...string) *app {
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Stdin, cmd.Env = in, env
	a := launch(t, c.name, cmd)
	<-a.ended
	return a
}

func TestExamplesAskTheAPI(t *testing.T) {
	url := served(t)
	for _, c := range []client{pythonExample(t, "predict"), curlExample(t)} {
		a := c.asks(t, bytes.NewReader(applicationLines(t, []string{"信用-1"})), "CREDITSTREAM_URL="+url)
		require.Zero(t, a.cmd.ProcessState.ExitCode())
		var answer struct {
			ID       string `json:"application_id"`
			Decision string `json:"decision"`
		}
		a.answer(&answer)
		require.Equal(t, "信用-1", answer.ID)
		require.Contains(t, []string{"approve", "refer", "decline"}, answer.Decision)

		a = c.asks(t, strings.NewReader(strings.Replace(string(applicationLines(t, []string{"x"})), `"age":`, `"age":7,"ago":`, 1)), "CREDITSTREAM_URL="+url)
		require.NotZero(t, a.cmd.ProcessState.ExitCode())
		said := string(append(a.stdout.bytes(), a.stderr.bytes()...))
		require.Contains(t, said, "The request breaks rules of the contract")
		require.Contains(t, said, "features.age")
	}
}

// unsteady is an API that takes what it is asked only when asked again.
type unsteady struct {
	mu      sync.Mutex
	refusal []int // statuses that come first
	keys    []string
	bodies  []string
	auth    string
}

// ServeHTTP is part of http.Handler.
func (u *unsteady) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	u.keys, u.bodies, u.auth = append(u.keys, r.Header.Get("Idempotency-Key")), append(u.bodies, string(body)), r.Header.Get("Authorization")
	if n := len(u.keys); n <= len(u.refusal) {
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(u.refusal[n-1])
		_, _ = io.WriteString(w, `{"title": "Come back", "status": 503, "recorded": "unknown", "application_id": "a"}`)
		return
	}
	_, _ = io.WriteString(w, `{"decision": "approve"}`)
}

func TestExamplesAskAgainWithTheSameKey(t *testing.T) {
	for _, c := range []client{pythonExample(t, "predict"), curlExample(t)} {
		u := &unsteady{refusal: []int{http.StatusServiceUnavailable, http.StatusTooManyRequests}}
		server := httptest.NewServer(u)
		a := c.asks(t, bytes.NewReader(applicationLines(t, []string{"x"})), "CREDITSTREAM_URL="+server.URL, "CREDITSTREAM_API_KEY=not-a-real-key-0123")
		server.Close()
		require.Zero(t, a.cmd.ProcessState.ExitCode())
		require.Contains(t, string(a.stdout.bytes()), `"approve"`)
		require.Len(t, u.keys, 3)
		require.Len(t, u.keys[0], 36)
		require.Equal(t, []string{u.keys[0], u.keys[0], u.keys[0]}, u.keys)
		require.Equal(t, []string{u.bodies[0], u.bodies[0], u.bodies[0]}, u.bodies)
		require.Equal(t, "Bearer not-a-real-key-0123", u.auth)

		u = &unsteady{refusal: []int{http.StatusUnprocessableEntity}}
		server = httptest.NewServer(u)
		a = c.asks(t, strings.NewReader("{}"), "CREDITSTREAM_URL="+server.URL)
		server.Close()
		require.NotZero(t, a.cmd.ProcessState.ExitCode())
		require.Len(t, u.keys, 1, "what is wrong with a request stays wrong")
	}
}

func TestThePythonExampleStopsAtASignal(t *testing.T) {
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka)
	service(t, "scorer", "score", "--model", "shipped", "--brokers", s.kafka).ready()
	run(t, "produce", "--count", "50", "--rate", "0", "--brokers", s.kafka)
	out := filepath.Join(t.TempDir(), "decisions")
	a := pythonExample(t, "read").start(t, nil, "--brokers", s.kafka, "--out", out)
	until(t, time.Minute, "it has read all", func() bool { return through(t, s, "example-python-read", "credit.predictions", 50) })
	require.NoError(t, a.cmd.Process.Signal(os.Interrupt))
	a.wait(time.Minute)
	require.Contains(t, string(a.stderr.bytes()), "holds 50 decisions")
}
