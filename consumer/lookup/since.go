package lookup

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Published is a decision that a producer without a transaction has published.
type Published struct {
	At         kafka.Position
	Prediction schemas.Prediction
}

// Since finds what became of decisions on these applications whose writer was not told
// whether the log has them: the last one on each, of those that the log took since a
// time by its clock and that stand where their key belongs; nil where there is none.
// Application and decision are the same request's if id, applied_at and features are.
// A decision that the log takes later is not found.
func Since(ctx context.Context, c Config, since time.Time, applications []schemas.Application) ([]*Published, error) {
	found := make([]*Published, len(applications))
	client, err := c.Kafka.Quiet().Connect(ctx, kgo.KeepControlRecords()) // the last offset may be a marker
	if err != nil {
		return nil, err
	}
	defer client.Close()
	adm, topic := kadm.NewClient(client), c.Topics.Predictions
	starts, err := kafka.Listed(adm.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topic))
	if err != nil {
		return nil, c.Kafka.Explain(err)
	}
	ends, err := kafka.Listed(adm.ListEndOffsets(ctx, topic)) // not the last stable ones: others' transactions are no matter
	if err != nil {
		return nil, c.Kafka.Explain(err)
	}
	byKey := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	wanted := map[int32]map[string][]int{} // by partition and key: which of the applications
	for i := range applications {
		key := applications[i].ApplicationID
		partition := int32(byKey.Partition(&kgo.Record{Key: []byte(key)}, len(ends[topic])))
		if wanted[partition] == nil {
			wanted[partition] = map[string][]int{}
		}
		wanted[partition][key] = append(wanted[partition][key], i)
	}
	for partition, keys := range wanted {
		r := run{partition: partition, from: starts[topic][partition].Offset, to: ends[topic][partition].Offset - 1}
		err := r.read(ctx, client, topic, func(record *kgo.Record) error {
			indexes := keys[string(record.Key)]
			if len(indexes) == 0 || record.Attrs.IsTransactional() {
				return nil
			}
			var p schemas.Prediction
			if err := c.Codec.DecodePrediction(ctx, record.Value, &p); err != nil {
				if wire.IsBroken(err) && !wire.IsUnread(err) {
					return nil // no decision of anybody's
				}
				return fmt.Errorf("reading %s/%d@%d: %w", topic, record.Partition, record.Offset, err)
			}
			for _, i := range indexes {
				if a := &applications[i]; p.ApplicationID == a.ApplicationID && p.AppliedAt == a.AppliedAt && p.Features == a.Features {
					found[i] = &Published{kafka.Position{Partition: record.Partition, Offset: record.Offset}, p}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
