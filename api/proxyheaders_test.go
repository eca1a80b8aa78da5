package api

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each header that a proxy adds is a proxy's: without a key and without trust nobody
// is answered who sends one, and the answer names it.
func TestProxyHeaders_AreRefusedWithoutKeysAndTrust(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, header := range []string{
		"Forwarded", "Forwarded-For", "Via", "CDN-Loop", "Client-Cert", "Client-Cert-Chain", "Surrogate-Capability",
		"Proxy-Connection", "Proxy-Client-IP", "Max-Forwards",
		"X-Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Client-Cert", "X-Forward-For", "X-Forwarder-For",
		"X-Original-Forwarded-For", "X-Original-Host", "X-Original-URL", "X-Originating-IP", "X-Real-IP", "X-Client-IP", "Client-IP",
		"True-Client-IP", "X-Cluster-Client-IP", "X-Remote-IP", "X-Remote-Addr", "X-ProxyUser-Ip", "X-Scheme", "X-Url-Scheme",
		"Front-End-Https", "X-Rewrite-URL", "X-Request-Start", "SSL-Client-Verify", "X-SSL-Client-DN",
		"X-Envoy-External-Address", "X-Envoy-Attempt-Count", "l5d-client-id", "X-Varnish", "X-BlueCoat-Via", "WL-Proxy-Client-IP", "X-MS-Forwarded-Client-IP",
		"CF-Connecting-IP", "CF-Ray", "CF-IPCountry", "Fastly-Client-IP", "Fastly-FF", "Fly-Client-IP", "Fly-Forwarded-Port",
		"CloudFront-Viewer-Address", "X-Amz-Cf-Id", "X-Amzn-Trace-Id", "X-Amzn-Oidc-Data", "X-Azure-ClientIP", "X-Azure-SocketIP", "X-Azure-FDID",
		"X-FD-HealthProbe", "X-ARR-LOG-ID", "X-ARR-SSL", "X-Appengine-User-IP", "Akamai-Origin-Hop", "X-Akamai-Edgescape",
		"X-Vercel-Forwarded-For", "X-NF-Client-Connection-IP", "DO-Connecting-IP", "Ali-CDN-Real-IP", "Incap-Client-IP", "X-Sucuri-ClientIP",
	} {
		t.Run(header, func(t *testing.T) {
			p := w.problem(w.ask("127.0.0.1:1", "/predict", header, "203.0.113.9"), http.StatusForbidden, "forwarded")
			require.Contains(t, p.Detail, "a header "+http.CanonicalHeaderKey(header)+",")
		})
	}
	require.Empty(t, w.log.all(), "nothing is decided")
}

// What clients of their own send is no proxy's.
func TestProxyHeaders_AreNoneThatClientsSend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.Equal(t, http.StatusOK, w.ask("127.0.0.1:1", "/predict",
		"Accept", "*/*", "Accept-Language", "en", "Cache-Control", "no-cache", "Cookie", "a=b", "DNT", "1", "From", "team@example.org",
		"Idempotency-Key", "k", "Origin", "http://127.0.0.1:8000", "Referer", "http://127.0.0.1:8000/", "Sec-Fetch-Site", "same-origin", "TE", "trailers",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Baggage", "a=b", "B3", "0", "X-B3-TraceId", "0",
		"User-Agent", "curl/8", "X-API-Key", "k", "X-Correlation-ID", "1", "X-Request-ID", "1", "X-Requested-With", "XMLHttpRequest",
	).Code)
	for _, method := range []string{http.MethodTrace, http.MethodOptions} {
		require.False(t, proxyHeader(method, "Max-Forwards"), "a client may limit how far its "+method+" goes")
	}
	require.True(t, proxyHeader(http.MethodGet, "Max-Forwards"))
}

func TestProxyHeaders_AreThoseThatThePageNames(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/reverse-proxy.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "## Headers that only proxies send\n")
	require.True(t, ok)
	section, _, _ := strings.Cut(rest, "\n## ")
	var named []string
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			named = append(named, strings.Replace(m[1], "…", "*", 1))
		}
	}
	want := slices.Sorted(slices.Values(proxyHeaders))
	slices.Sort(named)
	require.Equal(t, want, named)
	require.Equal(t, want, slices.Compact(slices.Clone(want)), "none stands there twice")
}
