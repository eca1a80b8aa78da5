package telemetry

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProfiles_AreServedOnlyWhereAskedFor(t *testing.T) {
	plain := Handler(NewRegistry(), func() error { return nil })
	for path, profile := range map[string]bool{"/debug/pprof/": true, "/debug/pprof/heap": true, "/debug/pprof/cmdline": true, "/healthz": false, "/metrics": false} {
		for _, with := range []bool{false, true} {
			h := plain
			if with {
				h = WithProfiles(plain)
			}
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
			want := http.StatusOK
			if profile && !with {
				want = http.StatusNotFound
			}
			require.Equal(t, want, answer.Code, "%s %t", path, with)
		}
	}
}
