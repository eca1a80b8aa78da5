package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// SASL mechanisms.
const (
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
	Plain       = "PLAIN"
	OAuthBearer = "OAUTHBEARER"
)

// Login says as whom clients come to the brokers.
type Login struct {
	Mechanism string
	User      string // not with OAUTHBEARER
	// Secret is the password, or OAUTHBEARER's token. It is asked for by every
	// connection, and may be another each time.
	Secret func(ctx context.Context) (string, error)
}

// mechanism is the login as the client library takes it.
func (l *Login) mechanism() sasl.Mechanism {
	secret := func(ctx context.Context) (string, error) {
		text, err := l.Secret(ctx)
		if err == nil && text == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return "", fmt.Errorf("the secret for %s: %w", l.Mechanism, err)
		}
		return text, nil
	}
	password := func(ctx context.Context) (a scram.Auth, err error) {
		a.User = l.User
		a.Pass, err = secret(ctx)
		return a, err
	}
	switch l.Mechanism {
	case ScramSHA256:
		return scram.Sha256(password)
	case Plain:
		return plain.Plain(func(ctx context.Context) (a plain.Auth, err error) {
			a.User = l.User
			a.Pass, err = secret(ctx)
			return a, err
		})
	case OAuthBearer:
		return bearer{oauth.Oauth(func(ctx context.Context) (a oauth.Auth, err error) {
			a.Token, err = secret(ctx)
			return a, err
		})}
	}
	return scram.Sha512(password)
}

// String never shows the secret.
func (l *Login) String() string {
	if l.User == "" {
		return l.Mechanism
	}
	return fmt.Sprintf("%s as %q", l.Mechanism, l.User)
}

// bearer is OAUTHBEARER with an error for a token that is turned down: the broker
// says so by a challenge, not by an error code (RFC 7628, section 3.2.2).
type bearer struct{ sasl.Mechanism }

func (b bearer) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	session, first, err := b.Mechanism.Authenticate(ctx, host)
	return bearerSession{session}, first, err
}

type bearerSession struct{ sasl.Session }

func (s bearerSession) Challenge(answer []byte) (bool, []byte, error) {
	if len(answer) > 0 {
		return false, nil, fmt.Errorf("%w: the token is turned down: %.200q", kerr.SaslAuthenticationFailed, answer)
	}
	return s.Session.Challenge(answer)
}

// ClientCredentials returns what fetches tokens by OAuth 2.0's client credentials
// grant and keeps each until shortly before it expires. Its errors say what the
// server answered, not what it was sent.
func ClientCredentials(client *http.Client, url, id, secret, scope string) func(context.Context) (string, error) {
	config := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: url, AuthStyle: oauth2.AuthStyleInHeader}
	if scope != "" {
		config.Scopes = []string{scope}
	}
	// The context only carries the HTTP client, whose timeout bounds a request.
	tokens := config.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, client))
	return func(context.Context) (string, error) {
		token, err := tokens.Token()
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
			return "", &tokenError{url, fmt.Errorf("it answers %s %s %s: look at the client's id and secret", refused.Response.Status, refused.ErrorCode, refused.ErrorDescription)}
		}
		if err != nil {
			return "", &tokenError{url, err}
		}
		return token.AccessToken, nil
	}
}

// tokenError is a server that gives no token: not the brokers', which are asked
// after it.
type tokenError struct {
	url string
	err error
}

func (e *tokenError) Error() string {
	return "no token from --sasl-token-url " + e.url + ": " + e.err.Error()
}

func (e *tokenError) Unwrap() error { return e.err }
