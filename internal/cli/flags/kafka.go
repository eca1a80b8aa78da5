package flags

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/creditstream/creditstream/internal/certs"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// Kafka says which cluster a command talks to, and how it is secured.
type Kafka struct {
	Brokers  []string `help:"Kafka brokers." default:"127.0.0.1:9092" placeholder:"HOST:PORT" group:"Kafka"`
	Prefix   string   `help:"Name of the deployment, the prefix of all it owns: topics, transactional ids, Redis keys." default:"credit" group:"Kafka"`
	Registry Registry `embed:""`

	TLS           bool   `help:"Encrypt connections to the brokers. Their certificates are always verified." name:"tls" group:"Kafka security"`
	TLSCA         string `help:"Authorities that sign the brokers' certificates, PEM (default: the system's); read again when it changes, as are the next two." name:"tls-ca" type:"path" placeholder:"FILE" group:"Kafka security"`
	TLSCert       string `help:"Certificate shown to the brokers, PEM." name:"tls-cert" type:"path" placeholder:"FILE" group:"Kafka security"`
	TLSKey        string `help:"Its private key." name:"tls-key" type:"path" placeholder:"FILE" group:"Kafka security"`
	TLSServerName string `help:"Name that the brokers' certificates are for (default: the host that is dialled)." name:"tls-server-name" placeholder:"NAME" group:"Kafka security"`

	SASLMechanism        string `help:"How to log in: SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or OAUTHBEARER (default: not at all)." name:"sasl-mechanism" enum:",SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER" default:"" placeholder:"NAME" group:"Kafka security"`
	SASLUser             string `help:"User to log in as." name:"sasl-user" placeholder:"NAME" group:"Kafka security"`
	SASLPassword         string `help:"Its password; from the environment or a settings file only." name:"sasl-password" secret:"" placeholder:"SECRET" group:"Kafka security"`
	SASLPasswordFile     string `help:"File with its password, read by every connection." name:"sasl-password-file" type:"path" placeholder:"FILE" group:"Kafka security"`
	SASLTokenFile        string `help:"OAUTHBEARER: file with the token, read by every connection." name:"sasl-token-file" type:"path" placeholder:"FILE" group:"Kafka security"`
	SASLTokenURL         string `help:"OAUTHBEARER: where tokens are fetched, by OAuth 2.0 client credentials." name:"sasl-token-url" placeholder:"URL" group:"Kafka security"`
	SASLTokenCA          string `help:"Authorities that sign that server's certificate, PEM (default: the system's)." name:"sasl-token-ca" type:"path" placeholder:"FILE" group:"Kafka security"`
	SASLScope            string `help:"Scope to ask for there." name:"sasl-scope" placeholder:"NAME" group:"Kafka security"`
	SASLClientID         string `help:"Client to fetch tokens as." name:"sasl-client-id" placeholder:"NAME" group:"Kafka security"`
	SASLClientSecret     string `help:"Its secret; from the environment or a settings file only." name:"sasl-client-secret" secret:"" placeholder:"SECRET" group:"Kafka security"`
	SASLClientSecretFile string `help:"File with its secret, read when the process starts." name:"sasl-client-secret-file" type:"path" placeholder:"FILE" group:"Kafka security"`
	Insecure             bool   `help:"Log in over unencrypted connections to other machines." group:"Kafka security"`

	// What open made of them.
	tls       *certs.Client
	login     *kafka.Login
	throttles *kafka.ThrottleLog
}

// Config is how clients reach the cluster, but for their names (kafka.Config.For).
func (f *Kafka) Config(log *slog.Logger) kafka.Config {
	return kafka.Config{
		Brokers: f.Brokers, Prefix: f.Prefix, ClientID: "creditstream",
		Log: log, Throttles: f.throttles,
		TLS: f.tls, Login: f.login,
	}
}

// Topics are those of the deployment.
func (f *Kafka) Topics() schemas.Topics { return schemas.NewTopics(f.Prefix) }

// maxPrefix leaves a topic's name within Kafka's 249 characters.
const maxPrefix = 200

// CheckPrefix refuses what no topic's name begins with. A colon is not among it:
// Redis keys end the prefix with one.
func CheckPrefix(prefix string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if prefix == "" || len(prefix) > maxPrefix || strings.Trim(prefix, allowed) != "" {
		return Usagef("--prefix %q: expected 1 to %d letters, digits, dots, dashes and underscores, as topics' names have", prefix, maxPrefix)
	}
	return nil
}

