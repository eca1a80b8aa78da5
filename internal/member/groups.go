package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/creditstream/creditstream/internal/kafka"
)

// Names are what a component's consumer group may be called.
type Names struct {
	Group string
	// Former is its name before, "" where it had none: the group goes by it for as
	// long as it has commits under this name and none under the other.
	Former string
}

// Resolve returns the name that a group goes by on topics: a group is adopted under
// its former name, never renamed under a running deployment.
func (n Names) Resolve(ctx context.Context, adm *kadm.Client, topics ...string) (group string, err error) {
	if n.Former == "" {
		return n.Group, nil
	}
	has, err := commitsOf(ctx, adm, n.Group, topics)
	// Who may not look at a group has none of that name.
	if refused := errors.Is(err, kerr.GroupAuthorizationFailed); has || err != nil && !refused {
		return n.Group, err
	}
	switch has, err = commitsOf(ctx, adm, n.Former, topics); {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return n.Group, nil
	case err != nil:
		return "", err
	case has:
		return n.Former, nil
	}
	return n.Group, nil
}

// Settle is Resolve for a component that is about to join: it says so where the
// group is adopted, and refuses one that something else uses.
func (n Names) Settle(ctx context.Context, adm *kadm.Client, log *slog.Logger, topics ...string) (group string, err error) {
	if group, err = n.Resolve(ctx, adm, topics...); err != nil {
		return n.Group, err
	}
	if err := RequireOwn(ctx, adm, group, topics...); err != nil {
		return group, err
	}
	if group == n.Group {
		log.Info("joining the consumer group", "group", group)
	} else {
		log.Info("joining the consumer group under its former name; topics adopt-groups renames it", "group", group, "name", n.Group)
	}
	return group, nil
}

func commitsOf(ctx context.Context, adm *kadm.Client, group string, topics []string) (bool, error) {
	for _, t := range topics {
		if has, err := hasCommits(ctx, adm, group, t); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

// RequireOwn refuses a group that something else uses: one without commits on any
// of the topics that has commits on others, or members that read others.
func RequireOwn(ctx context.Context, adm *kadm.Client, group string, topics ...string) error {
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("reading the offsets of group %s: %w", group, err)
	}
	others := map[string]bool{}
	for topic, partitions := range committed {
		for _, o := range partitions {
			if o.Err != nil || o.At < 0 {
				continue
			}
			if slices.Contains(topics, topic) {
				return nil
			}
			others[topic] = true
		}
	}
	members, err := MembersOf(ctx, adm, group)
	if err != nil {
		return err
	}
	for _, m := range members {
		for _, topic := range m.Topics {
			others[topic] = others[topic] || !slices.Contains(topics, topic)
		}
	}
	maps.DeleteFunc(others, func(_ string, other bool) bool { return !other })
	if len(others) > 0 {
		return Permanent(nil, "group %q is used by something else: it reads %s, and has no committed offsets of %s; choose another --group",
			group, strings.Join(slices.Sorted(maps.Keys(others)), ", "), strings.Join(topics, ", "))
	}
	return nil
}

// InGroup is a member of a group as the coordinator describes it.
type InGroup struct {
	ID, ClientID, Host string
	Topics             []string // it has subscribed to
}

// String names it.
func (m InGroup) String() string { return m.ClientID + " at " + strings.TrimPrefix(m.Host, "/") }

// MembersOf are the members of a group, of either protocol. A group that does not
// exist has none.
func MembersOf(ctx context.Context, adm *kadm.Client, group string) (members []InGroup, err error) {
	classic, err := adm.DescribeGroups(ctx, group)
	if err == nil {
		err = classic[group].Err
	}
	if err != nil && !isOneOf(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("looking for the members of group %s: %w", group, err)
	}
	for _, m := range classic[group].Members {
		one := InGroup{ID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost}
		if join, ok := m.Join.AsConsumer(); ok {
			one.Topics = join.Topics
		}
		members = append(members, one)
	}
	if len(members) > 0 {
		return members, nil
	}
	if there, err := kafka.ServerSideGroups(ctx, adm); err != nil || !there {
		return nil, err // a cluster without that protocol has none of its groups
	}
	served, err := adm.DescribeConsumerGroups(ctx, group)
	if err == nil {
		err = served[group].Err
	}
	if err != nil && !isOneOf(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("looking for the members of group %s: %w", group, err)
	}
	for _, m := range served[group].Members {
		members = append(members, InGroup{ID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost, Topics: m.SubscribedTopics})
	}
	return members, nil
}
