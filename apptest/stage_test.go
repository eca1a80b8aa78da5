package apptest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// stage is a test's own topics, group and ids on some Kafka and Redis.
type stage struct {
	t       *testing.T
	servers servers
	prefix  string
	score   []string // more flags for the scorers
	witness *witness
	admin   *kadm.Client // once somebody has asked for the group
	emitted int          // applications and malformed ones
}

const stagePartitions = 4

// newStage creates the topics. Flags are those of scorers that also apply knows.
func newStage(t *testing.T, s servers, flags ...string) *stage {
	g := bareStage(t, s, flags...)
	run(t, g.with(append([]string{"topics", "apply", "--partitions", fmt.Sprint(stagePartitions), "--group", g.prefix}, flags...)...)...)
	g.witness = watch(t, s, g.prefix)
	return g
}

// bareStage creates nothing.
func bareStage(t *testing.T, s servers, flags ...string) *stage {
	return &stage{t: t, servers: s, prefix: fmt.Sprintf("apptest-%08x", rand.Uint32()), score: flags}
}

func (g *stage) with(args ...string) []string {
	return append(args, "--brokers", g.servers.kafka, "--prefix", g.prefix)
}

// scorer starts one, with more flags of its own.
func (g *stage) scorer(instance string, flags ...string) *app {
	args := append([]string{"score", "--model", "shipped", "--group", g.prefix, "--instance", instance}, g.score...)
	return service(g.t, instance, g.with(append(args, flags...)...)...)
}

// view starts one.
func (g *stage) view(name string) *app {
	return service(g.t, name, g.with("view", "--redis", g.servers.redis)...)
}

// emit emits n applications, some malformed ones among them, and waits until
// they are on the topic.
func (g *stage) emit(n int) {
	var emitted summary
	p := run(g.t, g.with("produce", "--json", "--malformed", "0.01", "--rate", "0", "--count", fmt.Sprint(n))...)
	p.answer(&emitted)
	g.emitted += emitted.Produced + emitted.Malformed
}

// witnessed waits until the witness has read everything emitted: one batch that is damaged
// under way takes the whole answer of the broker from it, and it asks for the same again.
func (g *stage) witnessed() {
	until(g.t, time.Minute, "every application is read", func() bool { return g.witness.emitted() >= g.emitted })
}

// answered waits until everything emitted has been answered.
func (g *stage) answered() {
	until(g.t, 2*time.Minute, "every application is answered", func() bool { return g.witness.answered() >= g.emitted })
}

// exact holds that everything emitted was answered once, by both judges.
func (g *stage) exact() {
	g.answered()
	g.witnessed()
	c := g.witness.judge()
	require.Equal(g.t, counts{applications: g.emitted, predictions: g.emitted - c.letters, letters: c.letters, asked: c.asked}, c)
	var v verdict
	until(g.t, time.Minute, "the group's offsets are at the end", func() bool {
		run(g.t, g.with("verify", "--json", "--group", g.prefix)...).answer(&v)
		return v.Pending == 0
	})
	require.Equal(g.t, verdict{Applications: g.emitted, Predictions: c.predictions, DeadLetters: c.letters, APIOnly: c.asked}, v)
}
