package api

import (
	"net/http"
	"strings"
)

// proxyHeaders are the headers that proxies add and other clients do not send; a "*"
// ends what a name begins with. docs/reverse-proxy.md says the same with whose each is.
var proxyHeaders = []string{
	// RFC 7239, 9110, 8586 and 9440, and the Edge Architecture Specification.
	"Forwarded*", "Via", "CDN-*", "Client-Cert*", "Surrogate-Capability", "Proxy-*", "Max-Forwards",
	// Of no one product: for whom, and how, the proxy was asked.
	"X-Forward*", "X-Original-*", "X-Originating-IP", "X-Real-IP", "X-Client-IP", "Client-IP", "True-Client-IP",
	"X-Cluster-Client-IP", "X-Remote-IP", "X-Remote-Addr", "X-ProxyUser-IP", "X-Scheme", "X-Url-Scheme",
	"Front-End-Https", "X-Rewrite-URL", "X-Request-Start", "SSL-Client-*", "X-SSL-Client-*",
	// Products.
	"X-Envoy-*", "L5d-*", "X-Varnish", "X-BlueCoat-Via", "WL-Proxy-*", "X-MS-Forwarded-Client-IP",
	// Networks.
	"CF-*", "Fastly-*", "Fly-*", "CloudFront-*", "X-Amz-Cf-*", "X-Amzn-*", "X-Azure-*", "X-FD-*", "X-ARR-*",
	"X-Appengine-*", "Akamai-*", "X-Akamai-*", "X-Vercel-*", "X-NF-*", "DO-Connecting-IP", "Ali-CDN-*", "Incap-*", "X-Sucuri-*",
}

// proxyNames and proxyBeginnings are proxyHeaders, as requests spell them.
var proxyNames, proxyBeginnings = func() (names map[string]bool, beginnings []string) {
	names = map[string]bool{}
	for _, header := range proxyHeaders {
		if beginning, ok := strings.CutSuffix(header, "*"); ok {
			beginnings = append(beginnings, http.CanonicalHeaderKey(beginning))
		} else {
			names[http.CanonicalHeaderKey(header)] = true
		}
	}
	return names, beginnings
}()

// proxyHeader says whether only proxies send a header of this canonical name with a
// request of this method.
func proxyHeader(method, name string) bool {
	if name == "Max-Forwards" {
		// A client limits with it how far a TRACE or OPTIONS goes, and nothing else.
		return method != http.MethodTrace && method != http.MethodOptions
	}
	if proxyNames[name] {
		return true
	}
	for _, beginning := range proxyBeginnings {
		if strings.HasPrefix(name, beginning) {
			return true
		}
	}
	return false
}
