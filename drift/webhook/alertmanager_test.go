//go:build alertmanager

package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/loopback"
	"github.com/creditstream/creditstream/schemas"
)

// patience is how long the Alertmanager may take to tell.
const patience = 30 * time.Second

// notification is what an Alertmanager tells its receivers.
type notification struct {
	Status string `json:"status"`
	Alerts []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
		EndsAt      time.Time         `json:"endsAt"`
	} `json:"alerts"`
}

// alertmanager starts a real one; what it tells its receiver comes out of the
// channel. A machine without one fails the test: nothing is skipped.
func alertmanager(t *testing.T) (address string, told chan notification) {
	told = make(chan notification, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n notification
		if json.NewDecoder(r.Body).Decode(&n) == nil {
			told <- n
		}
	}))
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf(`
route: {receiver: test, group_by: [alertname], group_wait: 100ms, group_interval: 200ms, repeat_interval: 1h}
receivers:
- name: test
  webhook_configs: [{url: %q, send_resolved: true}]
`, receiver.URL)), 0o644))
	address, _, err := loopback.Free(1)
	require.NoError(t, err)
	program, err := exec.LookPath("prometheus-alertmanager")
	require.NoError(t, err, "install the package prometheus-alertmanager")
	cmd := exec.Command(program, "--config.file", config, "--storage.path", filepath.Join(dir, "data"), "--cluster.listen-address=", "--web.listen-address", address)
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // was killed
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("alertmanager:\n%s", text)
		}
		_ = log.Close()
	})
	require.Eventually(t, func() bool {
		r, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	}, patience, 20*time.Millisecond)
	return address, told
}

// hear waits for the next notification.
func hear(t *testing.T, told chan notification) notification {
	t.Helper()
	select {
	case n := <-told:
		require.Len(t, n.Alerts, 1)
		return n
	case <-time.After(patience):
		require.Fail(t, "nothing was told")
		return notification{}
	}
}

func TestARealAlertmanagerTellsWhatFiresAndWhatIsOver(t *testing.T) {
	t.Parallel()
	address, told := alertmanager(t)
	n, err := New(Config{URL: "http://" + address, System: "credit", Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()

	began := time.Now().Add(-time.Second).UTC().Truncate(time.Microsecond)
	a := alert("drift/limit_bal", schemas.AlertFiring, began)
	n.Notify([]schemas.Alert{a})
	first := hear(t, told)
	require.Equal(t, "firing", first.Status)
	require.Equal(t, "drift/limit_bal", first.Alerts[0].Labels["alertname"])
	require.Equal(t, "limit_bal", first.Alerts[0].Labels["subject"])
	require.Equal(t, "limit_bal (PSI 0.31), age (PSI 0.2)", first.Alerts[0].Annotations["contributors"])
	require.Equal(t, began, first.Alerts[0].StartsAt.UTC())

	n.Notify([]schemas.Alert{alert("drift/limit_bal", schemas.AlertResolved, time.Now())})
	over := hear(t, told)
	require.Equal(t, "resolved", over.Status)
	require.Equal(t, first.Alerts[0].Labels, over.Alerts[0].Labels)
	require.Equal(t, began, over.Alerts[0].StartsAt.UTC())

	// A process that only knows that it is over ends what another began.
	n.Notify([]schemas.Alert{alert("drift/age", schemas.AlertFiring, time.Now())})
	require.Equal(t, "firing", hear(t, told).Status)
	cancel()
	require.NoError(t, <-done)
	again, err := New(Config{URL: "http://" + address, System: "credit", Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	again.Notify([]schemas.Alert{alert("drift/age", schemas.AlertResolved, time.Now())})
	require.NoError(t, again.send(t.Context(), again.due(time.Now(), false)))
	over = hear(t, told)
	require.Equal(t, "resolved", over.Status)
	require.Equal(t, "drift/age", over.Alerts[0].Labels["alertname"])
}
