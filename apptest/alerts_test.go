package apptest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// listening is whoever is told of alerts, as an Alertmanager is.
type listening struct {
	mu    sync.Mutex
	ends  map[string]time.Time // guarded by mu, by alert: when it ends, as was told last
	first string               // guarded by mu: summary told first
	token string               // guarded by mu: shown last
}

func (l *listening) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var alerts []struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		EndsAt      time.Time         `json:"endsAt"`
	}
	if r.URL.Path != "/api/v2/alerts" || json.NewDecoder(r.Body).Decode(&alerts) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.token = r.Header.Get("Authorization")
	for _, a := range alerts {
		if l.first == "" {
			l.first = a.Annotations["summary"]
		}
		l.ends[a.Labels["alertname"]] = a.EndsAt
	}
}

// fires says whether an alert was told and goes on.
func (l *listening) fires(alert string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends[alert].After(time.Now())
}

// heard is what it was shown last, and told first.
func (l *listening) heard() (token, summary string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.token, l.first
}

// Processes that know nothing of each other but the topics: what the population
// does is counted, judged, told to an Alertmanager, and shown by the API.
func TestDriftIsSeenToldAndShown(t *testing.T) {
	long(t)
	t.Parallel()
	s := embedded(t)
	on := []string{"--brokers", s.kafka}
	run(t, append([]string{"topics", "apply", "--partitions", "3", "--replication", "1"}, on...)...)
	run(t, append([]string{"model", "release", "shipped", "--first", "--by", "test"}, on...)...)
	hears := &listening{ends: map[string]time.Time{}}
	manager := httptest.NewServer(hears)
	t.Cleanup(manager.Close)
	secret := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(secret, []byte("s3cret\n"), 0o600))
	withRedis := append([]string{"--redis", s.redis}, on...)
	service(t, "score", append([]string{"score"}, on...)...).ready()
	service(t, "view", append([]string{"view"}, withRedis...)...).ready()
	page := freeAddress(t)
	service(t, "api", append([]string{"api", "--api-listen", page}, withRedis...)...).ready()
	service(t, "drift", append([]string{
		"drift", "--bucket", "1s", "--block-time", "1s", "--min-firing", "1s", "--windows", "1000,1m", "--alert-webhook", manager.URL, "--alert-webhook-token-file", secret,
	}, withRedis...)...).ready()

	p := start(t, "produce", append([]string{"produce", "--rate", "1500", "--seed", "3", "--scenario", "recession", "--scenario-after", "0", "--scenario-ramp", "1"}, on...)...)
	until(t, time.Minute, "the Alertmanager is told", func() bool { return hears.fires("drift/pay_0") && hears.fires("drift/score") })
	p.terminate()
	token, summary := hears.heard()
	require.Equal(t, "Bearer s3cret", token)
	require.Contains(t, summary, "is firing: evidence ")

	var status struct {
		State   string `json:"state"`
		Windows []struct {
			Name     string `json:"name"`
			Features []struct {
				Feature string  `json:"feature"`
				State   string  `json:"state"`
				PSI     float64 `json:"psi"`
			} `json:"features"`
		} `json:"windows"`
	}
	run(t, append([]string{"drift", "status", "--json"}, on...)...).answer(&status)
	require.Equal(t, "act", status.State)
	require.Equal(t, "1000", status.Windows[0].Name)
	features := status.Windows[0].Features
	require.Len(t, features, 23)
	require.Equal(t, "pay_0", features[5].Feature)
	require.Equal(t, "act", features[5].State)
	require.Greater(t, features[5].PSI, 0.1)
	until(t, time.Minute, "the API shows it", func() bool {
		_, text := shownBy(page, "/drift")
		return strings.Contains(text, `"drift/pay_0"`)
	})
	code, text := shownBy(page, "/drift/report")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, text, "drift/pay_0")

	// The same stretch, from its panes.
	report := run(t, append([]string{"drift", "report", "--from", "start", "--out", "-"}, on...)...)
	require.Contains(t, string(report.stdout.bytes()), "<title>Drift: act")
	require.NotContains(t, string(report.stderr.bytes()), "; 0 in 0 panes")
}
