package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

// manager is an Alertmanager in memory.
type manager struct {
	mu    sync.Mutex
	heard [][]postable        // by request
	fail  func() (int, error) // nil: everything is taken
	tries int
}

func (m *manager) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries++
	status := http.StatusOK
	if m.fail != nil {
		if status, err = m.fail(); err != nil {
			return nil, err
		}
	}
	if status == http.StatusOK {
		var alerts []postable
		if err := json.Unmarshal(body, &alerts); err != nil {
			return nil, err
		}
		m.heard = append(m.heard, alerts)
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("words")), Request: r}, nil
}

func (m *manager) failing(with func() (int, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = with
}

// take returns the requests since the last time.
func (m *manager) take() [][]postable {
	m.mu.Lock()
	defer m.mu.Unlock()
	heard := m.heard
	m.heard = nil
	return heard
}

func alert(name, state string, since time.Time) schemas.Alert {
	return schemas.Alert{
		Alert: name, State: state, Since: schemas.At(since), EvaluatedAt: schemas.At(since), Statistic: "evidence", Value: 7.512345, Threshold: 3,
		Window:       schemas.AlertWindow{Name: "1000", From: schemas.At(since) - 1e6, To: schemas.At(since), Decisions: 1003},
		Contributors: []schemas.Contributor{{Feature: "limit_bal", PSI: 0.31}, {Feature: "age", PSI: 0.2}},
		Reference:    "sha256:ab", ModelVersions: []string{"v1", "v2"}, Runbook: "docs/runbook.md#drift",
	}
}

// running starts a notifier in the bubble of a test.
func running(t *testing.T, m *manager) (n *Notifier, stop func()) {
	n, err := New(Config{
		URL: "http://alerts:9093", System: "credit", Client: &http.Client{Transport: m}, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	synctest.Wait()
	return n, func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func TestAnAlertAboutLoansSaysSo(t *testing.T) {
	t.Parallel()
	a := alert("performance/v1", schemas.AlertFiring, time.Unix(1_764_000_000, 0))
	a.Window.Name, a.Window.Decisions, a.Contributors = schemas.WindowOutcomes, 4012, nil
	require.Equal(t, "performance/v1 is firing: evidence 7.512, threshold 3, over outcomes (4012 loans) when it fired, "+a.Since.String(), summary(&a))
}

func TestAnAlertIsToldAgainWhileItFiresAndForAWhileWhenItIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &manager{}
		n, stop := running(t, m)
		defer stop()
		require.Empty(t, m.take(), "nothing is said while there is nothing to say")
		began := time.Now()
		n.Notify([]schemas.Alert{alert("drift/limit_bal", schemas.AlertFiring, began)})
		synctest.Wait()
		heard := m.take()
		require.Len(t, heard, 1)
		require.Len(t, heard[0], 1)
		first := heard[0][0]
		require.Equal(t, map[string]string{"alertname": "drift/limit_bal", "kind": "drift", "subject": "limit_bal", "service": "creditstream", "system": "credit", "severity": "warning"}, first.Labels)
		require.Equal(t, schemas.At(began).String(), first.StartsAt)
		require.Equal(t, schemas.At(began.Add(lapse)).String(), first.EndsAt)
		require.Equal(t, "drift/limit_bal is firing: evidence 7.512, threshold 3, over 1000 (1003 decisions) when it fired, 2000-01-01T00:00:00Z; moved: limit_bal (PSI 0.31), age (PSI 0.2)", first.Annotations["summary"])
		require.Equal(t, "docs/runbook.md#drift", first.Annotations["runbook"])
		require.Equal(t, "v1, v2", first.Annotations["model_versions"])

		time.Sleep(3*resend + time.Second) // of the bubble, here and below
		synctest.Wait()
		heard = m.take()
		require.Len(t, heard, 3)
		last := heard[2][0]
		require.Equal(t, first.Labels, last.Labels)
		require.Equal(t, first.StartsAt, last.StartsAt)
		require.Equal(t, schemas.At(began.Add(3*resend+lapse)).String(), last.EndsAt)

		over := time.Now()
		n.Notify([]schemas.Alert{alert("drift/limit_bal", schemas.AlertResolved, over)})
		synctest.Wait()
		heard = m.take()
		require.Len(t, heard, 1)
		require.Equal(t, first.Labels, heard[0][0].Labels)
		require.Equal(t, first.StartsAt, heard[0][0].StartsAt)
		require.Equal(t, schemas.At(over).String(), heard[0][0].EndsAt)

		time.Sleep(24 * time.Hour)
		synctest.Wait()
		require.Len(t, m.take(), int(retained/resend))
		require.Empty(t, n.alerts, "what is over and told is forgotten")
	})
}

func TestTheNewestStateIsToldOnceTheAlertmanagerIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &manager{fail: func() (int, error) { return 0, errors.New("connection refused") }}
		n, stop := running(t, m)
		defer stop()
		began := time.Now()
		n.Notify([]schemas.Alert{alert("drift/age", schemas.AlertFiring, began), alert("no-decisions", schemas.AlertFiring, began)})
		synctest.Wait()
		require.ErrorContains(t, n.Pending(), "alerts:9093: 2 alerts not delivered: connection refused")
		time.Sleep(10 * time.Minute)
		n.Notify([]schemas.Alert{alert("drift/age", schemas.AlertResolved, time.Now())})
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, 2, n.waiting())
		require.Less(t, m.tries, 300, "tries become fewer")
		require.InDelta(t, m.tries, testutil.ToFloat64(n.metrics.failures), 0)
		require.NoError(t, n.Ready(), "decisions are judged all the same")

		m.failing(func() (int, error) { return http.StatusServiceUnavailable, nil })
		time.Sleep(longestPause)
		synctest.Wait()
		m.failing(nil)
		time.Sleep(longestPause)
		synctest.Wait()
		heard := m.take()
		require.Len(t, heard, 1)
		require.Len(t, heard[0], 2)
		require.Equal(t, "drift/age", heard[0][0].Labels["alertname"])
		require.Equal(t, schemas.At(began).String(), heard[0][0].StartsAt)
		require.Equal(t, schemas.At(began.Add(10*time.Minute)).String(), heard[0][0].EndsAt)
		require.NoError(t, n.Pending())
		require.Zero(t, n.waiting())
	})
}

