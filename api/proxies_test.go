package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func parsedProxies(t *testing.T, texts ...string) Proxies {
	p, err := ParseProxies(texts)
	require.NoError(t, err)
	return p
}

func TestTrustedProxies_SayWhoAsks(t *testing.T) {
	t.Parallel()
	p := parsedProxies(t, "127.0.0.1", "::1", "10.0.0.0/8", " fd00::/8")
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:80", "203.0.113.9", "192.0.2.1"},                    // nobody's proxy
		{"127.0.0.1:80", "", "127.0.0.1"},                               // it forwards nothing
		{"127.0.0.1:80", "203.0.113.9", "203.0.113.9"},                  //
		{"127.0.0.1:80", "198.51.100.1, 203.0.113.9", "203.0.113.9"},    // the client's own word does not count
		{"127.0.0.1:80", "198.51.100.1|203.0.113.9", "203.0.113.9"},     // nor in a line of its own
		{"127.0.0.1:80", "203.0.113.9, 10.1.2.3", "203.0.113.9"},        // two proxies
		{"127.0.0.1:80", "10.9.9.9, 10.1.2.3", "10.9.9.9"},              // from within
		{"127.0.0.1:80", "203.0.113.9:4711", "203.0.113.9"},             // with a port, as some write
		{"127.0.0.1:80", "[2001:db8:1:2::7]:4711", "2001:db8:1:2::/64"}, //
		{"[::1]:80", "2001:db8:1:2::7", "2001:db8:1:2::/64"},            //
		{"[::ffff:127.0.0.1]:80", "::ffff:203.0.113.9", "203.0.113.9"},  //
		{"127.0.0.1:80", "203.0.113.9, unknown", "127.0.0.1"},           // what the last proxy did not know
		{"127.0.0.1:80", "203.0.113.9, unknown, 10.1.2.3", "10.1.2.3"},  //
		{"127.0.0.1:80", "203.0.113.9,", "127.0.0.1"},                   //
		{"pipe", "203.0.113.9", "pipe"},                                 //
		{"[fd00::1%eth0]:80", "", "fd00::/64"},                          // a zone is of no account
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header["X-Forwarded-For"] = strings.Split(c.forwarded, "|")
		}
		require.Equal(t, c.want, address(p.caller(r)), "%+v", c)
	}
}

func TestTrustedProxies_AreAddressesAndNetworks(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "fe80::1%eth0", "10.0.0.1:80", "*"} {
		_, err := ParseProxies([]string{"127.0.0.1", text})
		require.ErrorContains(t, err, "expected an address or a network", text)
	}
}

// ask asks as a proxy at an address does.
func (w *world) ask(peer, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, path, http.NoBody)
	if strings.HasPrefix(path, "/predict") {
		r = httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, path, strings.NewReader(request(example)))
	}
	r.RemoteAddr, r.Host = peer, "127.0.0.1:8000"
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	w.doc.check(w.t, r.Method, r.URL.Path, rec)
	return rec
}

func TestProxiedRequests_AreRefusedWithoutKeysAndTrust(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{true, false} { // --no-auth asks for no key either
		w := newWorld(t, func(c *Config) { c.LocalOnly = local })
		for _, path := range []string{"/predict", "/model", "/readyz", "/"} {
			p := w.problem(w.ask("127.0.0.1:1", path, "x-real-ip", "203.0.113.9"), http.StatusForbidden, "forwarded")
			require.Contains(t, p.Detail, "--trusted-proxies 127.0.0.1")
			require.Contains(t, p.Detail, "X-Real-Ip")
		}
		require.Empty(t, w.log.all())
		require.Equal(t, http.StatusOK, w.ask("127.0.0.1:1", "/predict").Code)

		w = newWorld(t, func(c *Config) { c.LocalOnly, c.Proxies = local, parsedProxies(t, "127.0.0.1") })
		require.Equal(t, http.StatusOK, w.ask("127.0.0.1:1", "/predict", "X-Forwarded-For", "203.0.113.9").Code)
		w.problem(w.ask("127.0.0.2:1", "/predict", "X-Forwarded-For", "203.0.113.9"), http.StatusForbidden, "forwarded")
		if local { // a page that made its name lead here may send any header
			w.problem(w.ask("127.0.0.1:1", "/predict", "X-Forwarded-For", "203.0.113.9", "Host", "rebound.example"), http.StatusMisdirectedRequest, "misdirected")
		}
	}
	w := newWorld(t, func(c *Config) { c.Keys = twoKeys(t) })
	require.Equal(t, http.StatusOK, w.ask("127.0.0.1:1", "/predict", "X-Forwarded-For", "203.0.113.9", "X-API-Key", shopKey).Code, "a key says who asks")
}

