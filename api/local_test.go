package api

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"
)

func TestOnlyThisMachinesNamesAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.LocalOnly = true; c.Feed = newFeed() })
	ask := func(method, target, host string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody)
		r.Host = host
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, r)
		w.doc.check(t, method, target, rec)
		return rec
	}
	require.NoError(t, chi.Walk(w.doc.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method != http.MethodHead {
			w.problem(ask(method, strings.ReplaceAll(route, "{id}", "x"), "evil.example:8000"), http.StatusMisdirectedRequest, "misdirected")
		}
		return nil
	}))
	require.Empty(t, w.log.all())
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "/model", "localhost:8000").Code)
	require.Equal(t, http.StatusNotFound, ask(http.MethodGet, "/predictions/x", "127.0.0.1").Code)

	w = newWorld(t) // with keys, or where that is meant, under any name
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "/model", "score.example").Code)
}

func TestLocalNames(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"localhost", "localhost:8000", "LocalHost.:80", "demo.localhost:1", "127.0.0.1", "127.0.0.1:8000", "127.9.9.9:1", "[::1]", "[::1]:8000", "[::ffff:127.0.0.1]:1"} {
		require.True(t, localName(host), host)
	}
	for _, host := range []string{"", ":8000", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example:1", "notlocalhost", "10.0.0.1:8000", "0.0.0.0:8000", "[::]:1", "[fe80::1]:1", "127.1:80", "localhost:80:80"} {
		require.False(t, localName(host), host)
	}
}

func FuzzLocalName(f *testing.F) {
	f.Add("localhost:1")
	f.Add("[::1%lo]:1")
	f.Add("[[::1]]:")
	f.Fuzz(func(t *testing.T, host string) {
		u, err := url.Parse("http://" + host)
		if err != nil || !localName(host) {
			return // no browser gets there, or it is refused
		}
		name := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
		ip := net.ParseIP(strings.SplitN(name, "%", 2)[0])
		require.True(t, name == "localhost" || strings.HasSuffix(name, ".localhost") || ip != nil && ip.IsLoopback(), "%q leads to %q", host, name)
	})
}
