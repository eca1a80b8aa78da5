package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/schemas"
)

// replicasOn is an embedded broker with the topics, and a way to say what a replica
// does.
func replicasOn(t *testing.T) (say func(schemas.Replica)) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	t.Setenv("CREDITSTREAM_BROKERS", broker.Addr())
	code, _, errs := creditstream(t, "replicas")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "the cluster has no topic credit.replicas; run: creditstream topics apply")
	code, _, errs = creditstream(t, "topics", "apply")
	require.Zero(t, code, errs)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.DefaultProduceTopic("credit.replicas"))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return func(r schemas.Replica) {
		r.Started, r.At = 1, schemas.At(time.Now())
		record := &kgo.Record{Key: []byte(schemas.ReplicaKey(r.Component, r.Instance)), Value: schemas.AppendReplica(nil, &r)}
		require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	}
}

func TestReplicasAreListed(t *testing.T) {
	say := replicasOn(t)
	code, out, errs := creditstream(t, "replicas", "--json")
	require.Zero(t, code, errs)
	require.Equal(t, `{"replicas":[]}`+"\n", out)
	say(schemas.Replica{Component: "view", Instance: "a", Ready: true})
	say(schemas.Replica{
		Component: "score", Instance: "one", Reason: "scorer: starting",
		Models: &schemas.ReplicaModels{RouteRevision: 3, NewestRevision: 4, Champion: "v1", Canary: "v0", Refused: []schemas.Refusal{{ModelVersion: "v2", Reason: "checksum error"}}},
		Lag:    []schemas.PartitionLag{{Partition: 0, Offsets: 40}, {Partition: 1, Offsets: 2}},
		Recent: schemas.ReplicaStretch{Seconds: 10, Records: 1234},
	})
	code, out, errs = creditstream(t, "replicas")
	require.Zero(t, code, errs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 5, out)
	require.Equal(t, []string{"REPLICA", "READY", "CHAMPION", "CANARY", "SHADOW", "REFUSED", "RATE/S", "P50", "MS", "P99", "MS", "LAG", "AGE"}, strings.Fields(lines[0]))
	require.Equal(t, []string{"score/one", "no", "v1@3", "v0", "-", "v2", "123.4", "-", "-", "42"}, strings.Fields(lines[1])[:10])
	require.Equal(t, []string{"view/a", "yes", "-", "-", "-", "-", "0", "-", "-", "-"}, strings.Fields(lines[2])[:10])
	require.Equal(t, "score/one refuses model v2: checksum error", lines[3])
	require.Equal(t, "score/one is not ready: scorer: starting", lines[4])
	var document struct{ Replicas []replica.Summary }
	code, out, errs = creditstream(t, "replicas", "--json")
	require.Zero(t, code, errs)
	require.NoError(t, json.Unmarshal([]byte(out), &document))
	require.Len(t, document.Replicas, 2)
	require.Equal(t, int64(42), *document.Replicas[0].Lag)
}

func TestARouteIsWaitedFor(t *testing.T) {
	say := replicasOn(t)
	code, _, errs := creditstream(t, "model", "release", "shipped")
	require.Zero(t, code, errs)
	v1 := list1(t)
	policyFile, routes := filepath.Join(t.TempDir(), "policy.yaml"), 0
	far := &schemas.ReplicaModels{RouteRevision: 1000, NewestRevision: 1000}
	route := func(args ...string) (int, string, string) { // each is another: what changes nothing is not written
		if routes++; routes > 1 { // it lives as long as it says so
			say(schemas.Replica{Component: "api", Instance: "ahead", Models: far})
		}
		require.NoError(t, os.WriteFile(policyFile, fmt.Appendf(nil, "%s# %d\n", policy.DefaultText, routes), 0o600))
		return creditstream(t, append([]string{"model", "route", "--champion", v1, "--policy", policyFile, "--why", "test"}, args...)...)
	}
	code, out, errs := route("--wait", "50ms")
	require.Equal(t, 1, code)
	require.Contains(t, out, "route revision 0: champion "+v1)
	require.Contains(t, errs, "revision 0: no scorer and no API is running")

	say(schemas.Replica{Component: "score", Instance: "behind", Models: &schemas.ReplicaModels{RouteRevision: -1, NewestRevision: -1}})
	code, out, errs = route("--expect", "0", "--wait=50ms")
	require.Equal(t, 1, code)
	require.Contains(t, out, "served by api/ahead\n")
	require.Contains(t, errs, "score/behind does not serve it yet: it has read routes up to revision -1\n")
	require.Contains(t, errs, "not served everywhere within 50ms")

	refusing := &schemas.ReplicaModels{RouteRevision: 0, NewestRevision: 1000, Refused: []schemas.Refusal{{ModelVersion: v1, Reason: "checksum error"}}}
	say(schemas.Replica{Component: "score", Instance: "behind", Models: refusing})
	var line routeLine
	current := revisionNow(t)
	code, out, errs = route("--expect", current, "--wait", "--json")
	require.Equal(t, 1, code, errs)
	require.NoError(t, json.Unmarshal([]byte(out), &line))
	require.False(t, line.Wait.Served)
	require.Equal(t, []replica.Refusing{{Replica: "score/behind", ModelVersion: v1, Reason: "checksum error"}}, line.Wait.Refusing)
	require.Equal(t, []string{"api/ahead"}, line.Wait.Serving)
	say(schemas.Replica{Component: "score", Instance: "behind", Models: refusing})
	code, _, errs = route("--expect", revisionNow(t), "--wait")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "score/behind refuses model "+v1+": checksum error\n")

	say(schemas.Replica{Component: "score", Instance: "behind", Models: far})
	code, out, errs = route("--expect", revisionNow(t), "--wait")
	require.Zero(t, code, errs)
	require.Contains(t, out, "served by score/behind, api/ahead\n")
}

