package reports

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// Forget takes replicas off the topic, by name. One that runs is there again with its
// next report.
func Forget(ctx context.Context, c kafka.Config, topics schemas.Topics, names ...string) error {
	client, err := kgo.NewClient(append(c.Quiet().Options(),
		kgo.DefaultProduceTopic(topics.Replicas),
		kgo.RecordDeliveryTimeout(connectTime),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // where its reports are
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	records := make([]*kgo.Record, len(names))
	for i, name := range names {
		records[i] = &kgo.Record{Key: []byte(name)}
	}
	return c.Explain(client.ProduceSync(ctx, records...).FirstErr())
}
