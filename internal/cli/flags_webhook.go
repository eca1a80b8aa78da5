package cli

import (
	"net"
	"net/http"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/drift/webhook"
	"github.com/creditstream/creditstream/internal/certs"
)

// webhookFlags say who is told of alerts beside their topic.
type webhookFlags struct {
	AlertWebhook          string `help:"Alertmanager to tell of alerts, by its API v2; empty: none." name:"alert-webhook" placeholder:"URL" group:"Alerts"`
	AlertWebhookToken     string `help:"Bearer token to show it; from the environment or a settings file only." name:"alert-webhook-token" secret:"" placeholder:"SECRET" group:"Alerts"`
	AlertWebhookTokenFile string `help:"File with the token, read for each request." name:"alert-webhook-token-file" type:"path" placeholder:"FILE" group:"Alerts"`
	AlertWebhookCA        string `help:"Authorities that sign its certificate, PEM (default: the system's); read again when it changes." name:"alert-webhook-ca" type:"path" placeholder:"FILE" group:"Alerts"`
}

// checkWebhook refuses what cannot work and what is not safe.
func (f *webhookFlags) checkWebhook() error {
	token := f.AlertWebhookToken != "" || f.AlertWebhookTokenFile != ""
	if f.AlertWebhook == "" {
		if token || f.AlertWebhookCA != "" {
			return usagef("--alert-webhook-… mean nothing without --alert-webhook URL")
		}
		return nil
	}
	if err := webhook.CheckURL(f.AlertWebhook); err != nil {
		return usagef("--alert-webhook: %w", err)
	}
	u, err := url.Parse(f.AlertWebhook)
	if err != nil {
		return usagef("--alert-webhook: %w", err)
	}
	switch plain := u.Scheme == "http"; {
	case plain && f.AlertWebhookCA != "":
		return usagef("--alert-webhook-ca means nothing for %s: its connections are not encrypted", f.AlertWebhook)
	case plain && token && !onLoopback(net.JoinHostPort(u.Hostname(), "80")):
		return usagef("--alert-webhook %s would get the token in the clear: use https", f.AlertWebhook)
	}
	return nil
}

// notifier tells the flags' Alertmanager; nil where there is none. system is the
// topics' prefix.
func (f *webhookFlags) notifier(p *process, system string, reg prometheus.Registerer) (*webhook.Notifier, error) {
	if f.AlertWebhook == "" {
		return nil, nil
	}
	token, err := secretSource("alert-webhook-token", f.AlertWebhookToken, f.AlertWebhookTokenFile)
	if err != nil {
		return nil, err
	}
	server, err := certs.NewClient(certs.Files{Flags: "--alert-webhook", URL: "--alert-webhook", CA: f.AlertWebhookCA}, p.log)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{
		DialTLSContext: server.Dial,
		Proxy:          http.ProxyFromEnvironment, TLSClientConfig: server.HTTP(), // through a proxy
	}}
	return webhook.New(webhook.Config{URL: f.AlertWebhook, Client: client, Token: token, System: system, Log: p.log, Registerer: reg})
}
