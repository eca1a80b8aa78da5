package cli

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

// memberFlags say how a process takes part in its consumer group.
type memberFlags struct {
	instanceFlags
	Sessions      int    `help:"Transactional sessions of this process; several overlap one's commit with another's work." default:"2" placeholder:"N"`
	GroupProtocol string `help:"Group protocol: ${enum}. consumer (KIP-848, Kafka 4) takes its timeouts from the broker's group configuration; see topics apply." enum:"classic,consumer" default:"classic"`
	Static        bool   `help:"Static group membership, classic only: a restart within the session timeout moves no partition, but SIGTERM hands none over before that timeout."`
}

// groupNames are what a component's group may be called: as its flag says, or by
// default and, where that has no commits, as it was called before.
func groupNames(prefix, component, flag string) member.Names {
	if flag != "" {
		return member.Names{Group: flag}
	}
	return member.Names{Group: schemas.GroupName(prefix, component), Former: component}
}

// groupInUse is the name by which a component's group goes now.
func groupInUse(ctx context.Context, k kafka.Config, component, flag string, topics ...string) (string, error) {
	names := groupNames(k.Prefix, component, flag)
	if names.Former == "" {
		return names.Group, nil
	}
	client, err := k.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(topics...)); err != nil {
		return "", err
	}
	return names.Resolve(ctx, adm, topics...)
}

// maxSessions is more than any process has cores for.
const maxSessions = 64

// checkMember refuses what cannot work, and finds a name for the replica where
// none is set.
func (f *memberFlags) checkMember() (err error) {
	switch {
	case f.Sessions < 1 || f.Sessions > maxSessions:
		return usagef("--sessions %d: expected 1 … %d", f.Sessions, maxSessions)
	case f.Static && f.GroupProtocol != member.ProtocolClassic:
		return usagef("--static needs --group-protocol classic: with consumer a killed member's id stays taken until its session expires")
	}
	f.Instance, err = f.instance()
	return err
}
