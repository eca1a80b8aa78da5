//go:build proxies

package apptest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy is a reverse proxy as docs/reverse-proxy.md configures it.
type proxy struct {
	name, url string
	// takeOut is how an operator takes a server out where the proxy asks nothing about
	// health, as docs/reverse-proxy.md says; nil where it finds out by itself.
	takeOut func(server string)
}

// documented is the configuration of docs/reverse-proxy.md, with the addresses of
// this test.
func documented(t *testing.T, language, listen string, servers ...string) string {
	page, err := os.ReadFile(filepath.Join("..", "docs", "reverse-proxy.md"))
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	require.NotNil(t, block)
	return strings.NewReplacer("127.0.0.1:8080", listen, "127.0.0.1:8000", servers[0], "127.0.0.1:8001", servers[1]).Replace(string(block[1]))
}

// startNginx starts nginx in front of two servers.
func startNginx(t *testing.T, servers ...string) proxy {
	dir, listen := t.TempDir(), freeAddress(t)
	user := "" // whose folder this is; who is not root needs none
	if os.Getuid() == 0 {
		user = "user root; "
	}
	config := user + "daemon off; worker_processes 1; pid " + dir + "/pid; error_log stderr;\n" +
		"events { worker_connections 4096; }\nhttp {\n access_log off; client_body_temp_path " + dir + "/body; proxy_temp_path " + dir + "/proxy;\n" +
		" fastcgi_temp_path " + dir + "/f; uwsgi_temp_path " + dir + "/u; scgi_temp_path " + dir + "/s;\n" + documented(t, "nginx", listen, servers...) + "}\n"
	path := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	cmd := exec.Command("nginx", "-p", dir, "-e", "stderr", "-c", path)
	p := serving(t, "nginx", listen, cmd)
	t.Cleanup(func() { // before it is killed, which would leave its worker
		if cmd.Process.Signal(syscall.SIGTERM) == nil {
			until(t, time.Minute, "nginx has ended", func() bool { return cmd.Process.Signal(syscall.Signal(0)) != nil })
		}
	})
	p.takeOut = func(server string) {
		without := strings.Replace(config, "server "+server+" ", "server "+server+" down ", 1)
		require.NotEqual(t, config, without)
		require.NoError(t, os.WriteFile(path, []byte(without), 0o600))
		require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	}
	return p
}

// startHAProxy starts HAProxy in front of two servers, as it is in the document or
// as a balancer of connections.
func startHAProxy(t *testing.T, tcp bool, servers ...string) proxy {
	dir, listen := t.TempDir(), freeAddress(t)
	config := documented(t, "haproxy", listen, servers...)
	if tcp {
		config = strings.Replace(config, "mode http", "mode tcp", 1)
		config = regexp.MustCompile(`(?m)^.*(option forwardfor|http-request deny).*\n`).ReplaceAllString(config, "")
	}
	path := filepath.Join(dir, "haproxy.cfg")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	return serving(t, "haproxy", listen, exec.Command("haproxy", "-db", "-f", path))
}

// serving waits until both servers are reached.
func serving(t *testing.T, name, listen string, cmd *exec.Cmd) proxy {
	a := launch(t, name, cmd)
	p := proxy{name: name, url: "http://" + listen}
	until(t, time.Minute, name+" answers", func() bool {
		require.False(t, a.hasEnded(), "%s has ended", name)
		r, err := http.Get(p.url + "/docs")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK || r.StatusCode == http.StatusForbidden
	})
	return p
}

// proxied starts two APIs, and says where they are.
func proxied(t *testing.T, s servers, flags ...string) (apis []*app, at []string) {
	for range 2 {
		listen := freeAddress(t)
		args := append([]string{"api", "--brokers", s.kafka, "--redis", s.redis, "--model", "shipped", "--api-listen", listen}, flags...)
		apis, at = append(apis, service(t, "api", args...).ready()), append(at, listen)
	}
	return apis, at
}

// clientAt asks from an address of this machine.
func clientAt(address string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}, Timeout: time.Minute}
}

