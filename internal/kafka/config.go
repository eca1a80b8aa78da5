// Package kafka is how this process reaches Kafka: client options, security and
// the checks every component makes before it starts.
package kafka

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/certs"
)

const (
	// A broker that is alive accepts a connection at once; one that is not must
	// not hold up the next in the list for ten seconds, the client's default.
	dialTimeout = 3 * time.Second
	// A leader that has moved is looked for this soon, not after five seconds, the
	// client's default: open transactions wait for it.
	metadataAge = 250 * time.Millisecond
	// Partitions that were added are found this soon, not after five minutes, the
	// client's default: nobody answers what is sent there meanwhile.
	partitionsAge = 5 * time.Second
	// How long Connect looks for a broker that answers.
	connectTime = 10 * time.Second
)

// Config says which cluster to talk to and how.
type Config struct {
	Brokers  []string // host:port
	Prefix   string   // of all that a deployment owns: topics, transactional ids, Redis keys
	ClientID string
	Log      *slog.Logger // what the client warns of; nil: nothing is logged
	// Throttles names what quotas impose on any of the process's clients; nil: each
	// client names its own in Log.
	Throttles *ThrottleLog

	TLS   *certs.Client // nil: connections are not encrypted
	Login *Login        // nil: clients do not log in
}

// For is the configuration of one of several clients, by what it is called.
func (c Config) For(client string) Config {
	c.ClientID += "-" + client
	return c
}

// What a command takes for granted where its flags do not say.
const (
	DefaultBroker = "127.0.0.1:9092"
	DefaultPrefix = "credit"
)

// Flags are those that a command on the same deployment needs, each with a blank
// before it; those that it takes for granted are left out.
func (c Config) Flags() string {
	flags := ""
	if brokers := strings.Join(c.Brokers, ","); brokers != "" && brokers != DefaultBroker {
		flags += " --brokers " + brokers
	}
	if c.Prefix != "" && c.Prefix != DefaultPrefix {
		flags += " --prefix " + c.Prefix
	}
	return flags
}

// Options are the client options common to every client of this process.
func (c Config) Options() []kgo.Opt {
	unpacker, throttles := new(unpacker), c.Throttles
	if throttles == nil {
		throttles = NewThrottleLog(c.Log)
	}
	opts := []kgo.Opt{
		kgo.WithDecompressor(unpacker),
		kgo.WithHooks(unpacker, NewThrottle(throttles)),
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.DialTimeout(dialTimeout),
		kgo.MetadataMinAge(metadataAge),
		kgo.MetadataMaxAge(partitionsAge),
	}
	if c.TLS != nil {
		opts = append(opts, kgo.Dialer(c.TLS.Dial))
	}
	if c.Login != nil {
		opts = append(opts, kgo.SASL(c.Login.mechanism()))
	}
	if c.Log != nil {
		opts = append(opts, kgo.WithLogger(newClientLog(c.Log)))
	}
	return opts
}

// Connect returns a client that a broker has answered, for commands that do one
// thing and end. The error names the brokers when none answers within ten
// seconds; a service keeps trying instead.
func (c Config) Connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(c.Quiet().Options(), opts...)...)
	if err != nil {
		return nil, err
	}
	ping, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	_, err = untilCancelled(ping, func() (struct{}, error) { return struct{}{}, client.Ping(ping) })
	if err != nil {
		client.Close()
		return nil, c.explainConnect(ping, err)
	}
	return client, nil
}

// Quiet is the configuration without the client's own warnings, for commands
// whose error says it once. Throttles make no error: who names them goes on.
func (c Config) Quiet() Config {
	c.Log = nil
	return c
}
