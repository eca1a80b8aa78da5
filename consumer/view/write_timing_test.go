package view

import (
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/local"
)

// BenchmarkWrite is one batch of predictions decoded and written: of applications
// that are not in the view ("new"), that are ("forward"), or of records that are
// there already ("again").
func BenchmarkWrite(b *testing.B) {
	b.Run("redis-server", func(b *testing.B) { benchmarkWrite(b, redisServer(b)) })
	b.Run("embedded", func(b *testing.B) {
		server, err := local.StartRedis()
		require.NoError(b, err)
		b.Cleanup(server.Close)
		benchmarkWrite(b, server.Addr())
	})
}

// redisServer starts the machine's Redis on a free port, without persistence.
func redisServer(b *testing.B) (addr string) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		b.Skip("no redis-server on this machine")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	addr = l.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(b, err)
	require.NoError(b, l.Close())
	command := exec.CommandContext(b.Context(), binary, "--port", port, "--save", "", "--appendonly", "no", "--dir", b.TempDir())
	require.NoError(b, command.Start())
	b.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return addr
}

func benchmarkWrite(b *testing.B, addr string) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	b.Cleanup(func() { _ = rdb.Close() })
	require.Eventually(b, func() bool { return rdb.Ping(b.Context()).Err() == nil }, patience, tick)
	store := NewStore(rdb, "t")
	w := &world{clock: time.Now()}
	records := make([]*kgo.Record, maxBatch)
	for i := range records {
		records[i] = &kgo.Record{Timestamp: time.Now(), Value: w.predict(i, 1)}
	}
	offset := int64(0)
	batch := batch{lifetimes: DefaultLifetimes(), logger: slog.New(slog.DiscardHandler), metrics: newMetrics(prometheus.NewRegistry())}
	write := func(b *testing.B, step int64, empty func()) {
		now := time.Now()
		before := cpu(b, rdb)
		for b.Loop() {
			b.StopTimer()
			empty()
			b.StartTimer()
			batch.reset()
			for _, r := range records {
				offset += step
				r.Offset = offset
				_ = batch.add(b.Context(), r, now)
			}
			_, err := store.Write(b.Context(), batch.entries)
			require.NoError(b, err)
		}
		if spent := cpu(b, rdb) - before; spent > 0 {
			b.ReportMetric(spent*1e6/float64(b.N)/maxBatch, "redis-µs/prediction")
		}
		b.ReportMetric(float64(b.N)*maxBatch/b.Elapsed().Seconds(), "predictions/s")
	}
	nothing := func() {}
	b.Run("new", func(b *testing.B) { write(b, 1, func() { rdb.FlushAll(b.Context()) }) })
	b.Run("forward", func(b *testing.B) { write(b, 1, nothing) })
	b.Run("again", func(b *testing.B) { write(b, 0, nothing) })
}

// cpu is how many seconds a Redis server has computed; 0: it does not say.
func cpu(b *testing.B, rdb *redis.Client) (seconds float64) {
	info, err := rdb.Info(b.Context(), "cpu").Result()
	if err != nil {
		return 0
	}
	for _, name := range []string{"used_cpu_user:", "used_cpu_sys:"} {
		if _, after, found := strings.Cut(info, name); found {
			value, _, _ := strings.Cut(after, "\r\n")
			spent, err := strconv.ParseFloat(value, 64)
			require.NoError(b, err)
			seconds += spent
		}
	}
	return seconds
}
