package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// alertsPath is where an Alertmanager takes alerts.
const alertsPath = "/api/v2/alerts"

// postable is an alert as an Alertmanager takes it. Its labels name it, so they
// are the same for as long as it fires and when it ends; figures are annotations.
type postable struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    string            `json:"startsAt,omitempty"` // absent: unknown
	EndsAt      string            `json:"endsAt"`             // in the future while it fires
}

// newPostable is an alert at now; began is when it began to fire, zero where that
// is not known.
func newPostable(a *schemas.Alert, began schemas.Timestamp, system string, now time.Time) postable {
	kind, subject, _ := strings.Cut(a.Alert, "/")
	p := postable{
		Labels: map[string]string{
			"alertname": a.Alert, "kind": kind, "service": "creditstream", "system": system, "severity": "warning",
		},
		Annotations: map[string]string{
			"summary":   summary(a),
			"statistic": a.Statistic,
			"value":     number(a.Value),
			"threshold": number(a.Threshold),
			"window":    fmt.Sprintf("%s: %d %s, %s to %s", a.Window.Name, a.Window.Decisions, a.Window.Counts(), a.Window.From, a.Window.To),
			"runbook":   a.Runbook,
		},
		EndsAt: a.Since.String(),
	}
	if subject != "" {
		p.Labels["subject"] = subject
	}
	set := func(name, value string) {
		if value != "" {
			p.Annotations[name] = value
		}
	}
	set("reference", a.Reference)
	set("model_versions", strings.Join(a.ModelVersions, ", "))
	set("contributors", contributors(a.Contributors))
	if began != 0 {
		p.StartsAt = began.String()
	}
	if a.State == schemas.AlertFiring {
		p.EndsAt = schemas.At(now.Add(lapse)).String()
	}
	return p
}

func summary(a *schemas.Alert) string {
	then := "then"
	if a.State == schemas.AlertFiring {
		then = "when it fired"
	}
	text := fmt.Sprintf("%s is %s: %s %s, threshold %s, over %s (%d %s) %s, %s",
		a.Alert, a.State, a.Statistic, number(a.Value), number(a.Threshold), a.Window.Name, a.Window.Decisions, a.Window.Counts(), then, a.Since)
	if remark := schemas.AlertRemark(a.Alert); remark != "" && a.State == schemas.AlertFiring {
		text += "; " + remark
	}
	if c := contributors(a.Contributors); c != "" {
		text += "; moved: " + c
	}
	return text
}

func contributors(all []schemas.Contributor) string {
	texts := make([]string, len(all))
	for i, c := range all {
		texts[i] = fmt.Sprintf("%s (PSI %s)", c.Feature, number(c.PSI))
	}
	return strings.Join(texts, ", ")
}

// number has four digits: nobody acts on the fifth.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// maxAnswer is as much of a refusal as is repeated.
const maxAnswer = 300

// post sends states in one request.
func (n *Notifier) post(ctx context.Context, tellings []telling, now time.Time) error {
	alerts := make([]postable, len(tellings))
	for i := range tellings {
		alerts[i] = newPostable(&tellings[i].alert, tellings[i].began, n.config.System, now)
	}
	body, err := json.Marshal(alerts)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "creditstream")
	if n.config.Token != nil {
		token, err := n.config.Token(ctx)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := n.config.Client.Do(r)
	if err != nil {
		if asking, ok := errors.AsType[*url.Error](err); ok {
			err = asking.Err // which does not repeat the address
		}
		return err
	}
	defer func() { _ = answer.Body.Close() }()                      // was only read from
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))   // what there is of it
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection is used again
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("HTTP %d: %s", answer.StatusCode, strings.TrimSpace(strings.ToValidUTF8(string(text), "")))
	}
	return nil
}