// from asks from an address of this machine, and returns status and body.
func from(t *testing.T, address string, r *http.Request) (int, string) {
	answer, err := clientAt(address).Do(r)
	require.NoError(t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode, string(text)
}

func (p proxy) request(t *testing.T, method, path string, headers ...string) *http.Request {
	body := ""
	if method == http.MethodPost {
		body = question("", 1)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestProxies_CallersAreToldApart(t *testing.T) {
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka, "--replication", "1", "--partitions", "1")
	_, at := proxied(t, s, "--no-auth", "--trusted-proxies", "127.0.0.1", "--rate-limit", "0.001", "--rate-burst", "2", "--shutdown-delay", "0s")
	_, refusing := proxied(t, s, "--no-auth", "--shutdown-delay", "0s")
	for i, start := range []func(*testing.T, ...string) proxy{startNginx, func(t *testing.T, servers ...string) proxy { return startHAProxy(t, false, servers...) }} {
		p := start(t, at[0], at[0]) // of two servers each would count for itself
		t.Run(p.name, func(t *testing.T) {
			one, other := []string{"127.0.1.1", "127.0.2.1"}[i], []string{"127.0.1.2", "127.0.2.2"}[i]
			ask := func(address string, headers ...string) int {
				status, _ := from(t, address, p.request(t, http.MethodGet, "/model", headers...))
				return status
			}
			require.Equal(t, []int{200, 200, 429}, []int{ask(one), ask(one), ask(one)})
			require.Equal(t, 429, ask(one, "X-Forwarded-For", "198.51.100.7"), "what a client says of itself")
			require.Equal(t, 429, ask(one, "Forwarded", "for=198.51.100.7"))
			require.Equal(t, 200, ask(other))
		})
		p = start(t, refusing[0], refusing[1])
		t.Run(p.name+" that nobody trusts", func(t *testing.T) {
			status, text := from(t, "127.0.0.1", p.request(t, http.MethodPost, "/predict"))
			require.Equal(t, http.StatusForbidden, status)
			require.Contains(t, text, "--trusted-proxies 127.0.0.1")
		})
	}
}

func TestProxies_PagesAndStreamsWork(t *testing.T) {
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka, "--replication", "1", "--partitions", "1")
	_, at := proxied(t, s, "--no-auth", "--trusted-proxies", "127.0.0.1", "--shutdown-delay", "0s")
	for _, p := range []proxy{startNginx(t, at...), startHAProxy(t, false, at...), startHAProxy(t, true, at...)} {
		status, _ := from(t, "127.0.0.1", p.request(t, http.MethodPost, "/predict", "Origin", p.url))
		require.Equal(t, http.StatusOK, status, "%s: the page's own form", p.name)
		status, _ = from(t, "127.0.0.1", p.request(t, http.MethodPost, "/predict", "Origin", "http://evil.example"))
		require.Equal(t, http.StatusForbidden, status, p.name)
		stream, err := clientAt("127.0.0.1").Do(p.request(t, http.MethodGet, "/decisions/stream"))
		require.NoError(t, err)
		line, err := bufio.NewReader(stream.Body).ReadString('\n')
		require.NoError(t, err, p.name)
		require.Equal(t, "retry: 2000\n", line, "%s holds nothing back", p.name)
		require.NoError(t, stream.Body.Close())
	}
	for _, p := range []proxy{startNginx(t, at...), startHAProxy(t, false, at...)} {
		status, _ := from(t, "127.0.0.1", p.request(t, http.MethodGet, "/metrics"))
		require.Equal(t, http.StatusNotFound, status, p.name)
	}
}

// One of two servers is told to stop while clients ask without a pause: every
// request is answered.
func TestProxies_ARestartLosesNoRequest(t *testing.T) {
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka, "--replication", "1", "--partitions", "1")
	for _, start := range []func(*testing.T, ...string) proxy{
		startNginx,
		func(t *testing.T, servers ...string) proxy { return startHAProxy(t, false, servers...) },
		func(t *testing.T, servers ...string) proxy { return startHAProxy(t, true, servers...) },
	} {
		apis, at := proxied(t, s, "--no-auth", "--no-feed", "--trusted-proxies", "127.0.0.1")
		p := start(t, at...)
		t.Run(p.name, func(t *testing.T) {
			// nginx that is told of a change closes its clients' connections, which is its
			// affair: each request then has one of its own.
			own := p.takeOut != nil
			var answered, lost atomic.Int64
			ctx, stop := context.WithCancel(t.Context())
			var clients sync.WaitGroup
			for i := range 8 {
				clients.Go(func() {
					client := &http.Client{Transport: &http.Transport{DisableKeepAlives: own || i%2 == 0}, Timeout: time.Minute}
					for ctx.Err() == nil {
						r, err := http.NewRequest(http.MethodPost, p.url+"/predict", strings.NewReader(question("", i)))
						if err != nil {
							return
						}
						r.Header.Set("Content-Type", "application/json")
						answer, err := client.Do(r)
						if err != nil {
							lost.Add(1)
							t.Logf("%s: %v", p.name, err)
							continue
						}
						_, _ = io.Copy(io.Discard, answer.Body)
						_ = answer.Body.Close()
						if answered.Add(1); answer.StatusCode != http.StatusOK {
							lost.Add(1)
							t.Logf("%s: %s", p.name, answer.Status)
						}
					}
				})
			}
			until(t, time.Minute, "clients are answered", func() bool { return answered.Load() > 100 })
			if p.takeOut != nil {
				p.takeOut(at[0])
			}
			require.NoError(t, apis[0].cmd.Process.Signal(syscall.SIGTERM))
			apis[0].wait(time.Minute)
			gone := answered.Load()
			until(t, time.Minute, "the other answers", func() bool { return answered.Load() > gone+100 })
			stop()
			clients.Wait()
			require.Zero(t, lost.Load(), "of %d", answered.Load())
		})
	}
}