// list1 is the one version released.
func list1(t *testing.T) string {
	t.Helper()
	code, out, errs := creditstream(t, "model", "list", "--json")
	require.Zero(t, code, errs)
	var all []listed
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	require.Len(t, all, 1)
	return all[0].Version
}

// revisionNow is the newest route's.
func revisionNow(t *testing.T) string {
	t.Helper()
	code, out, errs := creditstream(t, "model", "history", "--json")
	require.Zero(t, code, errs)
	var all []routeLine
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	return jsonNumber(all[len(all)-1].Revision)
}

func TestReplicas_ForgetsWhatIsGone(t *testing.T) {
	say := replicasOn(t)
	say(schemas.Replica{Component: "score", Instance: "one", Ready: true})
	code, _, errs := creditstream(t, "replicas", "--forget", "score/one")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "score/one reported ")
	code, _, errs = creditstream(t, "replicas", "--forget", "score/onne")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "no replica score/onne is listed; did you mean score/one?")
	c := &replicasCmd{Kafka: flags.Kafka{Brokers: []string{os.Getenv("CREDITSTREAM_BROKERS")}, Prefix: "credit"}, Forget: []string{"score/one"}}
	var errout bytes.Buffer
	p := &process{ctx: t.Context(), log: slog.New(slog.DiscardHandler), stderr: &errout}
	gone := replica.State{Replica: schemas.Replica{Component: "score", Instance: "one"}, Seen: time.Now().Add(-time.Hour)}
	require.NoError(t, c.forget(p, []replica.State{gone}))
	require.Equal(t, "forgot score/one\n", errout.String())
	code, out, errs := creditstream(t, "replicas", "--json")
	require.Zero(t, code, errs)
	require.JSONEq(t, `{"replicas":[]}`, out)
}

// A process that cannot listen never says that it is there.
func TestReplicas_ThatNeverListenedAreNotListed(t *testing.T) {
	replicasOn(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	for _, command := range []string{"score", "view", "produce"} {
		code, _, errs := creditstream(t, command, "--listen", taken.Addr().String())
		require.Equal(t, 1, code)
		require.Contains(t, errs, "address already in use")
	}
	code, out, errs := creditstream(t, "replicas", "--json")
	require.Zero(t, code, errs)
	require.JSONEq(t, `{"replicas":[]}`, out)
}

func TestWaitTakesADurationOrNone(t *testing.T) {
	f := func(value string, args ...string) {
		t.Helper()
		c := configOf(t, append([]string{"model", "route"}, args...)...)
		require.Equal(t, value, c["wait"].Value)
	}
	f("")
	f("1m0s", "--wait")
	f("1m0s", "--wait", "--why", "x")
	f("30s", "--wait=30s", "--why", "x")
	f("30s", "--wait", "30s", "--why", "x")
	t.Setenv("CREDITSTREAM_MODEL_ROUTE_WAIT", "5s")
	f("5s")
	for _, wrong := range []string{"--wait=soon", "--wait=0s", "--wait=-1s"} {
		code, _, errs := creditstream(t, "model", "route", "--champion", "v1", "--why", "x", wrong)
		require.Equal(t, 2, code)
		require.Contains(t, errs, "expected a duration above 0, as 30s")
	}
}

func TestRunRefusesWhatItDoesNotKnow(t *testing.T) {
	code, _, errs := creditstream(t, "run", "score", "produce")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "run produce: expected score, view, api or drift")
	code, _, errs = creditstream(t, "run", "score", "score")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "run score: named twice")
	code, _, _ = creditstream(t, "run")
	require.Equal(t, 2, code)
	c := configOf(t, "run", "score", "view", "--group", "a", "--view-group", "b", "--ttl", "1h", "--sessions", "3")
	require.Equal(t, "a b 1h0m0s 3", c["group"].Value+" "+c["view-group"].Value+" "+c["ttl"].Value+" "+c["sessions"].Value)
}

func TestWhatFailsIsToldOnce(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	for format, with := range map[string]string{"text": "creditstream: ", "json": `"level":"ERROR","msg":"failed"`} {
		code, _, errs := creditstream(t, "--log-format", format, "view", "--brokers", broker.Addr())
		require.Equal(t, 1, code)
		require.Equal(t, 1, strings.Count(errs, "credit.predictions; run: creditstream topics apply"), errs)
		require.Contains(t, errs, with)
	}
}
