package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/certs"
	"github.com/creditstream/creditstream/internal/retry"
)

// Refused says whether the cluster knows who asks, or asks who it is, and says no:
// trying again would not help.
func Refused(err error) bool {
	for _, code := range []*kerr.Error{
		kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState, kerr.SecurityDisabled,
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.ClusterAuthorizationFailed, kerr.DelegationTokenAuthorizationFailed,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// explained is an error that says what to look at; it is not explained twice.
type explained struct {
	message string
	err     error
}

func (e *explained) Error() string { return e.message + ": " + e.err.Error() }

func (e *explained) Unwrap() error { return e.err }

// Explain says what to look at where an error is that the brokers cannot be
// reached or do not let this client in; any other it leaves as it is, and so what
// was given up because somebody asked for that.
func (c Config) Explain(err error) error {
	if _, done := errors.AsType[*explained](err); done || err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if whole := c.Complete(err); whole != err { //nolint:errorlint // whether it is another
		return whole
	}
	brokers := "--brokers " + strings.Join(c.Brokers, ",")
	because := func(format string, args ...any) error { return &explained{fmt.Sprintf(format, args...), err} }
	if token, ok := errors.AsType[*tokenError](err); ok {
		return &explained{"no token from --sasl-token-url " + token.url, token.err}
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return c.Unreachable(dial) // whatever was asked for: one cause has one text
	}
	if why, ok := certs.Rejected(err, "--tls"); ok {
		return &explained{"no Kafka broker answers at " + brokers, errors.New(why)}
	}
	// The library has no type for it.
	if c.TLS == nil && strings.Contains(err.Error(), "tls alert record") {
		return because("the port of --brokers %s speaks TLS: set --tls", strings.Join(c.Brokers, ","))
	}
	switch _, cut := errors.AsType[*kgo.ErrFirstReadEOF](err); {
	case errors.Is(err, kerr.SaslAuthenticationFailed) && c.Login != nil && c.Login.Mechanism == OAuthBearer:
		return because("the brokers at %s turn the token down: look at --sasl-token-file or --sasl-token-url, and at when it expires", brokers)
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return because("the brokers at %s refuse %s: look at --sasl-user and its password (CREDITSTREAM_SASL_PASSWORD or --sasl-password-file)", brokers, c.who())
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return because("the brokers at %s do not offer %s at this port: set another --sasl-mechanism", brokers, c.who())
	case errors.Is(err, kerr.IllegalSaslState), errors.Is(err, kerr.SecurityDisabled):
		return because("the brokers at %s expect another login than %s: look at --sasl-mechanism", brokers, c.who())
	case cut && c.TLS == nil:
		return because("a broker at %s closes the connection at once: its port may speak TLS (set --tls) or ask for a login (set --sasl-mechanism)", brokers)
	case cut:
		return because("a broker at %s closes the connection at once: it may ask for a login (set --sasl-mechanism) or, with --tls, for a client certificate", brokers)
	}
	return err
}

func (c Config) who() string {
	if c.Login == nil {
		return "a client without login"
	}
	return c.Login.String()
}

// Unreachable says that none of the brokers answers, and why.
func (c Config) Unreachable(err error) error {
	return &explained{"no Kafka broker answers at --brokers " + strings.Join(c.Brokers, ","), err}
}

// explainConnect is Explain for a first contact, in which any failure means that
// no broker has answered.
func (c Config) explainConnect(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	why := c.Explain(err)
	if _, ok := errors.AsType[*explained](why); ok {
		return why
	}
	if ctx.Err() != nil && c.TLS == nil {
		return c.Unreachable(fmt.Errorf("%w (does the port speak TLS? then set --tls)", err))
	}
	return c.Unreachable(err)
}

// IsPermanent says whether asking the cluster again would not help: a topic is missing,
// this client may not do what it must, or it is not let in.
func IsPermanent(err error) bool { return retry.IsPermanent(err) || Refused(err) }
