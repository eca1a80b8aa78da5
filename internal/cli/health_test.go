package cli

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/telemetry"
)

func TestHealthAsksAComponent(t *testing.T) {
	var missing error
	server := httptest.NewServer(telemetry.Handler(prometheus.NewRegistry(), func() error { return missing }))
	defer server.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // is not asked

	code, out, errs := creditstream(t, "health", server.URL+"/readyz")
	require.Zero(t, code, errs)
	require.Equal(t, "ready\n", out)

	missing = errors.New("scorer: no partitions yet")
	code, out, errs = creditstream(t, "health", server.URL+"/readyz")
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Contains(t, errs, "/readyz: 503 Service Unavailable: scorer: no partitions yet")

	code, out, _ = creditstream(t, "health", server.URL+"/healthz")
	require.Zero(t, code)
	require.Equal(t, "ok\n", out)
}

func TestHealthFailsWhereNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	code, _, errs := creditstream(t, "health", "http://"+l.Addr().String()+"/readyz", "--timeout", "20ms")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "Client.Timeout exceeded")
	require.NoError(t, l.Close())
	code, _, errs = creditstream(t, "health", "http://"+l.Addr().String()+"/readyz")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "connection refused")

	for _, wrong := range []string{"127.0.0.1:9100", "/readyz", "ftp://host/readyz", "http://"} {
		code, _, errs = creditstream(t, "health", wrong)
		require.Equal(t, 2, code)
		require.Contains(t, errs, `"`+wrong+`": expected a URL`)
	}
	code, _, errs = creditstream(t, "health", "http://127.0.0.1:1/readyz", "--timeout", "0s")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--timeout 0s: expected more than 0")
}

func TestHealthEndsWithTheProcess(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	p := &process{ctx: ctx}
	require.ErrorIs(t, (&healthCmd{URL: server.URL, Timeout: 1 << 40}).Run(p), context.Canceled)
}
