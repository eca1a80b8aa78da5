package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/certs"
)

// selfSigned is a server's configuration for 127.0.0.1, and a file that trusts it.
func selfSigned(t *testing.T) (*tls.Config, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, ca
}

func client(t *testing.T, ca string) *certs.Client {
	c, err := certs.NewClient(certs.Files{Flags: "--tls", CA: ca}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return c
}

func fixed(secret string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return secret, nil }
}

func TestEveryMechanismLogsInOverTLS(t *testing.T) {
	t.Parallel()
	config, ca := selfSigned(t)
	for _, mechanism := range []string{ScramSHA256, ScramSHA512, Plain} {
		t.Run(mechanism, func(t *testing.T) {
			_, c := start(t, kfake.TLS(config.Clone()), kfake.EnableSASL(), kfake.Superuser(mechanism, "ann", "right"))
			c.TLS = client(t, ca)
			c.Login = &Login{Mechanism: mechanism, User: "ann", Secret: fixed("right")}
			require.NoError(t, connect(t, c).Ping(t.Context()))
			c.Login.Secret = func(context.Context) (string, error) { return "", errors.New("no such file") }
			_, err := c.Connect(t.Context())
			require.ErrorContains(t, err, "the secret for "+mechanism+": no such file")
		})
	}
}

// answering makes a cluster that says this to everyone who logs in.
func answering(t *testing.T, handshake, authenticate *kerr.Error, bytes string) Config {
	cluster, c := start(t, kfake.EnableSASL(), kfake.Superuser(ScramSHA512, "ann", "right"))
	cluster.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
		if handshake != nil {
			response.ErrorCode = handshake.Code
		}
		return response, nil, true
	})
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		if authenticate != nil {
			response.ErrorCode = authenticate.Code
		}
		response.SASLAuthBytes = []byte(bytes)
		return response, nil, true
	})
	return c
}

func TestALoginThatIsRefusedSaysWhatToLookAt(t *testing.T) {
	t.Parallel()
	f := func(c Config, login *Login, want ...string) {
		t.Helper()
		c.Login = login
		_, err := c.Connect(t.Context())
		require.True(t, Refused(err), "%v", err)
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
		require.NotContains(t, fmt.Sprintf("%v %+v %v %+v", err, err, login, c), "Xq7-secret")
	}
	ann := &Login{Mechanism: ScramSHA512, User: "ann", Secret: fixed("Xq7-secret")}
	bearer := &Login{Mechanism: OAuthBearer, Secret: fixed("Xq7-secret")}
	f(answering(t, nil, kerr.SaslAuthenticationFailed, ""), ann, `refuse SCRAM-SHA-512 as "ann": look at --sasl-user and its password (CREDITSTREAM_SASL_PASSWORD or --sasl-password-file)`)
	f(answering(t, kerr.UnsupportedSaslMechanism, nil, ""), ann, "do not offer SCRAM-SHA-512", "set another --sasl-mechanism")
	f(answering(t, nil, kerr.SaslAuthenticationFailed, ""), bearer, "turn the token down: look at --sasl-token-file or --sasl-token-url")
	f(answering(t, nil, nil, `{"status":"invalid_token"}`), bearer, "turn the token down", "invalid_token")
}

func TestASecretIsAskedForByEveryConnection(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{Plain, OAuthBearer} { // whose first message shows it
		asked := 0
		m := (&Login{Mechanism: mechanism, User: "ann", Secret: func(context.Context) (string, error) {
			asked++
			return fmt.Sprint("secret-", asked), nil
		}}).mechanism()
		for _, want := range []string{"secret-1", "secret-2"} {
			_, first, err := m.Authenticate(t.Context(), "broker:9092")
			require.NoError(t, err)
			require.Contains(t, string(first), want)
		}
	}
}

func TestTheWrongKindOfConnectionIsNamed(t *testing.T) {
	t.Parallel()
	config, ca := selfSigned(t)
	_, encrypted := start(t, kfake.TLS(config))
	_, err := encrypted.Connect(t.Context())
	require.ErrorContains(t, err, "set --tls")
	require.ErrorContains(t, err, encrypted.Brokers[0])
	require.False(t, Refused(err), "a listener may be changed, and is tried again")
	encrypted.TLS = client(t, "")
	_, err = encrypted.Connect(t.Context())
	require.ErrorContains(t, err, "set --tls-ca")
	encrypted.TLS = client(t, ca)
	require.NoError(t, connect(t, encrypted).Ping(t.Context()))

	// One that closes what it does not understand, as Kafka does.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(conn, make([]byte, 4))
			_ = conn.Close()
		}
	}()
	plain := Config{Brokers: []string{l.Addr().String()}, ClientID: "test", TLS: client(t, ca)}
	_, err = plain.Connect(t.Context())
	require.ErrorContains(t, err, "does not speak TLS at this port, or closed the connection: look at the port, or leave --tls out")
}

