package kafka

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
)

// MaxMessageBytes looks up how many bytes a batch of records may have in each of
// the topics (max.message.bytes). A topic whose settings this client may not read
// is left out.
func MaxMessageBytes(ctx context.Context, adm *kadm.Client, topics ...string) (map[string]int, error) {
	const setting = "max.message.bytes"
	limits := map[string]int{}
	for _, topic := range topics {
		configs, err := adm.DescribeTopicConfigs(ctx, topic)
		if err == nil && len(configs) == 1 {
			err = configs[0].Err
		}
		if Refused(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the settings of topic %s: %w", topic, err)
		}
		for _, c := range configs {
			for _, one := range c.Configs {
				if one.Key != setting {
					continue
				}
				if limits[topic], err = strconv.Atoi(one.MaybeValue()); err != nil {
					return nil, fmt.Errorf("topic %s: %s %q: expected a whole number", topic, setting, one.MaybeValue())
				}
			}
		}
	}
	return limits, nil
}
