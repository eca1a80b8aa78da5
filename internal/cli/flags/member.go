package flags

import (
	"fmt"
	"os"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/member"
)

// Instance names a replica.
type Instance struct {
	Name string `name:"instance" help:"Name of this replica, unique among those of its kind and the same after a restart (default: the host name)." placeholder:"NAME"`
}

// Config is the name, by default the host's.
func (f Instance) Config() (string, error) {
	if f.Name != "" {
		return f.Name, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("--instance is not set and the host has no name: %w", err)
	}
	return host, nil
}

// Member says how a process takes part in its consumer group.
type Member struct {
	Instance      Instance `embed:""`
	Sessions      int      `help:"Transactional sessions of this process; with several, one works while another commits." default:"2" placeholder:"N"`
	GroupProtocol string   `help:"Group protocol: ${enum}. consumer (KIP-848, Kafka 4) takes its timeouts from the broker's group configuration; see topics apply." enum:"classic,consumer" default:"classic"`
	Static        bool     `help:"Static group membership, classic only: a restart within the session timeout moves no partition, but SIGTERM hands none over before that timeout."`
}

// maxSessions is more than any process has cores for.
const maxSessions = 64

// Config is the same as a value.
func (f *Member) Config() (app.Member, error) {
	switch {
	case f.Sessions < 1 || f.Sessions > maxSessions:
		return app.Member{}, Usagef("--sessions %d: expected 1 … %d", f.Sessions, maxSessions)
	case f.Static && f.GroupProtocol != member.ProtocolClassic:
		return app.Member{}, Usagef("--static needs --group-protocol classic: with consumer a killed member's id stays taken until its session expires")
	}
	return app.Member{Sessions: f.Sessions, Protocol: f.GroupProtocol, Static: f.Static}, nil
}
