package apptest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/local"
)

// A bundle that cannot serve is refused where it is released, and by every replica
// where it came another way: the old one decides until a route is good again.
func TestABundleThatCannotServeServesNowhere(t *testing.T) {
	long(t)
	t.Parallel()
	g := newStage(t, embedded(t))
	scorer := g.routed("one")
	api, listen := g.answering()
	current := g.route(-1, "--champion", g.release(shippedBundle))
	scorer.ready()
	api.ready()

	corrupted := leaning(t, "corrupted", 0.5)
	corrupted[len(corrupted)/2] ^= 1
	foreign := unpackShipped(t)
	foreign.manifest["inputs"].([]any)[0] = "income"
	foreign.manifest["used_inputs"].([]any)[0] = "income"
	lying := unpackShipped(t) // its golden rows are another graph's
	lying.manifest["expected_value"] = lying.manifest["expected_value"].(float64) + lying.lean(0.001)
	for _, bad := range []struct {
		version string
		content []byte
		why     string
	}{
		{"corrupted", corrupted, "checksum error"},
		{"foreign", foreign.pack("foreign"), `inputs[0] is "income", expected "limit_bal"`},
		{"lying", lying.pack("lying"), "disagrees with itself"},
	} {
		require.Contains(t, g.refused("model", "release", bundleFile(t, bad.content)), bad.why)
		require.Contains(t, g.refused("model", "route", "--champion", bad.version, "--expect", fmt.Sprint(g.newest()), "--why", "x"), "not among the released")
		g.put("models", bad.version, bad.content)
		g.putRoute(bad.version)
		waits := func(listen string) bool {
			status, text := shownBy(listen, "/readyz")
			return status == http.StatusOK && strings.Contains(text, bad.version) && strings.Contains(text, bad.why)
		}
		until(t, time.Minute, "both say that it is refused", func() bool { return waits(scorer.listen) && waits(listen) })
		for _, a := range []string{scorer.listen, listen} {
			_, metrics := shownBy(a, "/metrics")
			require.Contains(t, metrics, fmt.Sprintf("creditstream_models_refused{version=%q} 1\n", bad.version))
			require.Contains(t, metrics, fmt.Sprintf("creditstream_models_route_revision %d\n", current))
		}
		before := g.witness.under(current)
		g.emit(200)
		_, ok := predict("http://"+listen+"/predict", "asked-"+bad.version, 1)
		require.True(t, ok)
		g.answered()
		until(t, time.Minute, "the API's decision is read", func() bool { return g.witness.under(current).api == before.api+1 })
	}
	for _, d := range g.witness.made() {
		require.Equal(t, current, d.Revision)
	}

	good := g.route(g.newest(), "--champion", g.release(bundleFile(t, leaning(t, "good", 0.5))))
	until(t, time.Minute, "the good one serves", func() bool {
		_, ok := predict("http://"+listen+"/predict", "asked", 1)
		require.True(t, ok)
		g.emit(4)
		n := g.witness.under(good)
		return n.api > 0 && len(n.stream) > 0
	})
	until(t, time.Minute, "nothing is waited for", func() bool {
		_, one := shownBy(scorer.listen, "/readyz")
		_, other := shownBy(listen, "/readyz")
		return !strings.Contains(one+other, "waits")
	})
	g.answered()
	g.asRouted(g.witness.made())
	scorer.terminate()
	api.terminate()
}

// Other bytes under a version that exists are refused where they are released, and
// passed over where they came another way: also by a replica that starts later.
func TestAVersionKeepsItsFirstBytes(t *testing.T) {
	long(t)
	t.Parallel()
	const first, other = 0.5, -0.5
	g := newStage(t, embedded(t))
	old := g.release(shippedBundle)
	one := g.routed("one")
	candidate := g.release(bundleFile(t, leaning(t, "candidate", first)))
	revision := g.route(-1, "--champion", candidate, "--shadow", old)
	one.ready()
	impostor := leaning(t, "candidate", other)
	require.Contains(t, g.refused("model", "release", bundleFile(t, impostor), "--ungated", "a test"), "released already with other bytes")
	g.put("models", "candidate", impostor)
	until(t, time.Minute, "it is passed over", func() bool {
		_, metrics := shownBy(one.listen, "/metrics")
		return strings.Contains(metrics, "creditstream_models_ignored_records_total 1\n")
	})
	g.emit(200)
	g.answered()
	one.terminate()
	two := g.routed("two").ready()
	again := g.route(revision, "--champion", old, "--shadow", candidate)
	g.emit(200)
	until(t, time.Minute, "the other route has taken effect", func() bool {
		g.emit(4)
		return len(g.witness.under(again).stream) > 0
	})
	g.exact()
	for _, d := range g.witness.made() {
		by := first
		if d.Revision == revision {
			by = -first // the shadow is the old one
		}
		leansBy(t, by, d.Shadow.probability, d.probability, d.id)
	}
	two.terminate()
}

// policyText is the default policy, as a lender might write it down.
const policyText = `threshold: 0.5
approve_below: 0.20
decline_from: 0.45
max_missing: 3
points: {base: 600, base_odds: 50, pdo: 20}
`

