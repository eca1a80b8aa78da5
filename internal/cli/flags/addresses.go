package flags

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// checkServers refuses addresses that are not host:port, with no word of what
// they are: a URL may carry a password.
func checkServers(flag string, addresses ...string) error {
	if len(addresses) == 0 || slices.Contains(addresses, "") {
		return Usagef("--%s is empty: expected HOST:PORT", flag)
	}
	for _, a := range addresses {
		if strings.ContainsAny(a, "@/") {
			return Usagef("--%s: expected HOST:PORT, without a scheme, user or password", flag)
		}
		if host, port, err := net.SplitHostPort(a); err != nil || !validHost(host) || !validPort(port, 1) {
			return Usagef("--%s %q: expected HOST:PORT with a port of 1 … 65535", flag, a)
		}
	}
	return nil
}

// checkListen refuses what cannot be listened on: [HOST]:PORT, where port 0 is any that
// is free.
func checkListen(flag, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host != "" && !validHost(host) || !validPort(port, 0) {
		return Usagef("--%s %q: expected HOST:PORT, or :PORT for every address of this machine, with a port of 0 … 65535", flag, address)
	}
	return nil
}

// checkHTTP refuses what is not the address of an HTTP server. A user and password in
// it would be seen by all.
func checkHTTP(flag, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || !validHost(u.Hostname()) ||
		u.Port() != "" && !validPort(u.Port(), 1) || u.RawQuery != "" || u.Fragment != "":
		return Usagef("--%s %s: expected http://HOST:PORT or https://HOST:PORT", flag, Redacted(text))
	case u.User != nil:
		return Usagef("--%s %s: expected no user and password in it, where all can see them: set --%s-user and %s",
			flag, Redacted(text), flag, Variable(flag, "password"))
	}
	return nil
}

// validHost says whether a host's name or address can be one; it is not looked up.
func validHost(host string) bool {
	return host != "" && !strings.ContainsAny(host, " \t\r\n\"'<>\\,;")
}

func validPort(port string, lowest uint64) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n >= lowest
}

// OnLoopback says whether only this machine can reach an address to listen on.
func OnLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return true // listening on it fails and says why
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// checkAddresses looks at those of a command that a tag says the kind of. What is
// around an address is no part of it.
func checkAddresses(command *kong.Node) error {
	for _, group := range command.AllFlags(false) {
		for _, f := range group {
			kind := f.Tag.Get("address")
			if kind == "" {
				continue
			}
			text := strings.TrimSpace(f.Target.String())
			f.Target.SetString(text)
			if text == "" {
				continue
			}
			check := checkListen
			if kind == "http" {
				check = checkHTTP
			}
			if err := check(f.Name, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// trimmed are addresses without what is around them.
func trimmed(addresses []string) []string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = strings.TrimSpace(a)
	}
	return out
}

// Masked stands for a secret that is set.
const Masked = "********"

// secretWords are in the names of a URL's parameters whose values are secrets.
var secretWords = regexp.MustCompile(`(?i)([?&;][^=&;]*(?:pass|pw|secret|token|key|auth|sig)[^=&;]*=)[^&;#]*`)

// Redacted is an address without its password: whatever stands before the
// last @ of each, behind the user's name where it has one, and what a parameter says
// whose name speaks of a secret. It takes addresses that are malformed, too.
func Redacted(text string) string {
	if strings.Contains(text, "://") {
		text = secretWords.ReplaceAllString(text, "${1}"+Masked)
	}
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return text
	}
	begin := 0
	if scheme := strings.Index(text[:at], "://"); scheme >= 0 {
		begin = scheme + len("://")
	}
	user, _, named := strings.Cut(text[begin:at], ":")
	if !named || strings.ContainsAny(user, "/?,") {
		user = Masked
	} else {
		user += ":" + Masked
	}
	return text[:begin] + user + text[at:]
}
