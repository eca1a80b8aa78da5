package telemetry

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadinessSaysWhatIsMissingAndWhatIsAwaited(t *testing.T) {
	var missing, awaited error
	h := Handler(NewRegistry(), func() error { return missing }, func() error { return awaited })
	get := func() (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code, w.Body.String()
	}
	code, body := get()
	require.Equal(t, 200, code)
	require.Equal(t, "ready\n", body)
	awaited = errors.New("models: route revision 3 waits")
	code, body = get()
	require.Equal(t, 200, code, "the work is done all the same")
	require.Equal(t, "ready\nmodels: route revision 3 waits\n", body)
	missing = errors.New("scorer: starting")
	code, body = get()
	require.Equal(t, 503, code)
	require.Equal(t, "scorer: starting\n", body)
}
