package apptest

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slowly is an address at which a server answers everything late by so much.
func slowly(t *testing.T, server string, late time.Duration) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var (
		mu    sync.Mutex
		conns []net.Conn // guarded by mu
		all   sync.WaitGroup
	)
	keep := func(c net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, c)
	}
	pass := func(to, from net.Conn, late time.Duration) {
		defer func() { _ = to.Close() }() // the other end is gone
		for b := make([]byte, 64<<10); ; {
			n, err := from.Read(b)
			time.Sleep(late) // the fault itself
			if _, failed := to.Write(b[:n]); failed != nil || err != nil {
				return
			}
		}
	}
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			keep(client)
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			keep(upstream)
			all.Go(func() { pass(upstream, client, 0) })
			all.Go(func() { pass(client, upstream, late) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// Where Redis takes long for every answer the view goes on, only slower: it neither
// gives up nor begins again, and the scorer does not notice.
func TestRedisThatIsSlow(t *testing.T) {
	long(t)
	t.Parallel()
	g := newStage(t, embedded(t))
	slow := service(t, "view", g.with("view", "--redis", slowly(t, g.servers.redis, 700*time.Millisecond))...)
	one := g.scorer("one").ready()
	slow.ready()
	for range 3 {
		g.emit(2000)
		g.exact()
		until(t, time.Minute, "Redis holds everything", func() bool { return len(differing(t, g.servers, g.prefix, g.witness.predictions())) == 0 })
	}
	require.True(t, isReady(slow.listen))
	require.NotContains(t, string(slow.stderr.bytes()), "level=WARN")
	status, text := shownBy(slow.listen, "/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, text, "creditstream_view_redis_errors_total 0")
	require.NotContains(t, string(one.stderr.bytes()), "level=WARN")
	slow.terminate()
	one.terminate()
}