func TestProxiedRequests_AreLimitedByWhoAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Proxies = parsedProxies(t, "127.0.0.1")
		c.Limits.PerSecond, c.Limits.Burst = 1, 2
	})
	ask := func(client string) int { return w.ask("127.0.0.1:1", "/model", "X-Forwarded-For", client).Code }
	require.Equal(t, []int{200, 200, 429, 200}, []int{ask("203.0.113.9"), ask("203.0.113.9"), ask("203.0.113.9"), ask("203.0.113.10")})
	require.Equal(t, 429, ask("198.51.100.1, 203.0.113.9"), "another first entry is no other caller")
}

func TestProxiedRequests_OfTheSitesOwnPagesAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Proxies = parsedProxies(t, "127.0.0.1") })
	post := func(headers ...string) *httptest.ResponseRecorder {
		return w.ask("127.0.0.1:1", "/predict", headers...)
	}
	own := []string{"Origin", "https://score.example:8443"}
	require.Equal(t, 200, post(append(own, "Host", "score.example:8443")...).Code, "the Host as it was")
	p := w.problem(post(own...), http.StatusForbidden, "cross-origin")
	for _, part := range []string{"https://score.example:8443", "127.0.0.1:8000", "X-Forwarded-Host", "--trusted-proxies"} {
		require.Contains(t, p.Detail, part)
	}
	require.Equal(t, 200, post(append(own, "X-Forwarded-Host", "score.example:8443")...).Code, "a trusted proxy's word")
	w.problem(post(append(own, "X-Forwarded-Host", "score.example")...), http.StatusForbidden, "cross-origin")
	w.problem(post("Origin", "https://evil.example", "X-Forwarded-Host", "score.example:8443"), http.StatusForbidden, "cross-origin")
	w.problem(post("Origin", "https://evil.example", "X-Forwarded-Host", "evil.example", "Sec-Fetch-Site", "cross-site"), http.StatusForbidden, "cross-origin")

	w = newWorld(t, func(c *Config) { c.Keys = twoKeys(t) })
	w.problem(post(append(own, "X-Forwarded-Host", "score.example:8443", "X-API-Key", shopKey)...), http.StatusForbidden, "cross-origin")
}

func TestCharsets_OfUTF8AreTakenAndOthersNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, content := range []string{"application/json; charset=utf8", "application/json;charset=UTF8", `Application/JSON; charset="Utf-8"`} {
		require.Equal(t, http.StatusOK, w.post("/predict", request(example), "Content-Type", content).Code, content)
	}
	p := w.problem(w.post("/predict", request(example), "Content-Type", "application/json; charset=latin1"), http.StatusUnsupportedMediaType, "content-type")
	require.Contains(t, p.Detail, "latin1")
	for content, wrong := range map[string]string{
		"application/json; charset=utf8; charset=utf-8": "duplicate parameter",
		"Application/JSON ; charset":                    "invalid media parameter",
	} {
		p = w.problem(w.post("/predict", request(example), "Content-Type", content), http.StatusUnsupportedMediaType, "content-type")
		require.Equal(t, "The parameters of the body's type cannot be read", p.Title)
		require.Contains(t, p.Detail, content)
		require.Contains(t, p.Detail, wrong)
	}
	p = w.problem(w.post("/predict", request(example), "Content-Type", "application/jsonl"), http.StatusUnsupportedMediaType, "content-type")
	require.Equal(t, "It says application/jsonl. Send Content-Type: application/json.", p.Detail)
}
