package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/creditstream/creditstream/internal/cli/flags"
)

type healthCmd struct {
	URL     string        `arg:"" help:"What to ask: a component's /readyz (can it do its work?) or /healthz (does it live?)."`
	Timeout time.Duration `help:"How long it may take to answer." default:"2s" placeholder:"DURATION"`
}

// Help is the second half of `health --help`.
func (healthCmd) Help() string {
	return `For health checks where there is no curl: exit code 0 when the answer is 200, otherwise 1 and what is missing.

Examples:
  creditstream health http://127.0.0.1:9100/readyz`
}

// maxHealth is how much of an answer is shown.
const maxHealth = 4 << 10

// Run asks once.
func (c *healthCmd) Run(p *process) error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return flags.Usagef("%q: expected a URL, as http://127.0.0.1:9100/readyz", c.URL)
	}
	if c.Timeout <= 0 {
		return flags.Usagef("--timeout %s: expected more than 0", c.Timeout)
	}
	request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, c.URL, http.NoBody)
	if err != nil {
		return err
	}
	// A transport of its own: a proxy that the environment names is not asked.
	client := http.Client{Timeout: c.Timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxHealth))
	text := strings.TrimSpace(string(body))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", c.URL, err)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s: %s", c.URL, answer.Status, text)
	}
	_, err = fmt.Fprintln(p.stdout, text)
	return err
}
