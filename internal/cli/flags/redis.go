package flags

import (
	"cmp"
	"context"
	"log/slog"
	"strings"

	"github.com/creditstream/creditstream/internal/certs"
	"github.com/creditstream/creditstream/internal/redisconn"
)

// Redis says which Redis a command talks to, and how it is secured.
type Redis struct {
	Address string `name:"redis" help:"Redis server, or a cluster: HOST:PORT, redis://[USER@]HOST[:PORT][/DATABASE], redis+cluster://[USER@]HOST:PORT,HOST:PORT…; rediss instead of redis is --redis-tls." default:"127.0.0.1:6379" placeholder:"HOST:PORT|URL" group:"Redis"`

	TLS          bool   `help:"Encrypt connections to Redis. Its certificate is always verified." name:"redis-tls" group:"Redis"`
	CA           string `help:"Authorities that sign its certificate, PEM (default: the system's); read again when it changes, as are the next two." name:"redis-ca" type:"path" placeholder:"FILE" group:"Redis"`
	Cert         string `help:"Certificate shown to Redis, PEM." name:"redis-cert" type:"path" placeholder:"FILE" group:"Redis"`
	Key          string `help:"Its private key." name:"redis-key" type:"path" placeholder:"FILE" group:"Redis"`
	ServerName   string `help:"Name that Redis's certificate is for (default: the host that is dialled)." name:"redis-server-name" placeholder:"NAME" group:"Redis"`
	User         string `help:"ACL user (default: Redis's default user)." name:"redis-user" placeholder:"NAME" group:"Redis"`
	Password     string `help:"Its password; from the environment or a settings file only." name:"redis-password" secret:"" placeholder:"SECRET" group:"Redis"`
	PasswordFile string `help:"File with its password, read by every connection." name:"redis-password-file" type:"path" placeholder:"FILE" group:"Redis"`
	Insecure     bool   `help:"Log in over unencrypted connections to another machine." name:"redis-insecure" group:"Redis"`

	// What checkStart and open made of them.
	at       redisconn.Address
	tls      *certs.Client
	password func(context.Context) (string, error)
}

// Config is how clients reach Redis.
func (f *Redis) Config() redisconn.Config {
	return redisconn.Config{Address: f.at, TLS: f.tls, Password: f.password}
}

// checkStart refuses what cannot work and what is not safe.
func (f *Redis) checkStart() error {
	f.Address = strings.TrimSpace(f.Address)
	if f.Address == "" {
		return Usagef("--redis is empty: expected HOST:PORT or a URL")
	}
	var err error
	if f.at, err = redisconn.ParseAddress(f.Address); err != nil {
		return Usagef("--redis: %w", err)
	}
	if f.at.User != "" && f.User != "" && f.at.User != f.User {
		return Usagef("--redis names user %s, --redis-user %s: set one of them", f.at.User, f.User)
	}
	f.User = cmp.Or(f.User, f.at.User)
	f.at.User = f.User
	f.TLS = f.TLS || f.at.TLS
	password := f.Password != "" || f.PasswordFile != ""
	switch {
	case !f.TLS && (f.CA != "" || f.Cert != "" || f.Key != "" || f.ServerName != ""):
		return Usagef("--redis-ca, --redis-cert, --redis-key and --redis-server-name mean nothing while connections are not encrypted: set --redis-tls")
	case (f.Cert == "") != (f.Key == ""):
		return Usagef("--redis-cert and --redis-key belong together: set both")
	case f.User != "" && !password:
		return Usagef("--redis-user needs a password: set CREDITSTREAM_REDIS_PASSWORD, or --redis-password-file FILE")
	case password && !f.TLS && !f.Insecure && !allOnLoopback(f.at.Servers):
		return Usagef("a password for Redis would go to another machine over an unencrypted connection: set --redis-tls, or --redis-insecure if that is meant")
	}
	return nil
}

// open reads the files that the flags name.
func (f *Redis) open(log *slog.Logger) (err error) {
	if f.TLS {
		files := certs.Files{Flags: "--redis", CA: f.CA, Cert: f.Cert, Key: f.Key, ServerName: f.ServerName}
		if f.tls, err = certs.NewClient(files, log); err != nil {
			return err
		}
	}
	f.password, err = secretSource("redis-password", f.Password, f.PasswordFile)
	return err
}
