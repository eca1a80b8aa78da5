package cli

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/internal/bounded"
	"github.com/creditstream/creditstream/internal/certs"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// registryFlags say whether values are Avro, and who knows their schemas.
type registryFlags struct {
	SchemaRegistry             string `help:"Schema registry: values in Avro can be read, and are written. Without one they are JSON." placeholder:"URL" group:"Schema registry" address:"http"`
	SchemaRegistryUser         string `help:"User to ask it as (HTTP basic authentication)." placeholder:"NAME" group:"Schema registry"`
	SchemaRegistryPassword     string `help:"Its password; from the environment or a file only." placeholder:"SECRET" secret:"" group:"Schema registry"`
	SchemaRegistryPasswordFile string `help:"File that holds the password." type:"path" placeholder:"FILE" group:"Schema registry"`
	SchemaRegistryCA           string `help:"Authorities that sign its certificate, PEM (default: the system's); read again when it changes." name:"schema-registry-ca" type:"path" placeholder:"FILE" group:"Schema registry"`
	SchemaRegistryInsecure     bool   `help:"Log in over unencrypted connections to another machine." group:"Schema registry"`
}

// commandPatience is how long a command that ends waits for the registry. A
// service waits as long as it takes.
const commandPatience = 10 * time.Second

// checkRegistry refuses what is not safe and what means nothing. An address that is
// none is left to whoever makes the client.
func (f registryFlags) checkRegistry() error {
	u, err := url.Parse(f.SchemaRegistry)
	plain := err == nil && u.Scheme == "http"
	login := f.SchemaRegistryUser != "" || f.SchemaRegistryPassword != "" || f.SchemaRegistryPasswordFile != ""
	switch {
	case f.SchemaRegistryCA != "" && (plain || f.SchemaRegistry == ""):
		return usagef("--schema-registry-ca means nothing while connections are not encrypted: set --schema-registry https://HOST:PORT")
	case plain && login && !f.SchemaRegistryInsecure && !onLoopback(net.JoinHostPort(u.Hostname(), "80")):
		return usagef("a password for the schema registry would go to another machine over an unencrypted connection: set --schema-registry https://HOST:PORT, or --schema-registry-insecure if that is meant")
	}
	return nil
}

// registryClient is nil without a registry.
func (f registryFlags) registryClient(p *process) (*registry.Client, error) {
	if f.SchemaRegistry == "" {
		return nil, nil
	}
	password := f.SchemaRegistryPassword
	if f.SchemaRegistryPasswordFile != "" {
		if password != "" {
			return nil, usagef("CREDITSTREAM_SCHEMA_REGISTRY_PASSWORD and --schema-registry-password-file: set one of them")
		}
		text, err := bounded.ReadFile(f.SchemaRegistryPasswordFile, bounded.Text)
		if err != nil {
			return nil, fmt.Errorf("--schema-registry-password-file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	config := registry.Config{URL: f.SchemaRegistry, User: f.SchemaRegistryUser, Password: password}
	if f.SchemaRegistryCA != "" {
		server, err := certs.NewClient(certs.Files{Flags: "--schema-registry", URL: "--schema-registry", CA: f.SchemaRegistryCA}, p.log)
		if err != nil {
			return nil, err
		}
		config.TLS = server
	}
	made, err := registry.New(config)
	return made, usage(err) // it has only looked at the flags
}

// codec reads both formats and writes these events in Avro; nil without a
// registry: JSON only. It is a component of its own, see withCodec.
func (f registryFlags) codec(p *process, reg prometheus.Registerer, prefix string, writes ...schemas.Event) (*wire.Codec, error) {
	client, err := f.registryClient(p)
	if client == nil || err != nil {
		return nil, err
	}
	topics, config := schemas.NewTopics(prefix), wire.Config{Registry: client, Writes: map[schemas.Event]string{}, Log: p.log, Registerer: reg}
	for _, e := range writes {
		config.Writes[e] = e.Topic(topics)
	}
	return wire.New(config), nil
}

// shortCodec is the codec of a command that reads and ends: it writes nothing, and
// gives up on a registry that does not come back soon.
func (f registryFlags) shortCodec(p *process) (*wire.Codec, error) {
	client, err := f.registryClient(p)
	if client == nil || err != nil {
		return nil, err
	}
	return wire.New(wire.Config{Registry: client, Patience: commandPatience, Log: p.log}), nil
}

// registryArgs hand the flags on to a child process, which finds the password in the
// environment.
func (f registryFlags) registryArgs() (args []string) {
	for _, one := range [][2]string{
		{"--schema-registry", f.SchemaRegistry}, {"--schema-registry-user", f.SchemaRegistryUser},
		{"--schema-registry-password-file", f.SchemaRegistryPasswordFile}, {"--schema-registry-ca", f.SchemaRegistryCA},
	} {
		if one[1] != "" {
			args = append(args, one[0], one[1])
		}
	}
	if f.SchemaRegistryInsecure {
		args = append(args, "--schema-registry-insecure")
	}
	return args
}

// withCodec adds a codec, where there is one, to the components that use it.
func withCodec(codec *wire.Codec, components ...lifecycle.Component) []lifecycle.Component {
	if codec == nil {
		return components
	}
	return append([]lifecycle.Component{codec}, components...)
}
