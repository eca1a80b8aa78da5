//go:build chaos

package apptest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

const (
	stormRate = 2000 // applications per second
	again     = 20   // every so many applications comes a second time later

	// How long readers of committed records may be held back. An abandoned
	// transaction ends with its own timeout, 8 s, when the coordinator next looks
	// for such, every 10 s unless the broker is told otherwise. A broker that is
	// killed is missed after 9 s, its coordinator takes over, and only then looks.
	heldAtMost       = (8 + 10 + 5) * time.Second
	heldInOutageMost = heldAtMost + (9+10)*time.Second

	// A killed member keeps its partitions for 10 s, in either protocol, and what came
	// meanwhile is to be answered too.
	drainedWithin = 2 * time.Minute
)

// storm is everything running, and what goes wrong with it.
type storm struct {
	t       *testing.T
	servers servers
	prefix  string
	dir     string // of the logs
	began   time.Time
	cluster *cluster
	scorers []*replica
	views   []*replica
	api     *replica
	redis   *replica

	mu        sync.Mutex
	outages   []held // guarded by mu: when a broker was away; only from and to are set
	redisAway []held // guarded by mu: when Redis was, or lost what it held; likewise
}

// TestChaos plays a seed's script on three brokers while applications come in,
// lets everything come back, and then judges what is on the topics and in Redis.
func TestChaos(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("CREDITSTREAM_CHAOS_SEED"), 10, 64)
	require.NoError(t, err, "CREDITSTREAM_CHAOS_SEED; run: make chaos-short SEED=n")
	length, err := time.ParseDuration(os.Getenv("CREDITSTREAM_CHAOS_LENGTH"))
	require.NoError(t, err, "CREDITSTREAM_CHAOS_LENGTH; run: make chaos-short")
	s := newStorm(t, seed)
	protocol := [][]string{{}, {"--group-protocol", "consumer"}, {"--static"}}[seed%3]
	lanes := script(seed, length)
	t.Logf("seed %d, %s, score %s; logs in %s", seed, length, strings.Join(protocol, " "), s.dir)
	for _, l := range lanes {
		for _, f := range l.faults {
			t.Logf("script: %-9s %s", l.name, f)
		}
	}

	apply := []string{"topics", "apply", "--partitions", "6", "--group", s.prefix}
	if len(protocol) == 2 {
		apply = append(apply, protocol...)
	}
	run(t, s.with(apply...)...)
	s.startOthers()
	listen := s.api.args[slices.Index(s.api.args, "--api-listen")+1]
	asker, keys := newAsker(listen, s.prefix), newKeyed(listen, s.prefix)
	asking, stopAsking := context.WithCancel(t.Context())
	var background sync.WaitGroup
	t.Cleanup(func() { stopAsking(); background.Wait() })
	background.Go(func() { asker.ask(asking) })
	background.Go(func() { keys.ask(asking) })
	until(t, time.Minute, "the API has answered", func() bool { return asker.count() > 0 })
	s.startScorers(protocol)
	bar := newBarrier(newClient(t, s.servers), s.prefix+".predictions", s.prefix+".applications.dlq")
	background.Go(func() { bar.watch(asking) })

	s.began = time.Now()
	n := int(length.Seconds()) * stormRate
	emit := func(count, rate int) *app {
		return start(t, "produce", s.with("produce", "--json", "--population", "--seed", strconv.FormatUint(seed, 10), "--malformed", "0.01",
			"--id-prefix", s.prefix+"-", "--count", strconv.Itoa(count), "--rate", strconv.Itoa(rate))...)
	}
	first, second := emit(n, stormRate), emit(n/again, stormRate/again)
	s.play(lanes)
	s.say("all is mended")
	var emitted, repeated summary
	for p, into := range map[*app]*summary{first: &emitted, second: &repeated} {
		p.wait(2 * time.Minute)
		p.answer(into)
	}
	require.Equal(t, n, emitted.Produced)
	require.Equal(t, n/again, repeated.Produced)
	s.drain()
	stopAsking()
	background.Wait()
	keys.settle(t)
	s.judge(emitted, repeated, asker, keys, bar)
}

