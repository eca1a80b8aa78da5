package apptest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// shown is what replicas --json and GET /replicas print of one.
type shown struct {
	Component string
	Instance  string
	Live      bool
	Ready     bool
	Records   int
	Models    *struct {
		Champion      string
		RouteRevision int `json:"route_revision"`
		Refused       []struct {
			ModelVersion string `json:"model_version"`
			Reason       string
		}
	}
}

type replicasShown struct{ Replicas []shown }

// replicas asks who is there.
func (g *stage) replicas() []shown {
	var d replicasShown
	run(g.t, g.with("replicas", "--json")...).answer(&d)
	return d.Replicas
}

// Both replicas hold a corrupted bundle that the one who routes to it has never seen:
// they refuse it, say so, and the old one goes on deciding.
func TestARefusedBundleIsReportedByEveryReplicaWhileTheOldOneServes(t *testing.T) {
	long(t)
	t.Parallel()
	g := newStage(t, embedded(t))
	var first struct{ Version string }
	run(t, g.with("model", "release", "shipped", "--first", "--json")...).answer(&first)
	one, two := g.scorer("one").ready(), g.scorer("two").ready()

	client := newClient(t, g.servers)
	topic := g.prefix + ".models"
	good := unpackShipped(t).pack("v2")
	corrupt := bytes.Clone(good)
	corrupt[len(corrupt)/2] ^= 1
	var at int64
	for _, value := range [][]byte{corrupt, good} {
		record := &kgo.Record{Topic: topic, Key: []byte("v2"), Value: value}
		require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
		at = record.Offset
	}
	for _, scorer := range []*app{one, two} { // a version's bytes never change: they keep the first
		until(t, time.Minute, "both were read", func() bool { return strings.Contains(string(scorer.stderr.bytes()), "record ignored") })
	}
	var before kadm.Offsets
	before.AddOffset(topic, 0, at, -1)
	_, err := kadm.NewClient(client).DeleteRecords(t.Context(), before)
	require.NoError(t, err)

	said := g.refused("model", "route", "--champion", "v2", "--expect", "0", "--why", "better", "--wait")
	for _, instance := range []string{"one", "two"} {
		require.Contains(t, said, "score/"+instance+" refuses model v2: ")
	}
	for _, r := range g.replicas() {
		require.True(t, r.Live && r.Ready, "the old one serves")
		require.Equal(t, first.Version, r.Models.Champion)
		require.Zero(t, r.Models.RouteRevision)
		require.Len(t, r.Models.Refused, 1)
		require.Equal(t, "v2", r.Models.Refused[0].ModelVersion)
		require.NotEmpty(t, r.Models.Refused[0].Reason)
	}
	g.emit(500)
	g.exact()

	run(t, g.with("model", "release", "shipped")...) // its record has gone, too
	var history []struct{ Revision int }
	run(t, g.with("model", "history", "--json")...).answer(&history)
	back := run(t, g.with("model", "rollback", "--expect", strconv.Itoa(history[len(history)-1].Revision), "--why", "refused", "--wait", "1m")...)
	require.Contains(t, string(back.stdout.bytes()), "served by score/one, score/two")
	one.terminate()
	require.Len(t, g.replicas(), 1)
	two.terminate()
	require.Empty(t, g.replicas(), "who stops says so")
}

func TestSeveralComponentsRunInOneProcess(t *testing.T) {
	t.Parallel()
	g := newStage(t, embedded(t))
	at := freeAddress(t)
	all := service(t, "all", g.with("run", "score", "view", "api", "drift", "--model", "shipped", "--shutdown-delay", "0s", "--group", g.prefix, "--view-group", g.prefix+"-view", "--drift-group", g.prefix+"-drift",
		"--redis", g.servers.redis, "--api-listen", at, "--instance", "here")...).ready()
	g.emit(200)
	g.exact()
	answer, ok := predict("http://"+at+"/predict", "asked", 1)
	require.True(t, ok, string(answer))
	var d replicasShown
	until(t, time.Minute, "all four say what they did", func() bool {
		response, err := http.Get("http://" + at + "/replicas")
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		require.NoError(t, json.NewDecoder(response.Body).Decode(&d))
		for _, r := range d.Replicas {
			if !r.Live || !r.Ready || r.Records == 0 || r.Instance != "here" {
				return false
			}
		}
		return len(d.Replicas) == 4
	})
	require.Equal(t, "score api view drift", d.Replicas[0].Component+" "+d.Replicas[1].Component+" "+d.Replicas[2].Component+" "+d.Replicas[3].Component)
	require.NotNil(t, d.Replicas[0].Models)
	require.NotNil(t, d.Replicas[1].Models)
	require.Nil(t, d.Replicas[2].Models)
	all.terminate()
	require.Empty(t, g.replicas())
}

// The scorer is another process than the rest of a demo: the topic tells of both.
func TestADemoSaysWhatEachOfItsPartsDoes(t *testing.T) {
	t.Parallel()
	d, home := demo(t, t.TempDir(), "127.0.0.1:0")
	working := map[string]bool{}
	until(t, time.Minute, "all its parts work", func() bool {
		response, err := http.Get(home + "/replicas")
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		var s replicasShown
		if response.StatusCode != http.StatusOK || json.NewDecoder(response.Body).Decode(&s) != nil {
			return false
		}
		clear(working)
		for _, r := range s.Replicas {
			require.Equal(t, "demo", r.Instance)
			working[r.Component] = r.Live && r.Ready && (r.Records > 0 || r.Component == "api")
		}
		return len(working) == 5 && working["score"] && working["api"] && working["view"] && working["drift"] && working["produce"]
	})
	d.terminate()
}
