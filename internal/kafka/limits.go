package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Settings reads the settings of topics, by topic and name. Topics that are
// not there are named; one whose settings this client may not read is left out.
func Settings(
	ctx context.Context, adm *kadm.Client, topics ...string,
) (all map[string]map[string]string, missing []string, err error) {
	all = map[string]map[string]string{}
	for _, topic := range topics {
		configs, err := adm.DescribeTopicConfigs(ctx, topic)
		if err == nil && len(configs) == 1 {
			err = configs[0].Err
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			missing = append(missing, topic)
			continue
		}
		if Refused(err) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading the settings of topic %s: %w", topic, err)
		}
		all[topic] = map[string]string{}
		for _, c := range configs {
			for _, one := range c.Configs {
				all[topic][one.Key] = one.MaybeValue()
			}
		}
	}
	return all, missing, nil
}

// MaxMessageBytes looks up how many bytes a batch of records may have in each of
// the topics (max.message.bytes). A topic whose settings this client may not read
// is left out.
func MaxMessageBytes(ctx context.Context, adm *kadm.Client, topics ...string) (map[string]int, error) {
	const setting = "max.message.bytes"
	settings, _, err := Settings(ctx, adm, topics...)
	if err != nil {
		return nil, err
	}
	limits := map[string]int{}
	for topic, of := range settings {
		value, ok := of[setting]
		if !ok {
			continue
		}
		if limits[topic], err = strconv.Atoi(value); err != nil {
			return nil, fmt.Errorf("topic %s: %s %q: expected a whole number", topic, setting, value)
		}
	}
	return limits, nil
}
