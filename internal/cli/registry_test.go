package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/schemas"
)

func fakeRegistry(t *testing.T, options ...srfake.Option) *srfake.Registry {
	fake := srfake.New(options...)
	t.Cleanup(fake.Close)
	return fake
}

// The whole way in Avro: producer, scorer, view, feed, watch, outcomes and verify.
func TestADemoInAvro(t *testing.T) {
	fake := fakeRegistry(t)
	dir := t.TempDir()
	r := demoRun(t, "--schema-registry", fake.URL(), "--data-dir", dir, "--decisions", "3000")
	require.EqualValues(t, 3000, r.Decisions)
	for _, topic := range []string{"credit.applications", "credit.predictions", "credit.outcomes"} {
		_, ok := fake.GetSchema(schemas.AvroSubject(topic), 1)
		require.True(t, ok, topic)
	}
	// Malformed ones among them, of either format, behind what was written in Avro.
	r = demoRun(t, "--schema-registry", fake.URL(), "--data-dir", dir, "--decisions", "4000", "--scenario", "broken-feed")
	require.Positive(t, r.DeadLetters)
	require.Greater(t, r.Applications, int64(7000))
}

func TestADemoGoesOnInAvro(t *testing.T) {
	dir := t.TempDir()
	demoRun(t, "--data-dir", dir, "--decisions", "500")
	r := demoRun(t, "--data-dir", dir, "--decisions", "500", "--schema-registry", fakeRegistry(t).URL())
	require.EqualValues(t, 1000, r.Decisions, "both formats are judged")
}

func TestTheAPIPublishesAvro(t *testing.T) {
	fake := fakeRegistry(t)
	w := startAPI(t, "--schema-registry", fake.URL())
	status, body, _ := w.do(http.MethodPost, "/predict", applicationBody("A-1"))
	require.Equal(t, 200, status, body)
	value := w.predictions(1)["A-1"].Value
	id, rest, err := schemas.CutAvroHeader(value)
	require.NoError(t, err)
	registered, ok := fake.GetSchema("t.predictions-value", 1)
	require.True(t, ok)
	require.Equal(t, registered.ID, int(id))
	var p schemas.Prediction
	require.NoError(t, schemas.DecodeAvroPrediction(rest, &p))
	require.Contains(t, body, p.Decision)

	code, out, errs := creditstream(t, "tail", "--prefix", "t", "--brokers", w.broker.Addr(), "--json", "--schema-registry", fake.URL(), "A-1")
	require.Zero(t, code, errs)
	require.JSONEq(t, string(schemas.AppendPrediction(nil, &p)), out)
	code, _, errs = creditstream(t, "tail", "--prefix", "t", "--brokers", w.broker.Addr(), "A-1")
	require.Equal(t, 1, code, "there is none that can be read")
	require.Contains(t, errs, "set --schema-registry")
}

func TestProduceWritesAvro(t *testing.T) {
	fake := fakeRegistry(t)
	addr := brokerWithTopics(t)
	code, stdout, stderr := produced(t.Context(), t, "--brokers", addr, "--count", "200", "--rate", "0", "--malformed", "0.06", "--json", "--schema-registry", fake.URL(), "--outcomes-after", "1ms", "--outcomes-for", "all")
	require.Zero(t, code, stderr)
	var s map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &s))
	require.EqualValues(t, 200, s["produced"])
	require.EqualValues(t, 12, s["malformed_total"])
	require.EqualValues(t, 200, s["outcomes"])
}

func TestTopicsApplyRegistersWhatIsCompatible(t *testing.T) {
	fake := fakeRegistry(t)
	addr := brokerWithTopics(t)
	apply := func(more ...string) (int, string, string) {
		return creditstream(t, append([]string{"topics", "apply", "--brokers", addr, "--schema-registry", fake.URL()}, more...)...)
	}
	code, out, errs := apply()
	require.Zero(t, code, errs)
	require.Contains(t, out, "registered credit.applications-value as id 1, FULL_TRANSITIVE")
	require.Equal(t, 3, strings.Count(out, "FULL_TRANSITIVE"))
	direct, err := sr.NewClient(sr.URLs(fake.URL()))
	require.NoError(t, err)
	require.Equal(t, sr.CompatFullTransitive, direct.Compatibility(t.Context(), "credit.outcomes-value")[0].Level)
	code, out, errs = apply("--json")
	require.Zero(t, code, errs)
	require.Contains(t, out, `"schemas":[{"subject":"credit.applications-value","id":1,"compatibility":"FULL_TRANSITIVE"}`)

	_, _, err = fake.RegisterSchema("credit.predictions-value", sr.Schema{Schema: strings.Replace(schemas.AvroSchema(schemas.EventPrediction), `"fields": [`, `"fields": [{"name": "region", "type": "string"},`, 1), Type: sr.TypeAvro})
	require.NoError(t, err)
	code, _, errs = apply()
	require.Equal(t, 1, code)
	require.Contains(t, errs, "version 2 of credit.predictions-value and this program's schema are not compatible: who reads with it could not read the new: region is missing and has no default")
}

func TestThePasswordOfTheRegistryIsASecret(t *testing.T) {
	fake := fakeRegistry(t, srfake.WithAuth("Basic dXNlcjpwYXNz")) // user:pass
	addr := brokerWithTopics(t)
	args := []string{"topics", "apply", "--brokers", addr, "--schema-registry", fake.URL(), "--schema-registry-user", "user"}
	code, _, errs := creditstream(t, args...)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "HTTP 403")

	code, _, errs = creditstream(t, append(args, "--schema-registry-password", "pass")...)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--schema-registry-password would show in the process list: set CREDITSTREAM_SCHEMA_REGISTRY_PASSWORD, or the file that --schema-registry-password-file names")

	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("pass\n"), 0o600))
	code, _, errs = creditstream(t, append(args, "--schema-registry-password-file", file)...)
	require.Zero(t, code, errs)

	t.Setenv("CREDITSTREAM_SCHEMA_REGISTRY_PASSWORD", "pass")
	code, _, errs = creditstream(t, args...)
	require.Zero(t, code, errs)
	require.Equal(t, flags.Masked, configOf(t, "score")["schema-registry-password"].Value)
	code, _, errs = creditstream(t, append(args, "--schema-registry-password-file", file)...)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "set one of them")
}

func TestAServiceRefusesAnImpossibleRegistry(t *testing.T) {
	for _, command := range []string{"score", "view", "api", "produce", "tail", "verify", "demo"} {
		var out, errs bytes.Buffer
		args := []string{command, "--schema-registry", "localhost:8081"}
		if command == "demo" {
			args = append(args, "--api-listen", "127.0.0.1:0", "--decisions", "1", "--exit")
		}
		require.Equal(t, 2, Run(t.Context(), args, strings.NewReader(""), &out, &errs), command)
		require.Contains(t, errs.String(), "--schema-registry localhost:8081: expected http://HOST:PORT or https://HOST:PORT", command)
	}
}
