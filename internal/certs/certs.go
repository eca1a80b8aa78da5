// Package certs is TLS with certificates that are files: they are read again when
// they change, so that one that is about to expire is replaced without a restart.
// Connections that are open go on with what they began with.
//
// A server's certificate is always verified, by an ordinary tls.Config made for
// each connection: there is no setting that turns it off.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// dialTimeout bounds connecting and the handshake.
const dialTimeout = 3 * time.Second

// Files are the PEM files of one end of a connection.
type Files struct {
	Flags      string // what the flags' names begin with ("--tls", "--redis"), for errors
	URL        string // flag of the address where its https is what asks for TLS, and CA is all that has a flag; empty: each has one
	CA         string // authorities that sign servers' certificates; empty: the system's
	Cert, Key  string // shown to servers that ask; empty: none
	ServerName string // that servers' certificates are for; empty: the host that is dialled
}

// Client reaches servers over TLS.
type Client struct {
	files Files
	roots *watched[*x509.CertPool]   // nil: the system's
	pair  *watched[*tls.Certificate] // nil: none
}

// NewClient reads the files. Errors name the flag.
func NewClient(f Files, log *slog.Logger) (c *Client, err error) {
	c = &Client{files: f}
	if f.CA != "" {
		if c.roots, err = watch(log, f.parseRoots, f.CA); err != nil {
			return nil, fmt.Errorf("%s-ca: %w", f.Flags, err)
		}
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, fmt.Errorf("%s-cert and %s-key belong together: set both", f.Flags, f.Flags)
	}
	if f.Cert != "" {
		if c.pair, err = watch(log, f.parsePair, f.Cert, f.Key); err != nil {
			return nil, fmt.Errorf("%s-cert, %s-key: %w", f.Flags, f.Flags, err)
		}
	}
	return c, nil
}

// NewServer is the configuration of a server that shows a certificate.
func NewServer(f Files, log *slog.Logger) (*tls.Config, error) {
	pair, err := watch(log, f.parsePair, f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("%s-cert, %s-key: %w", f.Flags, f.Flags, err)
	}
	return serverFrom(pair), nil
}

func serverFrom(pair *watched[*tls.Certificate]) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.current(), nil },
	}
}

func (f Files) parseRoots(texts [][]byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(texts[0]) {
		return nil, fmt.Errorf("%s holds no certificate: expected PEM, BEGIN CERTIFICATE", f.CA)
	}
	return pool, nil
}

func (f Files) parsePair(texts [][]byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(texts[0], texts[1])
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", f.Cert, f.Key, err)
	}
	return &pair, nil
}

// config is for one connection to a host, with the files as they are now.
func (c *Client) config(host string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if c.files.ServerName != "" {
		config.ServerName = c.files.ServerName
	}
	if c.roots != nil {
		config.RootCAs = c.roots.current()
	}
	if c.pair != nil {
		pair := c.pair.current()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	return config
}

// Dial connects to host:port. A handshake that fails is a *HandshakeError inside
// a net.OpError of a dial: for the callers, a server that cannot be reached.
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	plain, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, c.config(host))
	if err := conn.HandshakeContext(ctx); err != nil {
		err = errors.Join(err, ctx.Err()) // the handshake's own error is "i/o timeout"
		_ = plain.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Addr: plain.RemoteAddr(), Err: &HandshakeError{c.files, err}}
	}
	return conn, nil
}

// HTTP is the configuration for an HTTP client: of every host, with the
// authorities as they are now.
func (c *Client) HTTP() *tls.Config {
	config := c.config("")
	config.ServerName = "" // the client sets that of each host
	return config
}
