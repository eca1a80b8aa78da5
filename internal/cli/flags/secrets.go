package flags

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/creditstream/creditstream/internal/bounded"
)

// A secret is given by the environment or a settings file, or stands in a file
// that is read again by every connection, so that it can be rotated.

// secretSource returns what reads a secret, nil where none is set. flag is the
// name of the secret's flag; its file's is flag-file.
func secretSource(flag, value, file string) (func(context.Context) (string, error), error) {
	switch {
	case value != "" && file != "":
		return nil, fmt.Errorf("--%s and --%s-file are both set: set one of them", flag, flag)
	case value != "":
		return func(context.Context) (string, error) { return value, nil }, nil
	case file != "":
		read := func(context.Context) (string, error) { return readSecret(flag+"-file", file) }
		_, err := read(context.Background()) // what is wrong now is said now
		return read, err
	}
	return nil, nil
}

// readSecret is a file's first line: editors end it with a newline.
func readSecret(flag, file string) (string, error) {
	text, err := bounded.ReadFile(file, bounded.Text)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	secret, rest, _ := bytes.Cut(text, []byte("\n"))
	secret = bytes.TrimSuffix(secret, []byte("\r"))
	if len(secret) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return "", fmt.Errorf("--%s %s: expected one line with the secret", flag, file)
	}
	return string(secret), nil
}

// allOnLoopback says whether servers can only be on this machine.
func allOnLoopback(addresses []string) bool {
	return !slices.ContainsFunc(addresses, func(a string) bool {
		host, _, err := net.SplitHostPort(a)
		return err != nil || host == "" || !OnLoopback(a)
	})
}

// checkTokenURL refuses a server that would get the client's secret in the clear.
func checkTokenURL(text string, insecure bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("--sasl-token-url: expected https://HOST/PATH, without user or password")
	case u.Scheme == "http" && !insecure && !OnLoopback(net.JoinHostPort(u.Hostname(), "80")):
		return fmt.Errorf("--sasl-token-url %s would get the client's secret in the clear: use https, or set --insecure if that is meant", u.Redacted())
	}
	return nil
}