// oneRoutes lets several people route at once: one does, the others are told, and
// what was routed is the history.
func (g *stage) oneRoutes() {
	t := g.t
	version := g.release(shippedBundle)
	current := g.route(-1, "--champion", version)
	written := []int64{current}
	for round := range 3 {
		var routers []*app
		for i := range 3 {
			// Each asks for something else: the same route twice would be there already.
			policy := filepath.Join(t.TempDir(), "policy.yaml")
			require.NoError(t, os.WriteFile(policy, fmt.Appendf(nil, "%s# round %d, router %d\n", policyText, round, i), 0o600))
			routers = append(routers, start(t, fmt.Sprint("router-", i), g.routing("route", current, "--policy", policy)...))
		}
		before := current
		for _, r := range routers {
			<-r.ended
			if r.cmd.ProcessState.ExitCode() == 0 {
				var w revision
				r.answer(&w)
				written, current = append(written, w.Revision), w.Revision
				continue
			}
			said := string(r.stderr.bytes())
			require.True(t, strings.Contains(said, fmt.Sprintf("--expect %d: the current revision is", before)) || strings.Contains(said, "came in between"), said)
		}
		require.Greater(t, current, before, "one is written")
	}
	require.Len(t, written, 4, "one of each three")
	var history []int64
	for _, r := range g.history() {
		history = append(history, r.Revision)
	}
	require.Equal(t, written, history)
}

func TestOfTwoRoutersAtOnceOneRoutes(t *testing.T) {
	long(t)
	t.Parallel()
	newStage(t, embedded(t)).oneRoutes()
}

// A route that is written while a scorer is away decides everything that it
// decides when it is back; one that is written while it comes back, from some
// application on.
func TestAReleaseWhileAScorerRestarts(t *testing.T) {
	long(t)
	t.Parallel()
	g := newStage(t, embedded(t))
	g.score = []string{"--static"} // a killed member's partitions need not wait for its session to expire
	versions := []string{g.release(shippedBundle), g.release(bundleFile(t, leaning(t, "candidate", 0.5)))}
	current := g.route(-1, "--champion", versions[0])
	one := g.routed("one").ready()
	stop := g.steady(500)
	type change struct {
		to   int64
		gone time.Time // since when the scorer was away
	}
	var changes []change
	for i, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL} {
		g.decidesUnder(current, 50)
		require.NoError(t, one.cmd.Process.Signal(signal))
		<-one.ended
		gone := time.Now()
		if i == 2 {
			one = g.routed("one") // and the route comes when it comes
			gone = time.Time{}
		}
		current = g.route(current, "--champion", versions[(i+1)%2])
		changes = append(changes, change{current, gone})
		if i < 2 {
			one = g.routed("one")
		}
	}
	g.decidesUnder(current, 50)
	stop()
	g.exact()
	decisions := g.witness.made()
	g.asRouted(decisions)
	inTurn(t, decisions)
	for _, d := range decisions {
		for _, c := range changes {
			if !c.gone.IsZero() && d.at.After(c.gone) {
				require.GreaterOrEqual(t, d.Revision, c.to, "decided when it was back")
			}
		}
	}
	one.terminate()
}

// What a replica has at hand does not serve before it knows whether a route says
// otherwise.
func TestAReplicaThatHasNotCaughtUpServesNothing(t *testing.T) {
	long(t)
	t.Parallel()
	broker, err := local.StartKafka("", kfake.SleepOutOfOrder())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	redis, err := local.StartRedis()
	require.NoError(t, err)
	t.Cleanup(redis.Close)
	g := newStage(t, servers{broker.Addr(), redis.Addr()})
	revision := g.route(-1, "--champion", g.release(bundleFile(t, leaning(t, "candidate", 0.5))))
	g.emit(200)

	let, waiting := g.hold(broker, "models")
	scorer := g.routed("one", "--model", "shipped")
	api, listen := g.answering("--model", "shipped")
	until(t, time.Minute, "both have asked for the models", func() bool { return waiting() >= 2 })
	reading := "reading " + g.prefix + ".models and " + g.prefix + ".routes"
	until(t, time.Minute, "both say what they wait for", func() bool { return saysWhy(scorer.listen, reading) && saysWhy(listen, reading) })
	answer := post("http://"+listen+"/predict", "", question("early", 1))
	require.Equal(t, http.StatusServiceUnavailable, answer.status)
	require.Contains(t, string(answer.body), "no-model")
	require.Empty(t, g.owned(), "it owns nothing that another could decide")
	let()
	scorer.ready()
	api.ready()
	_, ok := predict("http://"+listen+"/predict", "late", 1)
	require.True(t, ok)
	until(t, time.Minute, "the API's decision is read", func() bool { return g.witness.requested() == 1 })
	g.exact()
	for _, d := range g.witness.made() {
		require.Equal(t, revision, d.Revision)
	}
	g.asRouted(g.witness.made())
	scorer.terminate()
	api.terminate()
}

// hold keeps back every fetch that asks for a topic, until it is let go. waiting
// counts them.
func (g *stage) hold(broker *local.Kafka, topic string) (let func(), waiting func() int) {
	topics, err := kadm.NewClient(newClient(g.t, g.servers)).ListTopics(g.t.Context(), g.prefix+"."+topic)
	require.NoError(g.t, err)
	id := [16]byte(topics[g.prefix+"."+topic].ID)
	var (
		held atomic.Int64
		free = make(chan struct{})
	)
	broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster().KeepControl()
		for _, t := range request.(*kmsg.FetchRequest).Topics {
			if t.TopicID == id {
				held.Add(1)
				broker.Cluster().SleepControl(func() { <-free })
				break
			}
		}
		return nil, nil, false
	})
	return func() { close(free) }, func() int { return int(held.Load()) }
}
