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

const (
	groupSessionTimeout = "consumer.session.timeout.ms"
	minSessionTimeout   = "group.consumer.min.session.timeout.ms"
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

// SetSessionTimeout sets the session timeout of a group of the consumer protocol,
// which its members cannot choose: what is wanted, or the least that the broker
// allows where that is more. It returns what it set.
func SetSessionTimeout(ctx context.Context, client *kgo.Client, group string, wanted time.Duration) (time.Duration, error) {
	timeout := wanted
	least, err := leastSessionTimeout(ctx, kadm.NewClient(client))
	if err != nil {
		return 0, err
	}
	timeout = max(timeout, least)
	r := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = groupSessionTimeout, kadm.StringPtr(strconv.FormatInt(timeout.Milliseconds(), 10))
	resource.Configs = append(resource.Configs, config)
	r.Resources = append(r.Resources, resource)
	response, err := r.RequestWith(ctx, client)
	if err != nil {
		return 0, fmt.Errorf("setting %s of group %s: %w", groupSessionTimeout, group, err)
	}
	for _, one := range response.Resources {
		switch err := kerr.ErrorForCode(one.ErrorCode); {
		case errors.Is(err, kerr.InvalidRequest), errors.Is(err, kerr.UnsupportedVersion):
			return 0, ErrNoGroupConfigs
		case err != nil:
			message := ""
			if one.ErrorMessage != nil {
				message = *one.ErrorMessage
			}
			return 0, fmt.Errorf("setting %s of group %s to %d: %w", groupSessionTimeout, group, timeout.Milliseconds(), withMessage(err, message))
		}
	}
	return timeout, nil
}

// leastSessionTimeout is the broker's lower bound, 0 where it does not say.
func leastSessionTimeout(ctx context.Context, adm *kadm.Client) (time.Duration, error) {
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return 0, fmt.Errorf("looking for brokers: %w", err)
	}
	configs, err := adm.DescribeBrokerConfigs(ctx, brokers.NodeIDs()...)
	if err != nil {
		return 0, fmt.Errorf("reading the brokers' settings: %w", err)
	}
	least := time.Duration(0)
	for _, broker := range configs {
		for _, c := range broker.Configs {
			if c.Key == minSessionTimeout {
				if ms, err := strconv.ParseInt(c.MaybeValue(), 10, 64); err == nil {
					least = max(least, time.Duration(ms)*time.Millisecond)
				}
			}
		}
	}
	return least, nil
}
