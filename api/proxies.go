package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are where reverse proxies ask from that tell the truth about whom they ask
// for.
type Proxies []netip.Prefix

// ParseProxies reads addresses and networks (CIDR).
func ParseProxies(texts []string) (Proxies, error) {
	var all Proxies
	for _, text := range texts {
		text = strings.TrimSpace(text)
		if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
			ip = ip.Unmap()
			all = append(all, netip.PrefixFrom(ip, ip.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Masked() != prefix {
			return nil, fmt.Errorf("%q: expected an address or a network, such as 10.0.0.7, 10.0.0.0/8 or fd00::/8", text)
		}
		all = append(all, prefix)
	}
	return all, nil
}

// trusted says whether an address is one of them.
func (p Proxies) trusted(ip netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// from is who a request's connection comes from; not valid where that is no address.
func from(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	return at.Addr().Unmap().WithZone("")
}

// caller is the address that asks: the connection's or, where that is a trusted
// proxy's, the last one of X-Forwarded-For that is none. What stands before it
// anybody can have written.
func (p Proxies) caller(r *http.Request) string {
	ip := from(r)
	if !p.trusted(ip) {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trusted(ip); i-- {
		hop, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok {
			break
		}
		ip = hop
	}
	return netip.AddrPortFrom(ip, 0).String()
}

// parseHop reads an address, with a port or without.
func parseHop(text string) (netip.Addr, bool) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap().WithZone(""), true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return ip.Unmap().WithZone(""), err == nil
}

// hosts are the names under which a trusted proxy was asked.
func (p Proxies) hosts(r *http.Request) (names []string) {
	if !p.trusted(from(r)) {
		return nil
	}
	for _, line := range r.Header["X-Forwarded-Host"] {
		for name := range strings.SplitSeq(line, ",") {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

// forwarding is a header of r that only a proxy sends, the first by name; "" where
// there is none.
func forwarding(r *http.Request) (first string) {
	for name := range r.Header {
		if proxyHeader(r.Method, name) && (first == "" || name < first) {
			first = name
		}
	}
	return first
}

// unforwarded refuses what comes through a proxy that nobody named. Where no key is
// asked for, where a request comes from is all there is to know of its caller.
func (s *Server) unforwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := forwarding(r)
		if header == "" || s.config.Proxies.trusted(from(r)) {
			next.ServeHTTP(w, r)
			return
		}
		newProblem(http.StatusForbidden, "forwarded", "The request came through a proxy that is not trusted",
			"It has a header "+header+", and no key is asked for: whoever the proxy lets through would be answered. Set --api-keys FILE, or --trusted-proxies "+
				from(r).String()+" if the proxy decides who may ask.").write(w)
	})
}

// unnamedProxy warns, now and then, of requests that come through a proxy and all
// count for its address.
func (s *Server) unnamedProxy(r *http.Request) {
	header := forwarding(r)
	if header == "" || s.config.Proxies.trusted(from(r)) {
		return
	}
	if n := s.unnamed.take(s.config.Now()); n > 0 {
		s.config.Log.Warn("requests come through a proxy that is not trusted: wrong keys of everybody behind it count for one address; set --trusted-proxies",
			"address", from(r).String(), "header", header, "requests", n)
	}
}
