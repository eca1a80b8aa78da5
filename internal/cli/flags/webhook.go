package flags

import (
	"log/slog"
	"net"
	"net/http"
	"net/url"

	"github.com/creditstream/creditstream/drift/webhook"
	"github.com/creditstream/creditstream/internal/certs"
)

// Webhook says who is told of alerts beside their topic.
type Webhook struct {
	URL       string `help:"Alertmanager that alerts are sent to, by its API v2; empty: none." name:"alert-webhook" placeholder:"URL" group:"Alerts"`
	Token     string `help:"Bearer token for it; from the environment or a settings file only." name:"alert-webhook-token" secret:"" placeholder:"SECRET" group:"Alerts"`
	TokenFile string `help:"File with the token, read for each request." name:"alert-webhook-token-file" type:"path" placeholder:"FILE" group:"Alerts"`
	CA        string `help:"Authorities that sign its certificate, PEM (default: the system's); read again when it changes." name:"alert-webhook-ca" type:"path" placeholder:"FILE" group:"Alerts"`
}

// check refuses what cannot work and what is not safe.
func (f *Webhook) check() error {
	token := f.Token != "" || f.TokenFile != ""
	if f.URL == "" {
		if token || f.CA != "" {
			return Usagef("--alert-webhook-… mean nothing without --alert-webhook URL")
		}
		return nil
	}
	if err := webhook.CheckURL(f.URL); err != nil {
		return Usagef("--alert-webhook: %w", err)
	}
	u, err := url.Parse(f.URL)
	if err != nil {
		return Usagef("--alert-webhook: %w", err)
	}
	switch plain := u.Scheme == "http"; {
	case plain && f.CA != "":
		return Usagef("--alert-webhook-ca means nothing for %s: its connections are not encrypted", f.URL)
	case plain && token && !OnLoopback(net.JoinHostPort(u.Hostname(), "80")):
		return Usagef("--alert-webhook %s would get the token in the clear: use https", f.URL)
	}
	return nil
}

// Config is how it is told, nil where nobody is; whose alerts they are is left to
// whoever makes the notifier.
func (f *Webhook) Config(log *slog.Logger) (*webhook.Config, error) {
	if err := f.check(); err != nil || f.URL == "" {
		return nil, err
	}
	token, err := secretSource("alert-webhook-token", f.Token, f.TokenFile)
	if err != nil {
		return nil, err
	}
	server, err := certs.NewClient(certs.Files{Flags: "--alert-webhook", URL: "--alert-webhook", CA: f.CA}, log)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{
		DialTLSContext: server.Dial,
		Proxy:          http.ProxyFromEnvironment, TLSClientConfig: server.HTTP(), // through a proxy
	}}
	return &webhook.Config{URL: f.URL, Client: client, Token: token, Log: log}, nil
}