// checkStart refuses what cannot work and what is not safe.
func (f *Kafka) checkStart() error {
	f.Brokers = trimmed(f.Brokers)
	if err := checkServers("brokers", f.Brokers...); err != nil {
		return err
	}
	if err := CheckPrefix(f.Prefix); err != nil {
		return err
	}
	if !f.TLS && (f.TLSCA != "" || f.TLSCert != "" || f.TLSKey != "" || f.TLSServerName != "") {
		return Usagef("--tls-ca, --tls-cert, --tls-key and --tls-server-name mean nothing while connections are not encrypted: set --tls")
	}
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return Usagef("--tls-cert and --tls-key belong together: set both")
	}
	password := f.SASLUser != "" || f.SASLPassword != "" || f.SASLPasswordFile != ""
	token := f.SASLTokenFile != "" || f.SASLTokenURL != ""
	client := f.SASLClientID != "" || f.SASLClientSecret != "" || f.SASLClientSecretFile != "" || f.SASLScope != "" || f.SASLTokenCA != ""
	switch {
	case f.SASLMechanism == "" && (password || token || client):
		return fmt.Errorf("credentials for Kafka are set and nothing says how to log in: set --sasl-mechanism %s, or %s with a token", kafka.ScramSHA512, kafka.OAuthBearer)
	case f.SASLMechanism == "":
		return nil
	case f.SASLMechanism == kafka.OAuthBearer:
		if err := f.checkToken(password, client); err != nil {
			return err
		}
	case token || client:
		return Usagef("--sasl-token-… and --sasl-client-… are for --sasl-mechanism %s, not %s", kafka.OAuthBearer, f.SASLMechanism)
	case f.SASLUser == "":
		return Usagef("--sasl-mechanism %s needs --sasl-user", f.SASLMechanism)
	case f.SASLPassword == "" && f.SASLPasswordFile == "":
		return Usagef("--sasl-user %s needs a password: set CREDITSTREAM_SASL_PASSWORD, or --sasl-password-file FILE", f.SASLUser)
	}
	if !f.TLS && !f.Insecure && !allOnLoopback(f.Brokers) {
		return Usagef("--sasl-mechanism without --tls would log in to other machines over unencrypted connections: set --tls, or --insecure if that is meant")
	}
	return nil
}

func (f *Kafka) checkToken(password, client bool) error {
	switch {
	case password:
		return Usagef("--sasl-mechanism %s logs in by a token: leave out --sasl-user and its password", f.SASLMechanism)
	case (f.SASLTokenFile == "") == (f.SASLTokenURL == ""):
		return Usagef("--sasl-mechanism %s needs one of --sasl-token-file FILE and --sasl-token-url URL", f.SASLMechanism)
	case f.SASLTokenURL == "" && client:
		return Usagef("--sasl-client-…, --sasl-scope and --sasl-token-ca are for --sasl-token-url")
	case f.SASLTokenURL == "":
		return nil
	case f.SASLClientID == "" || f.SASLClientSecret == "" && f.SASLClientSecretFile == "":
		return Usagef("--sasl-token-url needs --sasl-client-id and its secret: set CREDITSTREAM_SASL_CLIENT_SECRET, or --sasl-client-secret-file FILE")
	}
	return checkTokenURL(f.SASLTokenURL, f.Insecure)
}

// open reads the files that the flags name.
func (f *Kafka) open(log *slog.Logger) (err error) {
	f.throttles = kafka.NewThrottleLog(log)
	if f.TLS {
		files := certs.Files{Flags: "--tls", CA: f.TLSCA, Cert: f.TLSCert, Key: f.TLSKey, ServerName: f.TLSServerName}
		if f.tls, err = certs.NewClient(files, log); err != nil {
			return err
		}
	}
	if f.SASLMechanism == "" {
		return nil
	}
	f.login = &kafka.Login{Mechanism: f.SASLMechanism, User: f.SASLUser}
	switch {
	case f.SASLTokenFile != "":
		f.login.Secret, err = secretSource("sasl-token", "", f.SASLTokenFile)
	case f.SASLTokenURL != "":
		f.login.Secret, err = f.tokenClient(log)
	default:
		f.login.Secret, err = secretSource("sasl-password", f.SASLPassword, f.SASLPasswordFile)
	}
	return err
}

// tokenTime bounds fetching a token.
const tokenTime = 10 * time.Second

func (f *Kafka) tokenClient(log *slog.Logger) (func(context.Context) (string, error), error) {
	secret, err := secretSource("sasl-client-secret", f.SASLClientSecret, f.SASLClientSecretFile)
	if err != nil {
		return nil, err
	}
	text, err := secret(context.Background())
	if err != nil {
		return nil, err
	}
	server, err := certs.NewClient(certs.Files{Flags: "--sasl-token", URL: "--sasl-token-url", CA: f.SASLTokenCA}, log)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: tokenTime, Transport: &http.Transport{
		DialTLSContext: server.Dial,
		Proxy:          http.ProxyFromEnvironment, TLSClientConfig: server.HTTP(), // through a proxy
	}}
	return kafka.ClientCredentials(client, f.SASLTokenURL, f.SASLClientID, text, f.SASLScope), nil
}