func newStorm(t *testing.T, seed uint64) *storm {
	s := &storm{t: t, prefix: fmt.Sprintf("chaos-%d", seed), dir: os.Getenv("CREDITSTREAM_CHAOS_LOGS"), began: time.Now()}
	s.servers = servers{kafka: os.Getenv("CREDITSTREAM_TEST_KAFKA"), redis: freeAddress(t)}
	require.DirExists(t, s.dir, "CREDITSTREAM_CHAOS_LOGS; run: make chaos-short")
	require.Len(t, strings.Split(s.servers.kafka, ","), brokerCount, "CREDITSTREAM_TEST_KAFKA; run: make chaos-short")
	s.cluster = &cluster{"../deploy/dev/kafka.sh", newClient(t, s.servers)}
	return s
}

func (s *storm) with(args ...string) []string {
	return append(args, "--brokers", s.servers.kafka, "--prefix", s.prefix)
}

// say notes what happens, with the time since the beginning.
func (s *storm) say(format string, args ...any) {
	s.t.Logf("%6.1fs %s", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

func (s *storm) launch(r *replica) *replica {
	s.t.Cleanup(func() {
		if err := r.stop(syscall.SIGKILL); err != nil {
			s.t.Error(err)
		}
	})
	require.NoError(s.t, r.start())
	return r
}

// service is a replica of the binary that says whether it is ready.
func (s *storm) service(name string, args ...string) *replica {
	r := newReplica(s.dir, name, os.Getenv(binary), s.with(args...)...)
	r.listen = freeAddress(s.t)
	r.args = append(r.args, "--listen", r.listen)
	return s.launch(r)
}

// startOthers starts everything but the scorers.
func (s *storm) startOthers() {
	host, port, _ := strings.Cut(s.servers.redis, ":")
	s.redis = s.launch(newReplica(s.dir, "redis", "redis-server", "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", s.dir))
	for i := range viewReplicas {
		s.views = append(s.views, s.service(fmt.Sprint("view-", i), "view", "--redis", s.servers.redis))
	}
	s.api = s.service("api", "api", "--model", "shipped", "--redis", s.servers.redis, "--api-listen", freeAddress(s.t), "--no-feed", "--shutdown-delay", "0s")
	s.ready(append(s.views, s.api)...)
}

func (s *storm) startScorers(protocol []string) {
	for i := range scorerReplicas {
		name := fmt.Sprint("scorer-", i)
		s.scorers = append(s.scorers, s.service(name, append([]string{"score", "--model", "shipped", "--group", s.prefix, "--instance", name}, protocol...)...))
	}
	s.ready(s.scorers...)
}

// ready waits until replicas can do their work.
func (s *storm) ready(all ...*replica) {
	for _, r := range all {
		until(s.t, 2*time.Minute, r.name+" is ready", func() bool { return isReady(r.listen) })
	}
}

// play lets everything go wrong that the script says, and returns when the last
// has been mended.
func (s *storm) play(lanes []lane) {
	group, ctx := errgroup.WithContext(s.t.Context())
	for _, l := range lanes {
		group.Go(func() error {
			for _, f := range l.faults {
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(time.Until(s.began.Add(f.at))):
				}
				s.say("%s %d for %.1fs", f.kind, f.target, f.lasting.Seconds())
				if err := s.inject(ctx, f); err != nil {
					return fmt.Errorf("%s %d: %w", f.kind, f.target, err)
				}
			}
			return nil
		})
	}
	require.NoError(s.t, group.Wait())
}

// inject does what a fault says and mends it.
func (s *storm) inject(ctx context.Context, f fault) error {
	kill := func(r *replica, signal syscall.Signal) error {
		if err := r.stop(signal); err != nil {
			return err
		}
		time.Sleep(f.lasting) // the fault itself: nothing else says that it is over
		return r.start()
	}
	switch f.kind {
	case "kill scorer":
		return kill(s.scorers[f.target], syscall.SIGKILL)
	case "terminate scorer":
		return kill(s.scorers[f.target], syscall.SIGTERM)
	case "pause scorer":
		return s.scorers[f.target].pause(f.lasting)
	case "second scorer":
		return s.twin(s.scorers[f.target], f.lasting)
	case "kill view":
		return kill(s.views[f.target], syscall.SIGKILL)
	case "pause view":
		return s.views[f.target].pause(f.lasting)
	case "kill redis":
		return s.withoutRedis(func() error { return kill(s.redis, syscall.SIGKILL) })
	case "pause redis":
		return s.withoutRedis(func() error { return s.redis.pause(f.lasting) })
	case "wipe redis":
		return s.withoutRedis(func() error { return s.wipe(ctx) })
	case "kill broker":
		return s.outage(ctx, f.target+1, f.lasting)
	case "kill controller":
		node, err := s.cluster.controller(ctx)
		if err != nil {
			return err
		}
		return s.outage(ctx, node, f.lasting)
	case "add partitions":
		return s.addPartitions(ctx, 6+f.target)
	}
	return fmt.Errorf("no such fault: %s", f.kind)
}

// withoutRedis notes when Redis was away, or lost what it held.
func (s *storm) withoutRedis(how func() error) error {
	away := held{from: time.Now()}
	err := how()
	away.to = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redisAway = append(s.redisAway, away)
	return err
}

// wipe empties Redis.
func (s *storm) wipe(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: s.servers.redis})
	defer client.Close() //nolint:errcheck // nothing is left to be written
	return client.FlushAll(ctx).Err()
}