func TestAStateThatCameWhileAnotherWasToldIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &manager{}
		n, stop := running(t, m)
		defer stop()
		began := time.Now()
		m.failing(func() (int, error) { // within the first request
			m.fail = nil
			n.Notify([]schemas.Alert{alert("drift/age", schemas.AlertResolved, began.Add(time.Second))})
			return http.StatusOK, nil
		})
		n.Notify([]schemas.Alert{alert("drift/age", schemas.AlertFiring, began)})
		synctest.Wait()
		heard := m.take()
		require.Len(t, heard, 2)
		require.Equal(t, schemas.At(began.Add(time.Second)).String(), heard[1][0].EndsAt)
	})
}

func TestAnEndWhoseBeginningIsNotKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &manager{}
		n, stop := running(t, m)
		defer stop()
		n.Notify([]schemas.Alert{alert("drift/age", schemas.AlertResolved, time.Now())})
		synctest.Wait()
		heard := m.take()
		require.Len(t, heard, 1)
		require.Empty(t, heard[0][0].StartsAt)
		// Again, and with newer figures: nothing is new.
		n.Notify([]schemas.Alert{n.alerts["drift/age"].alert})
		synctest.Wait()
		require.Empty(t, m.take())
	})
}

func TestWhatIsNewIsToldWhenTheProcessStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &manager{fail: func() (int, error) { return http.StatusInternalServerError, nil }}
		n, stop := running(t, m)
		n.Notify([]schemas.Alert{alert("drift/age", schemas.AlertFiring, time.Now())})
		synctest.Wait()
		m.failing(nil)
		stop()
		require.Len(t, m.take(), 1)
		require.Zero(t, n.waiting())
	})
}

func TestTheTokenIsSentToTheAlertmanagerAlone(t *testing.T) {
	t.Parallel()
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r.URL.Path) }))
	defer other.Close()
	got := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	var log bytes.Buffer
	n, err := New(Config{
		URL: server.URL + "/alertmanager/", System: "credit", Log: slog.New(slog.NewTextHandler(&log, nil)), Registerer: prometheus.NewRegistry(),
		Token: func(context.Context) (string, error) { return "s3cret", nil },
	})
	require.NoError(t, err)
	n.Notify([]schemas.Alert{alert("drift/age", schemas.AlertFiring, time.Now())})
	require.ErrorContains(t, n.send(t.Context(), n.due(time.Now(), false)), "HTTP 307")
	r := <-got
	require.Equal(t, "/alertmanager/api/v2/alerts", r.URL.Path)
	require.Equal(t, "Bearer s3cret", r.Header.Get("Authorization"))
	require.Empty(t, elsewhere)
	require.Contains(t, log.String(), "HTTP 307")
	require.NotContains(t, log.String(), "s3cret")
}

func TestATokenThatCannotBeReadIsAFailure(t *testing.T) {
	t.Parallel()
	n, err := New(Config{
		URL: "http://alerts:9093/api/v2/alerts", Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Token: func(context.Context) (string, error) { return "", errors.New("--alert-webhook-token-file: gone") },
	})
	require.NoError(t, err)
	require.Equal(t, "http://alerts:9093/api/v2/alerts", n.endpoint)
	n.Notify([]schemas.Alert{alert("drift/age", schemas.AlertFiring, time.Now())})
	require.ErrorContains(t, n.send(t.Context(), n.due(time.Now(), false)), "--alert-webhook-token-file: gone")
}

func TestAddressesThatAreRefused(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		err := CheckURL(text)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "pa55")
	}
	f("http://me:pa55@alerts:9093", "no user and password")
	f("http://me:pa55@alerts:%", "expected http://HOST:PORT")
	f("alerts:9093", "expected http://HOST:PORT")
	f("ftp://alerts", "expected http://HOST:PORT")
	f("http://alerts?x=1", "expected http://HOST:PORT")
	require.NoError(t, CheckURL("https://alerts.example/am"))
	_, err := New(Config{URL: "nowhere"})
	require.Error(t, err)
}
