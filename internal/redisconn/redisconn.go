// Package redisconn is how this process reaches Redis: client options, security,
// and what to look at when it is not let in.
package redisconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/creditstream/creditstream/internal/certs"
)

// Config says which Redis to talk to and how.
type Config struct {
	Address
	TLS *certs.Client // nil: connections are not encrypted
	// Password is asked for by every connection, and may be another each time.
	// nil: clients do not log in.
	Password func(ctx context.Context) (string, error)
}

// silence ends what the library would write to stderr by itself about every failed
// connection: components say what is wrong, once. The library has one logger for
// the whole process, which clients that are at work read.
var silence = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

// Open returns a client that connects when it is used.
func (c Config) Open() redis.UniversalClient {
	silence()
	options := &redis.UniversalOptions{
		Addrs: c.Servers, IsClusterMode: c.Cluster, DB: c.DB, ClientName: "creditstream",
		// CLIENT SETINFO takes Redis 7.2, and with an ACL user a permission.
		DisableIdentity: true,
		// A deadline holds also where a server accepts and does not answer.
		ContextTimeoutEnabled: true,
		// Of a hosted product only; an ACL user would need another permission.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if c.TLS != nil {
		options.Dialer = c.TLS.Dial
	}
	if c.Password != nil {
		options.CredentialsProviderContext = func(ctx context.Context) (string, string, error) {
			password, err := c.Password(ctx)
			return c.User, password, err
		}
	}
	return redis.NewUniversalClient(options)
}

// refusals are the beginnings of Redis's errors for who is not let in or may not
// do something, and what to look at.
func refusals() map[string]string {
	return map[string]string{
		"WRONGPASS": "Redis refuses the login: look at --redis-user and its password (CREDITSTREAM_REDIS_PASSWORD or --redis-password-file)",
		"NOAUTH":    "Redis asks for a login: set --redis-user and CREDITSTREAM_REDIS_PASSWORD or --redis-password-file",
		"NOPERM":    "Redis does not allow this user what it needs: docs/security.md has the rule for ACL SETUSER",
	}
}

// missing are the beginnings of Redis's errors for a database that it does not have, and
// what to look at.
func missing() map[string]string {
	return map[string]string{
		"DB index is out of range":              "Redis has no database of this number: look at the one in --redis, and at Redis's setting databases",
		"SELECT is not allowed in cluster mode": "Redis is a cluster, which has one database: leave the number in --redis out, or write redis+cluster://",
	}
}

func refusal(err error) string { return lookAt(err, refusals()) }

// lookAt is what to look at for an error by which Redis says no; "" for any other.
func lookAt(err error, answers map[string]string) string {
	answer, ok := errors.AsType[redis.Error](err)
	if !ok {
		return ""
	}
	// A script passes the error of its command on.
	text := strings.TrimPrefix(answer.Error(), "ERR ")
	for begins, look := range answers {
		if strings.HasPrefix(text, begins) || strings.HasPrefix(text, "ACL failure") && begins == "NOPERM" {
			return look
		}
	}
	return ""
}

// Refused says whether Redis has answered, and does not let this client do what
// it asks for: trying again would not help.
func Refused(err error) bool { return err != nil && refusal(err) != "" }

// IsPermanent says whether Redis has answered what it will answer until somebody changes
// its settings or --redis: it does not let this client do what it asks for, or does not
// have the database. A service waits for the latter, a command that is run once ends.
func IsPermanent(err error) bool {
	return err != nil && (refusal(err) != "" || lookAt(err, missing()) != "")
}

// Explain is Explain that says besides which Redis gave an answer that it will give again.
func (c Config) Explain(err error) error {
	if IsPermanent(err) {
		return fmt.Errorf("--redis %s: %w", c.Address, Explain(err))
	}
	return Explain(err)
}

// Explain says what to look at where Redis says no, or closes what may be a
// connection without TLS; any other error it leaves as it is.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if look := cmp.Or(refusal(err), lookAt(err, missing())); look != "" {
		return fmt.Errorf("%s: %w", look, err)
	}
	if why, ok := certs.Rejected(err, "--redis"); ok {
		return errors.New(why)
	}
	return err
}
