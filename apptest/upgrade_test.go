//go:build upgrade

package apptest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// formerBinary names the environment variable that names the binary of the release
// before; deploy/dev/test-upgrade.sh builds it from the history.
const formerBinary = "CREDITSTREAM_FORMER_BINARY"

// upgrade is a deployment of the release before, with its groups called scorer and
// view, and the replicas of this one that take its place.
type upgrade struct {
	t       *testing.T
	servers servers
	prefix  string
	emitted int // applications and malformed ones
}

func (u *upgrade) with(args ...string) []string {
	return append(args, "--brokers", u.servers.kafka, "--prefix", u.prefix)
}

// former starts a service of the release before.
func (u *upgrade) former(name string, args ...string) *app {
	a := launch(u.t, "former-"+name, exec.Command(os.Getenv(formerBinary), u.with(args...)...))
	for i, arg := range args {
		if arg == "--listen" {
			a.listen = args[i+1]
		}
	}
	return a
}

// scorer are the arguments of one, in the group that it finds by itself.
func (u *upgrade) scorer(instance string) []string {
	return []string{"score", "--model", "shipped", "--instance", instance, "--sessions", "2"}
}

// emit emits applications, malformed ones among them; how many is known once it has
// ended.
func (u *upgrade) emit(count, rate int) *app {
	return start(u.t, "produce", u.with("produce", "--json", "--malformed", "0.01", "--population", "--seed", fmt.Sprint(rand.Uint32()),
		"--count", fmt.Sprint(count), "--rate", fmt.Sprint(rate))...)
}

func (u *upgrade) count(produce *app) {
	var s summary
	produce.wait(time.Minute)
	produce.answer(&s)
	u.emitted += s.Produced + s.Malformed
}

// judged is what verify says once everything has been answered.
func (u *upgrade) judged() (v verdict, group string) {
	until(u.t, 2*time.Minute, "everything is answered", func() bool {
		a := start(u.t, "verify", u.with("verify", "--json")...)
		<-a.ended
		var all struct {
			verdict
			Group string `json:"group"`
		}
		if json.Unmarshal(a.stdout.bytes(), &all) != nil {
			return false
		}
		v, group = all.verdict, all.Group
		return v.Applications == u.emitted && v.Pending == 0
	})
	return v, group
}

// exact holds that everything was answered once.
func (u *upgrade) exact(group string) {
	u.t.Helper()
	v, judged := u.judged()
	require.Equal(u.t, group, judged)
	require.Equal(u.t, verdict{Applications: u.emitted, Predictions: v.Predictions, DeadLetters: u.emitted - v.Predictions}, v)
	require.NotZero(u.t, v.DeadLetters)
}

// scores says whether a scorer has decided anything.
func scores(a *app) bool {
	_, text := shownBy(a.listen, "/metrics")
	return regexp.MustCompile(`(?m)^creditstream_scorer_decisions_total\S* [1-9]`).MatchString(text)
}

func TestUpgrade_OldAndNewScoreSideBySide(t *testing.T) {
	require.NotEmpty(t, os.Getenv(formerBinary), "run it by make test-upgrade")
	u := &upgrade{t: t, servers: embedded(t), prefix: fmt.Sprintf("apptest-%08x", rand.Uint32())}
	u.former("topics", "topics", "apply", "--partitions", "4").wait(time.Minute)
	w := watch(t, u.servers, u.prefix)

	one, two := u.former("one", append(u.scorer("one"), "--listen", freeAddress(t))...), u.former("two", append(u.scorer("two"), "--listen", freeAddress(t))...)
	one.ready()
	two.ready()
	view := u.former("view", "view", "--redis", u.servers.redis, "--listen", freeAddress(t)).ready()
	const all = 24_000
	produce := u.emit(all, 2000)
	answered := func(n int) {
		until(t, 2*time.Minute, fmt.Sprint(n, " are answered"), func() bool { return w.answered() >= n })
	}

	// One after the other, while applications come in: one ends as it is told to, the
	// other is killed in the middle of what it does.
	answered(all / 12)
	one.terminate()
	one = service(t, "one", u.with(u.scorer("one")...)...).ready()
	one.says(regexp.MustCompile(`former name.* group=scorer`))
	until(t, time.Minute, "old and new both score", func() bool { return scores(one) })
	answered(all / 3)
	two.kill()
	two = service(t, "two", u.with(u.scorer("two")...)...).ready()
	// The new view writes keys of its own, and is unready until they are all there.
	view.terminate()
	view = service(t, "view", u.with("view", "--redis", u.servers.redis)...).ready()
	// A replica of the release before comes back by mistake: it fences the new one of
	// that name by the same transactional id, and is fenced in turn.
	answered(all / 2)
	back := u.former("back", u.scorer("one")...)
	<-one.ended
	back.kill()
	one = service(t, "one", u.with(u.scorer("one")...)...).ready()
	u.count(produce)
	u.exact("scorer")
	last := w.predictions()
	until(t, time.Minute, "Redis holds the last prediction of every id", func() bool { return len(differing(t, u.servers, u.prefix, last)) == 0 })

	// Renamed: not while somebody is in it.
	refused := start(t, "adopt-groups", u.with("topics", "adopt-groups")...)
	<-refused.ended
	require.Equal(t, 1, refused.cmd.ProcessState.ExitCode())
	require.Regexp(t, `group scorer has members: creditstream-score-one at `, string(refused.stderr.bytes()))
	for _, a := range []*app{one, two, view} {
		a.terminate()
	}
	for range 2 {
		run(t, u.with("topics", "adopt-groups")...)
	}
	one = service(t, "one", u.with(u.scorer("one")...)...).ready()
	u.count(u.emit(2000, 0))
	u.exact(u.prefix + ".scorer")

	// The release before does not answer again what was answered since.
	late := u.former("late", u.scorer("two")...)
	<-late.ended
	require.Equal(t, 1, late.cmd.ProcessState.ExitCode())
	require.Contains(t, string(late.stderr.bytes()), "no committed offsets")
	one.terminate()
	u.exact(u.prefix + ".scorer")
	c := w.judge()
	require.Equal(t, counts{applications: u.emitted, predictions: c.predictions, letters: u.emitted - c.predictions}, c)
}
