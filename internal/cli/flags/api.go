package flags

import (
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/certs"
)

// API says where the API answers, and whom.
type API struct {
	Listen         string        `help:"Where the API, its page, its documentation, /metrics, /healthz and /readyz are served." name:"api-listen" default:"127.0.0.1:8000" placeholder:"HOST:PORT" group:"API" address:"listen"`
	Keys           string        `help:"File of API keys, name:key or name:sha256-HEX one a line; read again when it changes. Needed beyond loopback." name:"api-keys" type:"path" placeholder:"FILE" group:"API"`
	TLSCert        string        `help:"Certificate of the API, PEM; read again when it changes. Without it the API speaks plain HTTP." name:"api-tls-cert" type:"path" placeholder:"FILE" group:"API"`
	TLSKey         string        `help:"Its private key." name:"api-tls-key" type:"path" placeholder:"FILE" group:"API"`
	NoAuth         bool          `help:"Require no key, even beyond loopback." name:"no-auth" group:"API"`
	RateLimit      float64       `help:"Requests per second of one key, or of one address where no keys are required; 0: no limit." default:"0" placeholder:"N" group:"API"`
	RateBurst      int           `help:"Maximum burst of one caller's requests; 0: a second's worth." default:"0" placeholder:"N" group:"API"`
	MaxInFlight    int           `help:"Maximum concurrent requests; excess requests get 503." default:"1024" placeholder:"N" group:"API"`
	MaxPerCaller   int           `help:"Maximum open requests of one caller, including those whose body is still coming in; 0: half of --max-in-flight." name:"max-per-caller" default:"0" placeholder:"N" group:"API"`
	TrustedProxies []string      `help:"Addresses and networks (CIDR) of reverse proxies in front of the API: a caller's address is then the one that their X-Forwarded-For names. Without it an API without keys refuses what a proxy forwards." name:"trusted-proxies" placeholder:"ADDRESS,…" group:"API"`
	Feed           bool          `help:"Follow all decisions for the page." negatable:"" default:"true" group:"API"`
	PublishTimeout time.Duration `help:"How long the log may take to acknowledge a decision before the answer is 503." default:"5s" placeholder:"DURATION" group:"API"`
	ShutdownDelay  time.Duration `help:"How long the API continues to answer after SIGTERM or SIGHUP, with /readyz at 503, before it accepts no more connections. Set it longer than a balancer needs to notice, or 0s where nothing balances; Ctrl-C and a second signal do not wait." name:"shutdown-delay" default:"5s" placeholder:"DURATION" group:"API"`
}

// maxPublishTimeout leaves a request time to be answered before the server's own
// deadlines.
const maxPublishTimeout = 10 * time.Second

// maxShutdownDelay is beyond what any supervisor waits.
const maxShutdownDelay = 10 * time.Minute

// check refuses what cannot work and what is not safe.
func (f *API) check() error {
	switch {
	case f.RateLimit < 0:
		return Usagef("--rate-limit %v: expected 0 or more", f.RateLimit)
	case f.RateBurst < 0:
		return Usagef("--rate-burst %d: expected 0 or more", f.RateBurst)
	case f.MaxInFlight < 1:
		return Usagef("--max-in-flight %d: expected at least 1", f.MaxInFlight)
	case f.MaxPerCaller < 0 || f.MaxPerCaller > f.MaxInFlight:
		return Usagef("--max-per-caller %d: expected 0 … %d, which is --max-in-flight", f.MaxPerCaller, f.MaxInFlight)
	case f.PublishTimeout < time.Second || f.PublishTimeout > maxPublishTimeout:
		return Usagef("--publish-timeout %s: expected 1s … %s", f.PublishTimeout, maxPublishTimeout)
	case f.ShutdownDelay < 0 || f.ShutdownDelay > maxShutdownDelay:
		return Usagef("--shutdown-delay %s: expected 0s … %s", f.ShutdownDelay, maxShutdownDelay)
	case (f.TLSCert == "") != (f.TLSKey == ""):
		return Usagef("--api-tls-cert and --api-tls-key belong together: set both")
	case f.Keys != "" && f.NoAuth:
		return Usagef("--api-keys and --no-auth: set one of them")
	case f.Keys == "" && !f.NoAuth && !OnLoopback(f.Listen):
		return Usagef("--api-listen %s can be reached from other machines and no key would be asked for: set --api-keys FILE, or --no-auth if that is meant", f.Listen)
	}
	return nil
}

// Config is the API with a Redis, and where it listens.
func (f *API) Config(log *slog.Logger, r *Redis) (c app.API, err error) {
	if err := f.check(); err != nil {
		return c, err
	}
	if f.Keys != "" {
		if c.Keys, err = api.OpenKeys(f.Keys, log); err != nil {
			return c, fmt.Errorf("--api-keys: %w", err)
		}
	}
	if c.Proxies, err = Proxies(log, f.TrustedProxies, c.Keys != nil); err != nil {
		return c, err
	}
	if f.TLSCert != "" {
		if c.TLS, err = certs.NewServer(certs.Files{Flags: "--api-tls", Cert: f.TLSCert, Key: f.TLSKey}, log); err != nil {
			return c, err
		}
	} else if c.Keys != nil && !OnLoopback(f.Listen) {
		log.Warn("the API speaks plain HTTP: keys cross the network in the clear unless a proxy in front of it ends TLS; set --api-tls-cert and --api-tls-key otherwise", "address", f.Listen)
	}
	c.Limits = api.Limits{PerSecond: f.RateLimit, Burst: f.RateBurst, InFlight: f.MaxInFlight, PerCaller: f.MaxPerCaller, Publish: f.PublishTimeout}
	c.NoAuth, c.Feed, c.Redis = f.NoAuth, f.Feed, r.Config()
	if c.Listener, err = net.Listen("tcp", f.Listen); err != nil {
		return c, fmt.Errorf("--api-listen %s: %w", f.Listen, err)
	}
	return c, nil
}

// Proxies are those that --trusted-proxies names; keys says whether one is asked for.
func Proxies(log *slog.Logger, named []string, keys bool) (api.Proxies, error) {
	all, err := api.ParseProxies(named)
	if err != nil {
		return nil, Usagef("--trusted-proxies %w", err)
	}
	if len(all) > 0 && !keys {
		log.Warn("no key is asked for: whoever the trusted proxies let through is answered", "trusted_proxies", named)
	}
	return all, nil
}
