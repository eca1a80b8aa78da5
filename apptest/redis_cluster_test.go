//go:build kafka

package apptest

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// redisCluster starts three Redis servers that are one cluster.
func redisCluster(t *testing.T) (addresses []string) {
	const slots = 16384
	var nodes []*redis.Client
	for i := range 3 {
		at, bus := freeAddress(t), freeAddress(t)
		_, port, err := net.SplitHostPort(at)
		require.NoError(t, err)
		_, busPort, err := net.SplitHostPort(bus)
		require.NoError(t, err)
		cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--cluster-enabled", "yes", "--cluster-port", busPort,
			"--save", "", "--appendonly", "no", "--dir", t.TempDir())
		log := &output{}
		cmd.Stdout, cmd.Stderr = log, log
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		})
		node := redis.NewClient(&redis.Options{Addr: at})
		t.Cleanup(func() { _ = node.Close() })
		until(t, time.Minute, "Redis listens", func() bool { return node.Ping(t.Context()).Err() == nil })
		require.NoError(t, node.ClusterAddSlotsRange(t.Context(), i*slots/3, (i+1)*slots/3-1).Err())
		if i > 0 {
			require.NoError(t, nodes[0].Do(t.Context(), "CLUSTER", "MEET", "127.0.0.1", port, busPort).Err())
		}
		addresses, nodes = append(addresses, at), append(nodes, node)
	}
	for _, node := range nodes {
		until(t, time.Minute, "the cluster is one", func() bool {
			info := node.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return addresses
}

// Two deployments on one Redis Cluster: each finds what it wrote, on every node, and
// neither sees the other's.
func TestTwoDeploymentsOnARedisClusterOnKafka(t *testing.T) {
	s := given(t)
	nodes := redisCluster(t)
	url := "redis+cluster://" + strings.Join(nodes[:2], ",") // the third is found through them
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: nodes})
	defer func() { _ = cluster.Close() }()
	held := func(prefix string) int { return len(everyKey(t, cluster, prefix+":prediction:*")) }

	prod, staging := newStage(t, s), newStage(t, s)
	for _, g := range []*stage{prod, staging} {
		g.scorer("one").ready()
		service(t, "view", g.with("view", "--redis", url)...).ready()
	}
	prod.emit(1000)
	prod.exact()
	want := prod.witness.judge().predictions
	until(t, time.Minute, "the cluster holds every prediction", func() bool { return held(prod.prefix) == want })
	require.Zero(t, held(staging.prefix))
	var rebuilt struct {
		Removed int `json:"removed"`
	}
	for _, g := range []*stage{staging, prod} {
		run(t, g.with("view", "--rebuild", "--json", "--redis", url)...).answer(&rebuilt)
		require.Zero(t, rebuilt.Removed)
		require.Equal(t, want, held(prod.prefix))
	}

	// The same id and the same key, asked of both.
	const id = "SAME-1"
	for _, g := range []*stage{prod, staging} {
		at := freeAddress(t)
		api := service(t, "api", g.with("api", "--model", "shipped", "--redis", url, "--api-listen", at)...).ready()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+at+"/predict", strings.NewReader(question(id, 1)))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", "the-same")
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		var decided struct {
			At string `json:"decided_at"`
		}
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&decided))
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusOK, answer.StatusCode)
		until(t, time.Minute, "it shows its own decision", func() bool {
			_, text := shownBy(at, "/predictions/"+id)
			return strings.Contains(text, decided.At)
		})
		api.terminate()
	}
	require.Len(t, slices.DeleteFunc(everyKey(t, cluster, "*:idempotency:*"), func(key string) bool { return strings.Contains(key, ":used") }), 2)
	run(t, "erase", "--prefix", staging.prefix, "--redis", url, id)
	require.Zero(t, held(staging.prefix))
	require.Equal(t, want+1, held(prod.prefix))
}

// everyKey lists a cluster's keys that match.
func everyKey(t *testing.T, cluster *redis.ClusterClient, pattern string) (keys []string) {
	lists := make(chan []string, 16)
	err := cluster.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		found, err := node.Keys(ctx, pattern).Result()
		lists <- found
		return err
	})
	require.NoError(t, err)
	close(lists)
	for l := range lists {
		keys = append(keys, l...)
	}
	return keys
}