// twin runs a second process under a running one's instance. It is refused, or, where
// the first has been silent, each fences the other for as long as both are started
// again.
func (s *storm) twin(r *replica, lasting time.Duration) error {
	args := slices.Clone(r.args)
	args[slices.Index(args, "--listen")+1] = ""
	twin := newReplica(s.dir, r.name+"-twin", r.binary, args...)
	if err := twin.start(); err != nil {
		return err
	}
	time.Sleep(lasting) // as long as both are to fight: the fault itself
	if err := twin.stop(syscall.SIGTERM); err != nil {
		return err
	}
	s.say("second %s: ended by itself %v", r.name, twin.ended())
	r.note(twin.ended())
	return nil
}

func (s *storm) outage(ctx context.Context, node int, lasting time.Duration) error {
	o := held{from: time.Now()}
	err := s.cluster.outage(ctx, node, lasting)
	o.to = time.Now()
	s.say("node %d was away, and all are in sync again after %s", node, o.lasted().Round(100*time.Millisecond))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outages = append(s.outages, o)
	return err
}

// addPartitions asks until the brokers can.
func (s *storm) addPartitions(ctx context.Context, n int) error {
	for deadline := time.Now().Add(time.Minute); ; {
		out, err := exec.CommandContext(ctx, os.Getenv(binary), s.with("topics", "apply", "--update", "--partitions", strconv.Itoa(n))...).CombinedOutput()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
}

// drain waits until nothing is left to be answered and everybody is ready.
func (s *storm) drain() {
	ctx, left := s.t.Context(), int64(-1)
	until(s.t, drainedWithin, "every application is answered", func() bool {
		var err error
		left, err = behind(ctx, s.cluster.client, s.prefix, s.prefix+".applications")
		return err == nil && left == 0
	})
	s.say("every application is answered")
	s.ready(append(append(s.scorers, s.views...), s.api)...)
	s.say("everything is ready")
}

// judge says whether all went well all the same.
func (s *storm) judge(emitted, repeated summary, asker *asker, keys *keyed, bar *barrier) {
	t := s.t
	applications := emitted.Produced + emitted.Malformed + repeated.Produced + repeated.Malformed
	letters := emitted.Malformed + repeated.Malformed

	var v verdict
	judge := start(t, "verify", s.with("verify", "--json", "--group", s.prefix)...)
	judge.wait(5 * time.Minute)
	judge.answer(&v)
	require.GreaterOrEqual(t, v.APIOnly, asker.count())
	require.Equal(t, verdict{
		Applications: applications, Predictions: applications - letters, DeadLetters: letters,
		Repeated: v.Repeated, APIOnly: v.APIOnly, // an id's second application may be in a partition added since
	}, v)

	w := watch(t, s.servers, s.prefix)
	until(t, 5*time.Minute, "the witness has read everything", func() bool {
		return w.emitted() == applications && w.answered() == applications && w.requested() == v.APIOnly
	})
	require.Equal(t, counts{applications: applications, predictions: applications - letters, letters: letters, asked: v.APIOnly}, w.judge())
	last, byID := w.predictions(), w.requests()
	require.Len(t, last, emitted.Produced+len(byID))
	shown := func() bool { return len(differing(t, s.servers, s.prefix, last)) == 0 }
	until(t, 2*time.Minute, "Redis holds the last prediction of every id", shown)
	// Views that were killed have looked at Redis when they came back; those that
	// run must notice by themselves.
	require.NoError(t, s.wipe(t.Context()))
	until(t, 2*time.Minute, "Redis holds it again", shown)
	acknowledged := asker.acknowledged()
	for id, answer := range acknowledged {
		require.True(t, holds(last[id].value, answer), "%s was answered %s, the topic has %s", id, answer, last[id].value)
	}
	ids, replays, twice := keys.judge(t, byID, s.redisAway)
	for _, id := range ids {
		delete(byID, id)
	}
	for id, records := range byID {
		require.True(t, strings.HasPrefix(id, asker.prefix), "%s is nobody's", id)
		require.Len(t, records, 1, id)
	}

	s.judgeHolds(bar)
	exits := s.judgeExits()
	for _, r := range append(append(s.scorers, s.views...), s.api) {
		require.NoError(t, r.stop(syscall.SIGTERM))
	}
	s.say("%d applications, %d of them a second time, %d malformed: none lost, duplicated or altered; %d of %d API requests acknowledged, all on the topic; %d idempotency keys, %d answers given again, %d keys decided anew when Redis had lost them; %d ids in Redis; processes ended by themselves: %v",
		applications, repeated.Produced+repeated.Malformed, letters, len(acknowledged), asker.asked(), len(ids), replays, twice, len(last), exits)
}

// judgeHolds holds that readers of committed records were not held back longer
// than an abandoned transaction takes to be aborted: with all brokers there, and
// in all, where one was away for a part of it.
func (s *storm) judgeHolds(bar *barrier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var longest, longestWhole held
	var whole time.Duration // of longestWhole, that no broker was away
	for _, h := range bar.seen() {
		if h.lasted() > longest.lasted() {
			longest = h
		}
		besides := h.lasted()
		for _, o := range s.outages { // one after the other
			besides -= max(0, h.common(o))
		}
		if besides > whole {
			longestWhole, whole = h, besides
		}
	}
	s.say("readers of committed records were held back longest: %s; with all brokers there: %s of %s", longest, whole.Round(100*time.Millisecond), longestWhole)
	assert.LessOrEqual(s.t, longest.lasted(), heldInOutageMost)
	assert.LessOrEqual(s.t, whole, heldAtMost)
}

// judgeExits holds that no process ended by itself but for a reason that is
// meant, and counts those.
func (s *storm) judgeExits() map[string]int {
	meant := []string{
		"another process runs as instance", // a second one did
		"another process runs as score/",   // the first one does
		"did not end within",               // a transaction; the brokers abort it
		"not drained within",
	}
	counts := map[string]int{}
	for _, r := range append(append(s.scorers, s.views...), s.api, s.redis) {
		for why, n := range r.ended() {
			known := slices.IndexFunc(meant, func(m string) bool { return strings.Contains(why, m) })
			if known < 0 || !slices.Contains(s.scorers, r) {
				assert.Fail(s.t, "a process ended by itself", "%s, %d times: %s", r.name, n, why)
				continue
			}
			counts[meant[known]] += n
		}
	}
	return counts
}
