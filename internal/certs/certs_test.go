package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{t, cert, key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// pair signs a certificate for 127.0.0.1 and a name, valid until then.
func (a *authority) pair(name string, until time.Time) (cert, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if name == "127.0.0.1" {
		template.DNSNames, template.IPAddresses = nil, []net.IP{net.ParseIP(name)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	require.NoError(a.t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(a.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func later() time.Time { return time.Now().Add(time.Hour) }

// write replaces files at once, as whoever rotates certificates should.
func write(t *testing.T, path string, text []byte) string {
	next := path + ".next"
	require.NoError(t, os.WriteFile(next, text, 0o600))
	require.NoError(t, os.Rename(next, path))
	return path
}

// server greets every connection, over TLS unless config is nil.
func server(t *testing.T, config *tls.Config) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if config != nil {
				conn = tls.Server(conn, config)
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = conn.Write([]byte("hello"))
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	return l.Addr().String()
}

// hello connects, reads a byte and returns the server's certificate.
func hello(c *Client, address string) (*x509.Certificate, error) {
	conn, err := c.Dial(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Read(make([]byte, 1))
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], err
}

// clock stands still but for what passes; it starts when files were last looked at.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func drive[T any](w *watched[T]) *clock {
	c := &clock{now: w.looked}
	w.now = c.Now
	return c
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(lookInterval)
}

func serverConfig(t *testing.T, cert, key []byte) *tls.Config {
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

func TestAServerIsVerified(t *testing.T) {
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	ca := write(t, filepath.Join(t.TempDir(), "ca.pem"), ours.pem())
	f := func(name string, a *authority, certName string, until time.Time, serverName, want string) {
		t.Run(name, func(t *testing.T) {
			cert, key := a.pair(certName, until)
			address := server(t, serverConfig(t, cert, key))
			client, err := NewClient(Files{Flags: "--tls", CA: ca, ServerName: serverName}, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			_, err = hello(client, address)
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, address)
			dial, ok := err.(*net.OpError) //nolint:errorlint // callers look at the outermost
			require.True(t, ok)
			require.Equal(t, "dial", dial.Op)
		})
	}
	f("by its address", ours, "127.0.0.1", later(), "", "")
	f("by the name that is set", ours, "kafka", later(), "kafka", "")
	f("for another host", ours, "kafka", later(), "", "for another name: reach it by a name that the certificate holds, or set --tls-server-name")
	f("for another name than is set", ours, "127.0.0.1", later(), "kafka", "--tls-server-name")
	f("expired", ours, "127.0.0.1", time.Now().Add(-time.Hour), "", "has expired")
	f("of another authority", other, "127.0.0.1", later(), "", "not trusted here: set --tls-ca")
}

func TestAServerWithoutTLSIsNamed(t *testing.T) {
	client, err := NewClient(Files{Flags: "--redis"}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = hello(client, server(t, nil))
	require.ErrorContains(t, err, "does not speak TLS at this port, or closed the connection: look at the port, or leave --redis-tls out")
	require.NotErrorIs(t, err, io.EOF)
}

// Where TLS is asked for by an address, no error names a flag that only others have.
func TestAServerThatAnAddressNamesIsExplainedByFlagsThatThereAre(t *testing.T) {
	ours := newAuthority(t, "ours")
	ca := write(t, filepath.Join(t.TempDir(), "ca.pem"), ours.pem())
	f := func(files Files, config *tls.Config, want string) {
		t.Helper()
		files.Flags, files.URL = "--sasl-token", "--sasl-token-url"
		client, err := NewClient(files, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		_, err = hello(client, server(t, config))
		require.ErrorContains(t, err, want)
		for _, none := range []string{"--sasl-token-tls", "--sasl-token-server-name", "--sasl-token-cert", "--sasl-token-key"} {
			require.NotContains(t, err.Error(), none)
		}
	}
	cert, key := ours.pair("elsewhere", later())
	f(Files{CA: ca}, serverConfig(t, cert, key), "for another name: reach it by a name that the certificate holds: x509")
	cert, key = ours.pair("127.0.0.1", later())
	f(Files{}, serverConfig(t, cert, key), "set --sasl-token-ca")
	f(Files{}, nil, "look at the port of --sasl-token-url")
	asks := serverConfig(t, cert, key)
	asks.ClientAuth, asks.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 // which says so in the handshake
	f(Files{CA: ca}, asks, "the server of --sasl-token-url asks for a certificate of this client, and none can be set")
}

func TestAClientCertificateIsShownAndRotated(t *testing.T) {
	ours := newAuthority(t, "ours")
	dir := t.TempDir()
	ca := write(t, filepath.Join(dir, "ca.pem"), ours.pem())
	cert, key := ours.pair("127.0.0.1", later())
	config := serverConfig(t, cert, key)
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.ClientCAs = x509.NewCertPool()
	config.ClientCAs.AddCert(ours.cert)
	seen := make(chan string, 10)
	config.VerifyConnection = func(s tls.ConnectionState) error {
		seen <- s.PeerCertificates[0].Subject.CommonName
		return nil
	}
	address := server(t, config)

	bare, err := NewClient(Files{Flags: "--tls", CA: ca}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = hello(bare, address)
	why, ok := Rejected(err, "--tls")
	require.True(t, ok, "%v", err)
	require.Contains(t, why, "set --tls-cert and --tls-key")

	first, firstKey := ours.pair("first", later())
	certFile, keyFile := write(t, filepath.Join(dir, "cert.pem"), first), write(t, filepath.Join(dir, "key.pem"), firstKey)
	var said bytes.Buffer
	client, err := NewClient(Files{Flags: "--tls", CA: ca, Cert: certFile, Key: keyFile}, slog.New(slog.NewTextHandler(&said, nil)))
	require.NoError(t, err)
	at := drive(client.pair)
	shown := func() string {
		_, err := hello(client, address)
		require.NoError(t, err)
		return <-seen
	}
	require.Equal(t, "first", shown())

	second, secondKey := ours.pair("second", later())
	write(t, certFile, second)
	at.pass()
	require.Equal(t, "first", shown(), "half of a rotation changes nothing")
	at.pass()
	require.Equal(t, "first", shown())
	require.Equal(t, 1, bytes.Count(said.Bytes(), []byte("certificates stay as they were")))
	require.NotContains(t, said.String(), "PRIVATE")
	write(t, keyFile, secondKey)
	require.Equal(t, "first", shown(), "looked at once a second")
	at.pass()
	require.Equal(t, "second", shown())
	require.Contains(t, said.String(), "certificates taken up")

	require.NoError(t, os.Remove(keyFile))
	at.pass()
	require.Equal(t, "second", shown(), "a file that is gone changes nothing")
}

func TestAuthoritiesAreReadAgain(t *testing.T) {
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	ca := write(t, filepath.Join(t.TempDir(), "ca.pem"), before.pem())
	cert, key := after.pair("127.0.0.1", later())
	address := server(t, serverConfig(t, cert, key))
	client, err := NewClient(Files{Flags: "--tls", CA: ca}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	at := drive(client.roots)
	_, err = hello(client, address)
	require.ErrorContains(t, err, "not trusted here")
	write(t, ca, append(before.pem(), after.pem()...))
	at.pass()
	_, err = hello(client, address)
	require.NoError(t, err)
	write(t, ca, before.pem())
	at.pass()
	_, err = hello(client, address)
	require.ErrorContains(t, err, "not trusted here", "one that was withdrawn counts no more")
}

func TestAServersCertificateIsRotated(t *testing.T) {
	ours := newAuthority(t, "ours")
	dir := t.TempDir()
	ca := write(t, filepath.Join(dir, "ca.pem"), ours.pem())
	first, firstKey := ours.pair("127.0.0.1", later())
	certFile, keyFile := write(t, filepath.Join(dir, "cert.pem"), first), write(t, filepath.Join(dir, "key.pem"), firstKey)
	pair, err := watch(slog.New(slog.DiscardHandler), Files{Cert: certFile, Key: keyFile}.parsePair, certFile, keyFile)
	require.NoError(t, err)
	at := drive(pair)
	address := server(t, serverFrom(pair))
	client, err := NewClient(Files{Flags: "--tls", CA: ca}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	one, err := hello(client, address)
	require.NoError(t, err)
	second, secondKey := ours.pair("127.0.0.1", later())
	write(t, keyFile, secondKey)
	write(t, certFile, second)
	at.pass()
	two, err := hello(client, address)
	require.NoError(t, err)
	require.NotEqual(t, one.SerialNumber, two.SerialNumber)
}

func TestWrongFilesAreNamed(t *testing.T) {
	ours := newAuthority(t, "ours")
	dir := t.TempDir()
	cert, _ := ours.pair("a", later())
	_, key := ours.pair("b", later())
	certFile, keyFile := write(t, filepath.Join(dir, "cert.pem"), cert), write(t, filepath.Join(dir, "key.pem"), key)
	empty := write(t, filepath.Join(dir, "empty.pem"), nil)
	f := func(files Files, want ...string) {
		t.Helper()
		files.Flags = "--tls"
		_, err := NewClient(files, slog.New(slog.DiscardHandler))
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
	}
	f(Files{CA: filepath.Join(dir, "none.pem")}, "--tls-ca", "none.pem")
	f(Files{CA: empty}, "--tls-ca", "empty.pem holds no certificate")
	f(Files{CA: keyFile}, "holds no certificate")
	f(Files{Cert: certFile}, "--tls-cert and --tls-key belong together")
	f(Files{Cert: certFile, Key: keyFile}, "cert.pem with", "key.pem", "private key does not match")
	_, err := NewServer(Files{Flags: "--api-tls", Cert: certFile, Key: empty}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "--api-tls-cert, --api-tls-key: ")
}
