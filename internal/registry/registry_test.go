package registry

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/creditstream/creditstream/internal/certs"
)

const text = `{"type":"record","name":"R","fields":[]}`

func start(t *testing.T, options ...srfake.Option) (*srfake.Registry, *Client) {
	fake := srfake.New(options...)
	t.Cleanup(fake.Close)
	c, err := New(Config{URL: fake.URL() + "/"})
	require.NoError(t, err)
	return fake, c
}

func TestASchemaIsRegisteredOnceAndFoundByItsID(t *testing.T) {
	fake, c := start(t)
	id, err := c.Register(t.Context(), "t-value", text)
	require.NoError(t, err)
	again, err := c.Register(t.Context(), "t-value", text)
	require.NoError(t, err)
	require.Equal(t, id, again)
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool { // who may only read
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/versions") {
			http.Error(w, "read only", http.StatusForbidden)
			return true
		}
		return false
	})
	again, err = c.Register(t.Context(), "t-value", text)
	require.NoError(t, err)
	require.Equal(t, id, again)
	_, err = c.Register(t.Context(), "other-value", text)
	require.ErrorContains(t, err, "registering the schema of other-value: HTTP 403")
	fake.ClearInterceptors()
	got, known, err := c.Schema(t.Context(), id)
	require.NoError(t, err)
	require.True(t, known)
	require.JSONEq(t, text, got)
	versions, err := c.Versions(t.Context(), "t-value")
	require.NoError(t, err)
	require.Len(t, versions, 1)
	require.Equal(t, int(id), versions[0].ID)
	versions, err = c.Versions(t.Context(), "nothing-value")
	require.NoError(t, err)
	require.Empty(t, versions)

	require.NoError(t, c.RequireFullTransitive(t.Context(), "t-value"))
	direct, err := sr.NewClient(sr.URLs(fake.URL()))
	require.NoError(t, err)
	require.Equal(t, sr.CompatFullTransitive, direct.Compatibility(t.Context(), "t-value")[0].Level)
}

func TestOnlyTheRegistrySaysThatAnIDIsUnknown(t *testing.T) {
	fake, c := start(t)
	for _, id := range []uint32{7, 1 << 31} {
		_, known, err := c.Schema(t.Context(), id)
		require.NoError(t, err)
		require.False(t, known)
	}
	fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool { // a proxy in between
		http.Error(w, "no such page", http.StatusNotFound)
		return true
	})
	_, _, err := c.Schema(t.Context(), 7)
	require.ErrorContains(t, err, fake.URL())
	require.ErrorContains(t, err, "schema id 7: HTTP 404")
}

func permanent(err error) bool {
	p, ok := err.(interface{ Permanent() bool })
	return ok && p.Permanent()
}

func TestRefusalsAreToldFromOutages(t *testing.T) {
	fake, c := start(t, srfake.WithAuth("Basic dXNlcjpwYXNz"))
	_, err := c.Register(t.Context(), "t-value", text)
	require.ErrorContains(t, err, "HTTP 401")
	require.True(t, permanent(err))
	known, err := New(Config{URL: fake.URL(), User: "user", Password: "pass"})
	require.NoError(t, err)
	_, err = known.Register(t.Context(), "t-value", text)
	require.NoError(t, err)
	_, err = known.Register(t.Context(), "t-value", "no schema")
	require.True(t, permanent(err), err)

	fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "later", http.StatusServiceUnavailable)
		return true
	})
	_, err = known.Register(t.Context(), "t-value", text)
	require.ErrorContains(t, err, "HTTP 503")
	require.False(t, permanent(err))
	fake.Close()
	_, _, err = known.Schema(t.Context(), 1)
	require.ErrorContains(t, err, fake.URL())
	require.False(t, permanent(err))
	require.NotContains(t, err.Error(), "pass")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = known.Versions(ctx, "t-value")
	require.ErrorIs(t, err, context.Canceled)
	require.Error(t, known.RequireFullTransitive(t.Context(), "t-value"))
}

func TestAnAnswerIsNotReadForEver(t *testing.T) {
	fake, c := start(t)
	fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(`{"schema":"` + strings.Repeat("x", maxAnswer) + `"}`))
		return true
	})
	_, _, err := c.Schema(t.Context(), 1)
	require.ErrorContains(t, err, "exceeds 4 MiB")
}

func TestTheURLIsChecked(t *testing.T) {
	f := func(c Config, says string) {
		t.Helper()
		_, err := New(c)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "secret")
	}
	f(Config{URL: "localhost:8081"}, "expected http://HOST:PORT")
	f(Config{URL: "ftp://localhost"}, "expected http://HOST:PORT")
	f(Config{URL: "http://"}, "expected http://HOST:PORT")
	f(Config{URL: "http://u:secret@host:8081"}, "--schema-registry-user")
	f(Config{URL: "http://u:secret@ho st"}, "expected http://HOST:PORT")
	f(Config{URL: "http://host:8081", Password: "secret"}, "--schema-registry-user")
}

// A registry over TLS is asked with the authorities of a file, and a password does
// not follow where it sends on to plain HTTP.
func TestARegistryOverTLS(t *testing.T) {
	plain := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { plain++ }))
	t.Cleanup(elsewhere.Close)
	asked := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		assert.Equal(t, "ann:secret", user+":"+password)
		if asked++; asked > 1 {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
			return
		}
		_, err := w.Write([]byte(`{"schema":"{}"}`))
		assert.NoError(t, err)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	trusting, err := certs.NewClient(certs.Files{Flags: "--schema-registry", URL: "--schema-registry", CA: file}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)

	strange, err := New(Config{URL: server.URL, User: "ann", Password: "secret"})
	require.NoError(t, err)
	_, _, err = strange.Schema(t.Context(), 1)
	require.ErrorContains(t, err, "unknown authority")
	require.Zero(t, asked)

	c, err := New(Config{URL: server.URL, User: "ann", Password: "secret", TLS: trusting})
	require.NoError(t, err)
	text, known, err := c.Schema(t.Context(), 1)
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, "{}", text)

	_, _, err = c.Schema(t.Context(), 2)
	require.ErrorContains(t, err, "which is not encrypted")
	require.Zero(t, plain)
}
