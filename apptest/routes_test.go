package apptest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// revision is a route as `model history --json` and `model route --json` print it.
type revision struct {
	Revision int64  `json:"revision"`
	Champion string `json:"champion"`
	Canary   *struct {
		Version string  `json:"model_version"`
		Share   float64 `json:"share"`
	} `json:"canary"`
	Shadow        *string `json:"shadow"`
	PolicyVersion string  `json:"policy_version"`
	Policy        string  `json:"policy"`
	Why           string  `json:"why"`
}

// release releases a bundle, whatever its gates say, and returns its version.
func (g *stage) release(file string) string {
	version, _ := g.releaseAs(file, "--ungated", "a test")
	return version
}

// route writes a route after the one that is expected to be current; below 0: the
// first.
func (g *stage) route(expected int64, args ...string) int64 {
	var written revision
	run(g.t, g.routing("route", expected, args...)...).answer(&written)
	require.Greater(g.t, written.Revision, expected)
	return written.Revision
}

func (g *stage) routing(command string, expected int64, args ...string) []string {
	all := append([]string{"model", command, "--json", "--why", "a test"}, args...)
	if expected >= 0 {
		all = append(all, "--expect", fmt.Sprint(expected))
	}
	return g.with(all...)
}

// history are all revisions, oldest first.
func (g *stage) history() (all []revision) {
	run(g.t, g.with("model", "history", "--json")...).answer(&all)
	return all
}

// newest is the newest revision.
func (g *stage) newest() int64 {
	all := g.history()
	return all[len(all)-1].Revision
}

// refused runs a command that must say no, or that not all went well, and returns
// what it says.
func (g *stage) refused(args ...string) string {
	a := start(g.t, args[0], g.with(args...)...)
	<-a.ended
	require.Equal(g.t, 1, a.cmd.ProcessState.ExitCode())
	return string(a.stderr.bytes())
}

// routed starts a scorer that serves what routes say and nothing else.
func (g *stage) routed(instance string, flags ...string) *app {
	args := append([]string{"score", "--group", g.prefix, "--instance", instance}, g.score...)
	return service(g.t, instance, g.with(append(args, flags...)...)...)
}

// answering starts an API and says where it answers.
func (g *stage) answering(flags ...string) (a *app, listen string) {
	listen = freeAddress(g.t)
	args := append([]string{"api", "--redis", g.servers.redis, "--api-listen", listen, "--no-feed", "--shutdown-delay", "0s"}, flags...)
	return service(g.t, "api", g.with(args...)...), listen
}

// put writes to a topic what no command would.
func (g *stage) put(topic, key string, value []byte) {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = 8 << 20
	producer, err := sarama.NewSyncProducer([]string{g.servers.kafka}, config)
	require.NoError(g.t, err)
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: g.prefix + "." + topic, Key: sarama.StringEncoder(key), Value: sarama.ByteEncoder(value)})
	require.NoError(g.t, err)
	require.NoError(g.t, producer.Close())
}

// putRoute writes a route to a champion that `model route` would refuse.
func (g *stage) putRoute(champion string) {
	all := g.history()
	value, err := json.Marshal(map[string]any{
		"champion": champion, "canary": nil, "shadow": nil, "policy": all[len(all)-1].Policy,
		"by": "somebody", "at": "2026-11-25T12:00:00Z", "why": "by another way",
	})
	require.NoError(g.t, err)
	g.put("routes", "", value)
}

// shownBy is what a service shows; the status is 0 while it does not listen yet.
func shownBy(listen, path string) (status int, text string) {
	answer, err := http.Get("http://" + listen + path)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, ""
	}
	return answer.StatusCode, string(b)
}

// steady emits applications at a rate until it is stopped.
func (g *stage) steady(rate int) (stop func()) {
	p := start(g.t, "produce", g.with("produce", "--json", "--population", "--rate", fmt.Sprint(rate))...)
	return func() {
		p.terminate()
		var emitted summary
		p.answer(&emitted)
		g.emitted += emitted.Produced
	}
}

// decidesUnder waits until a revision has decided n more applications in every
// partition.
func (g *stage) decidesUnder(revision int64, n int) {
	before := g.witness.under(revision)
	until(g.t, time.Minute, fmt.Sprintf("revision %d decides in every partition", revision), func() bool {
		now := g.witness.under(revision)
		for p := range int32(stagePartitions) {
			if now.stream[p] < before.stream[p]+n {
				return false
			}
		}
		return true
	})
}
