// Package registry is a client of a schema registry that speaks Confluent's
// protocol over HTTP.
package registry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/creditstream/creditstream/internal/certs"
)

const (
	// What one request may take, and how large its answer may be.
	requestTime = 5 * time.Second
	maxAnswer   = 4 << 20
)

// Config says which registry to ask, and as whom.
type Config struct {
	URL      string // http:// or https://, host, port and path
	User     string // empty: nobody in particular
	Password string
	TLS      *certs.Client // how https is spoken; nil: with the system's authorities
}

// Client asks one registry. Nothing is kept: each call is a request.
type Client struct {
	url    string
	client *sr.Client
}

// New checks the configuration; it asks nothing yet.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, errors.New("--schema-registry: expected http://HOST:PORT or https://HOST:PORT") // the error repeats what may be a password
	case u.User != nil:
		return nil, fmt.Errorf("--schema-registry %s: expected no user and password in it, where all can see them: set --schema-registry-user and CREDITSTREAM_SCHEMA_REGISTRY_PASSWORD", u.Redacted())
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
		return nil, fmt.Errorf("--schema-registry %s: expected http://HOST:PORT or https://HOST:PORT", c.URL)
	case c.User == "" && c.Password != "":
		return nil, errors.New("there is a password for the schema registry and no user: set --schema-registry-user")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.TLS != nil {
		transport.DialTLSContext, transport.TLSClientConfig = c.TLS.Dial, c.TLS.HTTP() // the latter through a proxy
	}
	opts := []sr.ClientOpt{
		sr.URLs(strings.TrimRight(c.URL, "/")),
		sr.UserAgent("creditstream"),
		sr.HTTPClient(&http.Client{Timeout: requestTime, Transport: bounded{transport}, CheckRedirect: encrypted}),
	}
	if c.User != "" {
		opts = append(opts, sr.BasicAuth(c.User, c.Password))
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("--schema-registry %s: %w", c.URL, err)
	}
	return &Client{c.URL, client}, nil
}

// encrypted refuses to be sent on from https to http: the password would go along.
func encrypted(next *http.Request, before []*http.Request) error {
	const most = 10 // as http.Client has it by default
	switch {
	case before[0].URL.Scheme == "https" && next.URL.Scheme != "https":
		return redirectError{fmt.Sprintf("it redirects to %s, which is not encrypted", next.URL.Redacted())}
	case len(before) >= most:
		return redirectError{fmt.Sprintf("it redirects more than %d times", most)}
	}
	if sent, ok := next.Context().Value(trailKey{}).(*trail); ok {
		sent.last = next.URL
	}
	return nil
}

// bounded refuses answers that are too large to be a registry's: the client reads
// them whole.
type bounded struct {
	transport http.RoundTripper
}

// RoundTrip is part of http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.transport.RoundTrip(r)
	if err == nil {
		answer.Body = &boundedBody{answer.Body, maxAnswer}
	}
	return answer, err
}

// refusedError is an answer that asking again does not change.
type refusedError struct {
	error
}

// Permanent says that asking again does not help.
func (refusedError) Permanent() bool { return true }

func (e refusedError) Unwrap() error { return e.error }

// explain names the registry in an error; what it refuses for good says so by a
// method Permanent.
func (c *Client) explain(doing string, err error) error {
	answer, answered := errors.AsType[*sr.ResponseError](err)
	if !answered {
		if asking, ok := errors.AsType[*url.Error](err); ok {
			err = asking.Err // which does not repeat the address twice over
		}
		if words, ok := strange(err); ok {
			err = errors.New(words)
		}
		return fmt.Errorf("schema registry %s: %s: %w", c.url, doing, err)
	}
	explained := fmt.Errorf("schema registry %s: %s: %s", c.url, doing, message(answer))
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity:
		return refusedError{explained}
	}
	return explained
}

// Register makes an Avro schema the newest of a subject, unless it is there
// already, and returns its id. To find one that is there takes no permission to
// write.
func (c *Client) Register(ctx context.Context, subject, schema string) (id uint32, err error) {
	found, err := c.client.LookupSchema(ctx, subject, sr.Schema{Schema: schema, Type: sr.TypeAvro})
	if err == nil {
		return c.id("looking for the schema of "+subject, found.ID)
	}
	answer, ok := errors.AsType[*sr.ResponseError](err)
	if !ok || answer.ErrorCode != sr.ErrSubjectNotFound.Code && answer.ErrorCode != sr.ErrSchemaNotFound.Code {
		return 0, c.explain("looking for the schema of "+subject, err)
	}
	n, err := c.client.RegisterSchema(ctx, subject, sr.Schema{Schema: schema, Type: sr.TypeAvro}, -1, -1)
	if err != nil {
		return 0, c.explain("registering the schema of "+subject, err)
	}
	return c.id("registering the schema of "+subject, n)
}

// id is what a registry has answered as one: they begin at 1, and are Java's ints.
func (c *Client) id(doing string, n int) (uint32, error) {
	if n < 1 || n > math.MaxInt32 {
		return 0, c.explain(doing, fmt.Errorf("%s: id %d, expected 1 … %d", notARegistry, n, math.MaxInt32))
	}
	return uint32(n), nil
}

// Version is one schema of a subject.
type Version struct {
	Number int
	ID     int
	Schema string
}

// Versions are all schemas of a subject, the oldest first; none where the
// registry does not know the subject.
func (c *Client) Versions(ctx context.Context, subject string) (versions []Version, err error) {
	all, err := c.client.Schemas(ctx, subject)
	if answer, ok := errors.AsType[*sr.ResponseError](err); ok && answer.ErrorCode == sr.ErrSubjectNotFound.Code {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain("looking for the versions of "+subject, err)
	}
	for _, s := range all {
		versions = append(versions, Version{s.Version, s.ID, s.Schema.Schema})
	}
	return versions, nil
}

// FullTransitive is the rule that every version of a subject reads every other.
const FullTransitive = "FULL_TRANSITIVE"

// RequireFullTransitive sets that rule for a subject.
func (c *Client) RequireFullTransitive(ctx context.Context, subject string) error {
	for _, r := range c.client.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, subject) {
		if r.Err != nil {
			return c.explain("setting the compatibility of "+subject, r.Err)
		}
	}
	return nil
}
