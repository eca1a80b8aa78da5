package redisconn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Address is where a Redis is: one server, or a cluster, of which any nodes.
type Address struct {
	Servers []string // host:port, at least one
	Cluster bool
	DB      int    // of a server
	User    string // "": none is named
	TLS     bool   // the scheme asks for it
}

const usualPort = "6379"

// maxDB is more than any Redis is set up for (databases).
const maxDB = 1 << 16

// forms are the ways to write an address.
const forms = "HOST:PORT, redis://[USER@]HOST[:PORT][/DATABASE], or redis+cluster://[USER@]HOST:PORT,HOST:PORT…; rediss instead of redis means TLS"

// errPassword is an address with a secret in it, which the error must not repeat.
var errPassword = errors.New("expected no password in the URL, where all can see it: set CREDITSTREAM_REDIS_PASSWORD, or --redis-password-file FILE")

// ParseAddress reads host:port or a URL: redis://[user@]host[:port][/database], with
// rediss over TLS, and of a cluster redis+cluster:// or rediss+cluster:// with any of
// its nodes, separated by commas. No error repeats what may be a password.
func ParseAddress(text string) (a Address, err error) {
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		if strings.ContainsAny(text, "@/") {
			return a, errors.New("expected " + forms)
		}
		if err := checkServer(text); err != nil {
			return a, err
		}
		return Address{Servers: []string{text}}, nil
	}
	switch scheme {
	case "redis", "rediss":
	case "redis+cluster", "rediss+cluster":
		a.Cluster = true
	default:
		return a, errors.New("unknown scheme: expected " + forms)
	}
	a.TLS = strings.HasPrefix(scheme, "rediss")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, password := strings.Cut(rest[:at], ":")
		if password {
			return a, errPassword
		}
		if a.User, err = url.PathUnescape(user); err != nil || a.User == "" {
			return a, errors.New("expected a user's name before the @ of the URL")
		}
		rest = rest[at+1:]
	}
	if strings.ContainsAny(rest, "?#") {
		return a, errors.New("expected no parameters in the URL: " + forms)
	}
	servers, db, _ := strings.Cut(rest, "/")
	for server := range strings.SplitSeq(servers, ",") {
		if _, _, err := net.SplitHostPort(server); err != nil && !strings.Contains(server, ":") || strings.HasSuffix(server, "]") {
			server = net.JoinHostPort(strings.Trim(server, "[]"), usualPort)
		}
		if err := checkServer(server); err != nil {
			return a, err
		}
		a.Servers = append(a.Servers, server)
	}
	switch {
	case db != "" && a.Cluster:
		return a, fmt.Errorf("database %q: a cluster has only one, leave it out", db)
	case len(a.Servers) > 1 && !a.Cluster:
		return a, fmt.Errorf("%d servers: expected one, or %s+cluster:// for the nodes of a cluster", len(a.Servers), scheme)
	case db != "":
		n, err := strconv.ParseUint(db, 10, 32)
		if err != nil || n >= maxDB {
			return a, fmt.Errorf("database %q: expected a number, as in redis://HOST:PORT/2", db)
		}
		a.DB = int(n)
	}
	return a, nil
}

func checkServer(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err == nil && host != "" && !strings.ContainsAny(host, " \t\r\n\"'<>\\,;@/") {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			return nil
		}
	}
	return fmt.Errorf("server %q: expected HOST:PORT with a port of 1 … 65535", text)
}

// String is the address without its user.
func (a Address) String() string {
	text := strings.Join(a.Servers, ",")
	if a.DB > 0 {
		text += "/" + strconv.Itoa(a.DB)
	}
	return text
}
