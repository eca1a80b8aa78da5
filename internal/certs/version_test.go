package certs

import (
	"crypto/tls"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Neither end speaks anything older than TLS 1.2, whatever the other offers. That
// is said, not left to the library and its GODEBUG settings.
func TestNothingOlderThanTLS12IsSpoken(t *testing.T) {
	a := newAuthority(t, "ours")
	dir := t.TempDir()
	cert, key := a.pair("127.0.0.1", later())
	files := Files{
		Flags: "--tls", CA: write(t, filepath.Join(dir, "ca.pem"), a.pem()),
		Cert: write(t, filepath.Join(dir, "cert.pem"), cert), Key: write(t, filepath.Join(dir, "key.pem"), key),
	}
	client, err := NewClient(files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ours, err := NewServer(files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, config := range []*tls.Config{client.config("127.0.0.1"), client.HTTP(), ours} {
		require.EqualValues(t, tls.VersionTLS12, config.MinVersion)
	}

	offers := func(newest uint16) string {
		config := serverConfig(t, cert, key)
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, newest
		return server(t, config)
	}
	_, err = hello(client, offers(tls.VersionTLS11))
	require.ErrorContains(t, err, "protocol version")
	_, err = hello(client, offers(tls.VersionTLS12))
	require.NoError(t, err)

	old := client.config("127.0.0.1")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	_, err = tls.Dial("tcp", server(t, ours), old)
	require.ErrorContains(t, err, "protocol version")
}
