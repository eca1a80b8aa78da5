package flags

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/creditstream/creditstream/internal/bounded"
	"github.com/creditstream/creditstream/internal/certs"
	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Registry says whether values are Avro, and who knows their schemas.
type Registry struct {
	URL          string `name:"schema-registry" help:"Schema registry: values are written in Avro, and read in Avro and JSON. Without one, only JSON is written and read." placeholder:"URL" group:"Schema registry" address:"http"`
	User         string `name:"schema-registry-user" help:"User to log in as (HTTP basic authentication)." placeholder:"NAME" group:"Schema registry"`
	Password     string `name:"schema-registry-password" help:"Its password; from the environment or a settings file only." placeholder:"SECRET" secret:"" group:"Schema registry"`
	PasswordFile string `name:"schema-registry-password-file" help:"File with its password." type:"path" placeholder:"FILE" group:"Schema registry"`
	CA           string `help:"Authorities that sign its certificate, PEM (default: the system's); read again when it changes." name:"schema-registry-ca" type:"path" placeholder:"FILE" group:"Schema registry"`
	Insecure     bool   `name:"schema-registry-insecure" help:"Log in over unencrypted connections to another machine." group:"Schema registry"`
}

// commandPatience is how long a command that ends waits for the registry. A
// service waits as long as it takes.
const commandPatience = 10 * time.Second

// checkStart refuses what is not safe and what means nothing. An address that is
// none is left to whoever makes the client.
func (f Registry) checkStart() error {
	u, err := url.Parse(f.URL)
	plain := err == nil && u.Scheme == "http"
	login := f.User != "" || f.Password != "" || f.PasswordFile != ""
	switch {
	case f.CA != "" && (plain || f.URL == ""):
		return Usagef("--schema-registry-ca means nothing while connections are not encrypted: set --schema-registry https://HOST:PORT")
	case plain && login && !f.Insecure && !OnLoopback(net.JoinHostPort(u.Hostname(), "80")):
		return Usagef("a password for the schema registry would go to another machine over an unencrypted connection: set --schema-registry https://HOST:PORT, or --schema-registry-insecure if that is meant")
	}
	return nil
}

// Client is nil without a registry.
func (f Registry) Client(log *slog.Logger) (*registry.Client, error) {
	if f.URL == "" {
		return nil, nil
	}
	password := f.Password
	if f.PasswordFile != "" {
		if password != "" {
			return nil, Usagef("CREDITSTREAM_SCHEMA_REGISTRY_PASSWORD and --schema-registry-password-file: set one of them")
		}
		text, err := bounded.ReadFile(f.PasswordFile, bounded.Text)
		if err != nil {
			return nil, fmt.Errorf("--schema-registry-password-file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	config := registry.Config{URL: f.URL, User: f.User, Password: password}
	if f.CA != "" {
		server, err := certs.NewClient(certs.Files{Flags: "--schema-registry", URL: "--schema-registry", CA: f.CA}, log)
		if err != nil {
			return nil, err
		}
		config.TLS = server
	}
	made, err := registry.New(config)
	return made, Usage(err) // it has only looked at the flags
}

// Codec is the codec of a command that reads and ends, nil without a registry: it writes nothing, and
// gives up on a registry that does not come back soon.
func (f Registry) Codec(log *slog.Logger) (*wire.Codec, error) {
	client, err := f.Client(log)
	if client == nil || err != nil {
		return nil, err
	}
	return wire.New(wire.Config{Registry: client, Patience: commandPatience, Log: log}), nil
}

// Args hand the flags on to a child process, which finds the password in the
// environment.
func (f Registry) Args() (args []string) {
	for _, one := range [][2]string{
		{"--schema-registry", f.URL}, {"--schema-registry-user", f.User},
		{"--schema-registry-password-file", f.PasswordFile}, {"--schema-registry-ca", f.CA},
	} {
		if one[1] != "" {
			args = append(args, one[0], one[1])
		}
	}
	if f.Insecure {
		args = append(args, "--schema-registry-insecure")
	}
	return args
}
