package cli

import (
	"cmp"
	"context"
	"log/slog"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/creditstream/creditstream/internal/certs"
	"github.com/creditstream/creditstream/internal/redisconn"
)

// redisFlags say which Redis a command talks to, and how it is secured.
type redisFlags struct {
	Redis string `help:"Redis server, or a cluster: HOST:PORT, redis://[USER@]HOST[:PORT][/DATABASE], redis+cluster://[USER@]HOST:PORT,HOST:PORT…; rediss instead of redis is --redis-tls." default:"127.0.0.1:6379" placeholder:"HOST:PORT|URL" group:"Redis"`

	RedisTLS          bool   `help:"Encrypt connections to Redis. Its certificate is always verified." name:"redis-tls" group:"Redis"`
	RedisCA           string `help:"Authorities that sign its certificate, PEM (default: the system's); read again when it changes, as are the next two." name:"redis-ca" type:"path" placeholder:"FILE" group:"Redis"`
	RedisCert         string `help:"Certificate shown to Redis, PEM." name:"redis-cert" type:"path" placeholder:"FILE" group:"Redis"`
	RedisKey          string `help:"Its private key." name:"redis-key" type:"path" placeholder:"FILE" group:"Redis"`
	RedisServerName   string `help:"Name that Redis's certificate is for (default: the host that is dialled)." name:"redis-server-name" placeholder:"NAME" group:"Redis"`
	RedisUser         string `help:"ACL user (default: Redis's default user)." name:"redis-user" placeholder:"NAME" group:"Redis"`
	RedisPassword     string `help:"Its password; from the environment or a settings file only." name:"redis-password" secret:"" placeholder:"SECRET" group:"Redis"`
	RedisPasswordFile string `help:"File with its password, read by every connection." name:"redis-password-file" type:"path" placeholder:"FILE" group:"Redis"`
	RedisInsecure     bool   `help:"Log in over unencrypted connections to another machine." name:"redis-insecure" group:"Redis"`

	// What checkRedis and openRedis made of them.
	address  redisconn.Address
	tls      *certs.Client
	password func(context.Context) (string, error)
}

func (f redisFlags) client() redis.UniversalClient {
	return redisconn.Config{Address: f.address, TLS: f.tls, Password: f.password}.Open()
}

// checkRedis refuses what cannot work and what is not safe.
func (f *redisFlags) checkRedis() error {
	f.Redis = strings.TrimSpace(f.Redis)
	if f.Redis == "" {
		return usagef("--redis is empty: expected HOST:PORT or a URL")
	}
	var err error
	if f.address, err = redisconn.ParseAddress(f.Redis); err != nil {
		return usagef("--redis: %w", err)
	}
	if f.address.User != "" && f.RedisUser != "" && f.address.User != f.RedisUser {
		return usagef("--redis names user %s, --redis-user %s: set one of them", f.address.User, f.RedisUser)
	}
	f.RedisUser = cmp.Or(f.RedisUser, f.address.User)
	f.address.User = f.RedisUser
	f.RedisTLS = f.RedisTLS || f.address.TLS
	password := f.RedisPassword != "" || f.RedisPasswordFile != ""
	switch {
	case !f.RedisTLS && (f.RedisCA != "" || f.RedisCert != "" || f.RedisKey != "" || f.RedisServerName != ""):
		return usagef("--redis-ca, --redis-cert, --redis-key and --redis-server-name mean nothing while connections are not encrypted: set --redis-tls")
	case (f.RedisCert == "") != (f.RedisKey == ""):
		return usagef("--redis-cert and --redis-key belong together: set both")
	case f.RedisUser != "" && !password:
		return usagef("--redis-user needs a password: set CREDITSTREAM_REDIS_PASSWORD, or --redis-password-file FILE")
	case password && !f.RedisTLS && !f.RedisInsecure && !allOnLoopback(f.address.Servers):
		return usagef("a password for Redis would go to another machine over an unencrypted connection: set --redis-tls, or --redis-insecure if that is meant")
	}
	return nil
}

// openRedis reads the files that the flags name.
func (f *redisFlags) openRedis(log *slog.Logger) (err error) {
	if f.RedisTLS {
		files := certs.Files{Flags: "--redis", CA: f.RedisCA, Cert: f.RedisCert, Key: f.RedisKey, ServerName: f.RedisServerName}
		if f.tls, err = certs.NewClient(files, log); err != nil {
			return err
		}
	}
	f.password, err = secretSource("redis-password", f.RedisPassword, f.RedisPasswordFile)
	return err
}
