// Package webhook tells an Alertmanager what fires and what is over (its API v2).
package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// resend is how often what fires is told again: an Alertmanager forgets what it
	// does not hear of.
	resend = time.Minute
	// lapse is how long an Alertmanager is to believe that an alert fires without
	// hearing of it: a few tries may fail.
	lapse = 4 * resend
	// retained is how long the end of an alert is told again, should the
	// Alertmanager have been away or lost what it knew. Prometheus does the same.
	retained = 15 * time.Minute
	// requestTime bounds one request.
	requestTime = 10 * time.Second
	// partingTime bounds telling what is new when the process stops.
	partingTime = 5 * time.Second
	// Pauses between tries.
	firstPause, longestPause = time.Second, 30 * time.Second
)

// Config says whom to tell, and as whom.
type Config struct {
	URL    string       // of an Alertmanager: http(s)://HOST:PORT, a path where it is served below one
	Client *http.Client // nil: one with a bound on each request
	// Token is sent as a bearer; nil: none. It is asked for each request.
	Token func(context.Context) (string, error)
	// System tells alerts of one system from those of others ("credit").
	System     string
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Notifier keeps the newest state of every alert and tells it until it is heard.
// It is a lifecycle.Component.
type Notifier struct {
	config   Config
	endpoint string
	host     string // for people: the endpoint may say more than is their business
	metrics  *metrics
	wake     chan struct{} // holds one when something is new

	mu     sync.Mutex // guards what follows
	alerts map[string]*told
	failed error // the last try; nil: it was heard
}

// told is one alert and what the Alertmanager knows of it.
type told struct {
	alert   schemas.Alert
	began   schemas.Timestamp // when it began to fire; zero: before this process knew
	news    bool              // its state has not been heard yet
	version int               // counts its states
	due     time.Time         // when it is told again
}

// CheckURL refuses what is no address of an Alertmanager, or carries a password
// that all can see.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("expected http://HOST:PORT or https://HOST:PORT") // the error repeats what may be a password
	case u.User != nil:
		return errors.New("expected no user and password in it, where all can see them")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%s: expected http://HOST:PORT or https://HOST:PORT", text)
	}
	return nil
}

// New returns a Notifier that is not running yet.
func New(c Config) (*Notifier, error) {
	if err := CheckURL(c.URL); err != nil {
		return nil, err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), alertsPath) + alertsPath
	if c.Client == nil {
		c.Client = &http.Client{}
	}
	client := *c.Client
	client.Timeout = cmp.Or(client.Timeout, requestTime)
	// Who answers somewhere else is not whom the token is for.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Client = &client
	n := &Notifier{config: c, endpoint: u.String(), host: u.Host, wake: make(chan struct{}, 1), alerts: map[string]*told{}}
	n.metrics = newMetrics(c.Registerer, n.waiting)
	return n, nil
}

// Notify takes in what alerts say now, those known among them. It waits for
// nobody: of an alert that changes faster than it can be told, the newest state is.
func (n *Notifier) Notify(alerts []schemas.Alert) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range alerts {
		n.take(a)
	}
	select {
	case n.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// take notes one alert; the caller holds mu.
func (n *Notifier) take(a schemas.Alert) {
	t := n.alerts[a.Alert]
	if t == nil {
		t = &told{}
		n.alerts[a.Alert] = t
	}
	if t.version > 0 && t.alert.State == a.State && t.alert.Since == a.Since {
		t.alert = a // the same with newer figures: told when it is due
		return
	}
	switch {
	case a.State == schemas.AlertFiring:
		t.began = a.Since
	case t.alert.State != schemas.AlertFiring:
		t.began = 0
	}
	t.alert, t.news = a, true
	t.version++
}

// waiting is how many alerts' states have not been heard.
func (n *Notifier) waiting() (waiting int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.alerts {
		if t.news {
			waiting++
		}
	}
	return waiting
}

// Name is part of lifecycle.Component.
func (*Notifier) Name() string { return "webhook" }

// Ready is part of lifecycle.Component: decisions are judged without it.
func (*Notifier) Ready() error { return nil }

// Pending says what the Alertmanager has not heard.
func (n *Notifier) Pending() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed
}

// Run tells until ctx ends, then once more what is new. Failures are tried again
// and end nothing.
func (n *Notifier) Run(ctx context.Context) error {
	pause := retry.Pause{First: firstPause, Max: longestPause}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			n.part(ctx)
			return nil
		case <-n.wake:
		case <-timer.C:
		}
		if err := n.send(ctx, n.due(time.Now(), false)); err == nil {
			pause.Reset()
			timer.Reset(n.next(time.Now()))
			continue
		}
		// News does not shorten the pause: who cannot answer is left alone.
		pause.Wait(ctx)
		timer.Reset(0)
	}
}

// part tells what is new before the process stops: it may not come back.
func (n *Notifier) part(ctx context.Context) {
	if last := n.due(time.Now(), true); len(last) > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
		defer cancel()
		_ = n.send(ctx, last) // has been logged; the log of alerts has it anyway
	}
}

// telling is an alert's state as it is being told.
type telling struct {
	alert   schemas.Alert
	began   schemas.Timestamp
	version int
}

// due is what is to be told now, by name; or only what is new.
func (n *Notifier) due(now time.Time, onlyNews bool) (due []telling) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, t := range n.alerts {
		switch {
		case t.news || !onlyNews && !t.due.After(now) && !n.over(t, now):
			due = append(due, telling{t.alert, t.began, t.version})
		case n.over(t, now):
			delete(n.alerts, name)
		}
	}
	slices.SortFunc(due, func(a, b telling) int { return strings.Compare(a.alert.Alert, b.alert.Alert) })
	return due
}

// over says whether an alert's end has been told for long enough; the caller
// holds mu.
func (*Notifier) over(t *told, now time.Time) bool {
	return !t.news && t.alert.State != schemas.AlertFiring && now.Sub(t.alert.Since.Time()) > retained
}

// next is how long nothing is to be told.
func (n *Notifier) next(now time.Time) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	wait := resend
	for _, t := range n.alerts {
		wait = min(wait, t.due.Sub(now))
	}
	return max(wait, 0)
}

// send posts states and notes that they were accepted.
func (n *Notifier) send(ctx context.Context, tellings []telling) error {
	if len(tellings) == 0 {
		return nil
	}
	now := time.Now()
	err := n.post(ctx, tellings, now)
	if errors.Is(err, context.Canceled) {
		return err // the process stops, which is nobody's failure
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.metrics.failures.Inc()
		if n.failed == nil {
			n.config.Log.Warn("cannot post alerts to the Alertmanager; retrying", "alertmanager", n.host, "alerts", len(tellings), "error", err)
		}
		n.failed = fmt.Errorf("%s: %d alerts not delivered: %w", n.host, len(tellings), err)
		return err
	}
	if n.failed != nil {
		n.config.Log.Info("alerts posted to the Alertmanager", "alertmanager", n.host, "alerts", len(tellings))
	}
	n.failed = nil
	for _, s := range tellings {
		n.metrics.told.WithLabelValues(s.alert.State).Inc()
		t := n.alerts[s.alert.Alert]
		t.due = now.Add(resend)
		if t.version == s.version {
			t.news = false
		}
	}
	return nil
}
