package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// local answers only requests to a name of this machine. Where no key is asked
// for, being on the machine is what lets a caller in; a site that makes its own
// name lead here (DNS rebinding) runs in a browser on the machine, is of the same
// origin for it, and could ask for anything. The Host header gives it away.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !localName(r.Host) {
			newProblem(http.StatusMisdirectedRequest, "misdirected", "The Host is no name of this machine",
				"Without keys, localhost and loopback addresses are answered. For other names set --api-keys FILE, or --no-auth if a proxy decides who may ask.").write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// localName says whether a Host header names this machine, on whichever port: a
// tunnel may lead here from another. Names below localhost never leave the machine
// (RFC 6761).
func localName(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil { // no port
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}
