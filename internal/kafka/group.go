package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What rules a group of the consumer protocol, and the brokers' lower bounds of it.
const (
	groupSessionTimeout    = "consumer.session.timeout.ms"
	groupHeartbeatInterval = "consumer.heartbeat.interval.ms"
	minSessionTimeout      = "group.consumer.min.session.timeout.ms"
	minHeartbeatInterval   = "group.consumer.min.heartbeat.interval.ms"
)

// ErrNoGroupConfigs is a cluster without group configurations (Kafka before 4).
var ErrNoGroupConfigs = errors.New("the cluster has no group configurations: it takes Kafka 4")

// ServerSideGroups says whether every broker has the consumer group protocol of
// KIP-848 in its final form.
func ServerSideGroups(ctx context.Context, adm *kadm.Client) (bool, error) {
	brokers, err := adm.ApiVersions(ctx)
	if err != nil {
		return false, fmt.Errorf("asking what the brokers support: %w", err)
	}
	all := true
	brokers.Each(func(b kadm.BrokerApiVersions) {
		if newest, ok := b.KeyMaxVersion(int16(kmsg.ConsumerGroupHeartbeat)); b.Err == nil && (!ok || newest < 1) {
			all = false
		}
	})
	return all, nil
}

// GroupTimes rule the members of a group of the consumer protocol, which cannot
// choose them.
type GroupTimes struct {
	Session   time.Duration // how long the group waits for a member that is silent
	Heartbeat time.Duration // how often a member is heard, and hears of its partitions
}

// SetGroupTimes sets those of a group: what is wanted, or the least that the brokers
// allow where that is more. It returns what it set.
func SetGroupTimes(ctx context.Context, client *kgo.Client, group string, wanted GroupTimes) (GroupTimes, error) {
	least, err := leastGroupTimes(ctx, kadm.NewClient(client))
	if err != nil {
		return GroupTimes{}, err
	}
	set := GroupTimes{max(wanted.Session, least.Session), max(wanted.Heartbeat, least.Heartbeat)}
	r := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	add := func(name string, d time.Duration) {
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Value = name, kadm.StringPtr(strconv.FormatInt(d.Milliseconds(), 10))
		resource.Configs = append(resource.Configs, config)
	}
	add(groupSessionTimeout, set.Session)
	add(groupHeartbeatInterval, set.Heartbeat)
	r.Resources = append(r.Resources, resource)
	response, err := r.RequestWith(ctx, client)
	if err != nil {
		return GroupTimes{}, fmt.Errorf("setting the timeouts of group %s: %w", group, err)
	}
	for _, one := range response.Resources {
		switch err := kerr.ErrorForCode(one.ErrorCode); {
		case errors.Is(err, kerr.InvalidRequest), errors.Is(err, kerr.UnsupportedVersion):
			return GroupTimes{}, ErrNoGroupConfigs
		case err != nil:
			message := ""
			if one.ErrorMessage != nil {
				message = *one.ErrorMessage
			}
			return GroupTimes{}, fmt.Errorf("setting %s of group %s to %d and %s to %d: %w", groupSessionTimeout, group, set.Session.Milliseconds(),
				groupHeartbeatInterval, set.Heartbeat.Milliseconds(), withMessage(err, message))
		}
	}
	return set, nil
}

// leastGroupTimes are the brokers' lower bounds, 0 where they do not say.
func leastGroupTimes(ctx context.Context, adm *kadm.Client) (least GroupTimes, err error) {
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return GroupTimes{}, fmt.Errorf("looking for brokers: %w", err)
	}
	configs, err := adm.DescribeBrokerConfigs(ctx, brokers.NodeIDs()...)
	if err != nil {
		return GroupTimes{}, fmt.Errorf("reading the brokers' settings: %w", err)
	}
	bounds := map[string]*time.Duration{minSessionTimeout: &least.Session, minHeartbeatInterval: &least.Heartbeat}
	for _, broker := range configs {
		for _, c := range broker.Configs {
			bound, ok := bounds[c.Key]
			if !ok {
				continue
			}
			if ms, err := strconv.ParseInt(c.MaybeValue(), 10, 64); err == nil {
				*bound = max(*bound, time.Duration(ms)*time.Millisecond)
			}
		}
	}
	return least, nil
}
