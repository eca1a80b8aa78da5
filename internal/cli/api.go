package cli

import (
	"time"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/schemas"
)

type apiCmd struct {
	Kafka    flags.Kafka    `embed:""`
	Redis    flags.Redis    `embed:""`
	Listen   flags.Listen   `embed:""`
	Model    flags.Model    `embed:""`
	Instance flags.Instance `embed:""`
	API      flags.API      `embed:""`
}

// Help is the second half of `api --help`.
func (apiCmd) Help() string {
	return `Answers POST /predict, POST /predict/batch and GET /predictions/{id} with the decisions of the stream's own scorer, and serves a page at / and documentation at /docs. Every decision is on the predictions topic before it is answered.

Scoring needs a model and Kafka, and /readyz says whether both are there. Look-ups and requests with an Idempotency-Key need Redis; while it is away they get 503, all others are answered, and /readyz says so below "ready".

Without keys only this machine is answered, and only under its own name: localhost or a loopback address in the Host header. Behind a proxy set --api-keys, or --no-auth if the proxy asks for them, and --trusted-proxies, so that callers are told apart: docs/reverse-proxy.md.

Examples:
  creditstream api --model shipped
  creditstream api --api-listen :8000 --api-keys keys.txt --rate-limit 50
  creditstream api --api-listen :8443 --api-keys keys.txt --api-tls-cert api.pem --api-tls-key api.key`
}

// Run answers until a signal.
func (c *apiCmd) Run(p *process) error {
	s, err := newServices(p, &c.Kafka, c.Instance, c.Model, schemas.EventPrediction)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := addAPI(p, s, &c.API, &c.Redis); err != nil {
		return err
	}
	return serve(p, s, c.Listen)
}

// addAPI adds an API.
func addAPI(p *process, s *app.Services, f *flags.API, r *flags.Redis) error {
	config, err := f.Config(p.log, r)
	if err != nil {
		return err
	}
	config.Delay = func(cause error) (time.Duration, <-chan struct{}) { return shutdownDelay(cause, f.ShutdownDelay) }
	return s.AddAPI(config)
}