func TestWhatIsNotAllowedIsNamedAltogether(t *testing.T) {
	t.Parallel()
	literal := func(topic string, operation kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true}
	}
	// Clients that do not log in are this user.
	_, c := start(t, kfake.SeedTopics(1, "a", "b", "c"), kfake.EnableACLs(), kfake.User(ScramSHA256, "ANONYMOUS", "unused",
		literal("a", kmsg.ACLOperationRead), literal("b", kmsg.ACLOperationRead)))
	adm := kadm.NewClient(connect(t, c))
	require.NoError(t, RequireAccess(t.Context(), adm, Reads("a", "b")))
	err := RequireAccess(t.Context(), adm, Reads("a", "c"), Writes("b", "c"))
	require.EqualError(t, err, "not authorised: needs READ on topic c, WRITE on topic b, WRITE on topic c; creditstream topics acls prints what to grant")
	require.True(t, Refused(err))
	w, err := NewWriter(c, "b", time.Second)
	require.NoError(t, err)
	defer w.Close()
	require.ErrorContains(t, w.Run(t.Context()), "needs WRITE on topic b")

	_, open := start(t, kfake.SeedTopics(1, "a"))
	adm = kadm.NewClient(connect(t, open))
	require.NoError(t, RequireAccess(t.Context(), adm, Reads("a"), Writes("a")), "without ACLs everything is allowed")
}

func TestEverythingThatIsMissingIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, c := start(t, kfake.SeedTopics(1, "a", "b"), kfake.EnableACLs(), kfake.User(ScramSHA256, "ANONYMOUS", "unused",
		kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "a", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationRead, Allow: true},
		kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "x", Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: kmsg.ACLOperationRead, Allow: true}))
	needs := func() ([]Access, []Access) { return Reads("a", "b", "x1", "x2"), Writes("a", "b") }
	f := func(err error, want string) {
		t.Helper()
		reads, writes := needs()
		require.EqualError(t, c.AlsoMissing(t.Context(), err, reads, writes), want)
	}
	const grant, apply = "; creditstream topics acls prints what to grant", "; run: creditstream topics apply (with the same --brokers and --prefix)"
	f(fmt.Errorf("models: %w", &AccessError{Reads("b")}),
		"models: not authorised: needs READ on topic b"+grant+"; also: the cluster has no topic x1, x2"+apply+"; also: not authorised: needs WRITE on topic a, WRITE on topic b"+grant)
	f(errors.Join(&MissingTopicsError{[]string{"x1"}}, fmt.Errorf("scorer: %w", &AccessError{slices.Concat(Reads("b"), Writes("a", "b"))})),
		"the cluster has no topic x1"+apply+"\nscorer: not authorised: needs READ on topic b, WRITE on topic a, WRITE on topic b"+grant+"; also: the cluster has no topic x2"+apply)
	f(&MissingTopicsError{[]string{"x1", "x2"}}, "the cluster has no topic x1, x2"+apply+"; also: not authorised: needs READ on topic b, WRITE on topic a, WRITE on topic b"+grant)
	f(errors.New("another"), "another")
	explained := c.Explain(fmt.Errorf("models: %w", &MissingTopicsError{[]string{"x1"}}))
	require.EqualError(t, explained, "models: the cluster has no topic x1; run: creditstream topics apply"+c.Flags())
	require.True(t, IsPermanent(explained))
	require.NoError(t, c.AlsoMissing(t.Context(), nil, Reads("b")))
	c.Brokers = []string{"127.0.0.1:1"}
	f(&AccessError{Reads("b")}, "not authorised: needs READ on topic b"+grant)
}

func TestTokensAreFetchedAndKept(t *testing.T) {
	t.Parallel()
	fetched := 0
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetched++
		id, secret, _ := r.BasicAuth()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if status == http.StatusOK {
			_, _ = fmt.Fprintf(w, `{"access_token": "%s-%s-%s-%d", "token_type": "bearer", "expires_in": 3600}`, id, secret, r.FormValue("scope"), fetched)
			return
		}
		_, _ = fmt.Fprintf(w, `{"error": "invalid_client", "debug": %q}`, secret)
	}))
	defer server.Close()
	token := ClientCredentials(server.Client(), server.URL, "id", "s", "kafka")
	for range 2 {
		got, err := token(t.Context())
		require.NoError(t, err)
		require.Equal(t, "id-s-kafka-1", got)
	}
	status = http.StatusUnauthorized
	_, err := ClientCredentials(server.Client(), server.URL, "id", "Xq7-secret", "")(t.Context())
	require.ErrorContains(t, err, "no token from --sasl-token-url "+server.URL+": it answers 401 Unauthorized invalid_client")
	require.ErrorContains(t, err, "look at the client's id and secret")
	require.NotContains(t, err.Error(), "Xq7-secret")
}

// A server of tokens that is away is not mistaken for brokers that are.
func TestAServerOfTokensThatIsAwayIsNamedFirst(t *testing.T) {
	cluster, c := start(t)
	cluster.ControlKey(int16(kmsg.SASLHandshake), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return request.ResponseKind(), nil, true
	})
	f := func(want string, answer http.Handler) {
		t.Helper()
		server := httptest.NewServer(answer)
		defer server.Close()
		if answer == nil {
			server.Close()
		}
		c.Login = &Login{Mechanism: OAuthBearer, Secret: ClientCredentials(http.DefaultClient, server.URL, "id", "s", "")}
		_, err := c.Connect(t.Context())
		require.ErrorContains(t, err, "no token from --sasl-token-url "+server.URL+": "+want)
		require.True(t, strings.HasPrefix(err.Error(), "no token"), err)
		require.NotContains(t, err.Error(), "no Kafka broker answers")
		require.Equal(t, 1, strings.Count(err.Error(), "--sasl-token-url"), err)
	}
	f("Post ", nil)
	f("it answers 503 Service Unavailable", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
}
