// Package kafka is how this process reaches Kafka: client options, security and
// the checks every component makes before it starts.
package kafka

import (
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says which cluster to talk to and how.
type Config struct {
	Brokers  []string // host:port
	Prefix   string   // of every topic and transactional id
	ClientID string
	Log      *slog.Logger // nil: nothing is logged
}

// Options are the client options common to every client of this process.
func (c Config) Options() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
	}
}
