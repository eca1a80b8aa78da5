package lookup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// maxGap is how many offsets that nobody asked for are read over rather than jumped.
const maxGap = 1000

// run is offsets of one partition that are read in one go.
type run struct {
	partition int32
	wanted    map[int64][]int // by offset: which of the positions asked for; nil: all of the partition is looked through
	from, to  int64           // the first and the last of them
}

// Positions reads predictions whose writer was told that they are in the log, without
// a transaction, at these positions: one after another transaction's that is still
// open, too. found says which are there still: not what retention has removed, nor
// what is no prediction. Keys are not compared.
func Positions(ctx context.Context, c Config, at []kafka.Position) (predictions []schemas.Prediction, found []bool, err error) {
	predictions, found = make([]schemas.Prediction, len(at)), make([]bool, len(at))
	client, err := c.Kafka.Quiet().Connect(ctx, kgo.KeepControlRecords()) // a run's last offset may have become a marker
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	adm, topic := kadm.NewClient(client), c.Topics.Predictions
	starts, err := kafka.Listed(adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return nil, nil, c.Kafka.Explain(err)
	}
	ends, err := kafka.Listed(adm.ListEndOffsets(ctx, topic))
	if err != nil {
		return nil, nil, c.Kafka.Explain(err)
	}
	there := func(p kafka.Position) bool {
		start, ok := starts.Lookup(topic, p.Partition)
		end, ok2 := ends.Lookup(topic, p.Partition)
		return ok && ok2 && p.Offset >= start.Offset && p.Offset < end.Offset
	}
	for _, r := range runs(at, there) {
		err := r.read(ctx, client, topic, func(record *kgo.Record) error {
			var p schemas.Prediction
			err := c.Codec.DecodePrediction(ctx, record.Value, &p)
			if err != nil && (!wire.IsBroken(err) || wire.IsUnread(err)) {
				return fmt.Errorf("reading %s/%d@%d: %w", topic, record.Partition, record.Offset, err)
			}
			for _, i := range r.wanted[record.Offset] {
				predictions[i], found[i] = p, err == nil
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return predictions, found, nil
}

// runs are what has to be read for positions that are there.
func runs(at []kafka.Position, there func(kafka.Position) bool) (all []*run) {
	order := make([]int, 0, len(at))
	for i, p := range at {
		if there(p) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(at[a].Partition, at[b].Partition), cmp.Compare(at[a].Offset, at[b].Offset))
	})
	for _, i := range order {
		p := at[i]
		if n := len(all); n == 0 || all[n-1].partition != p.Partition || p.Offset > all[n-1].to+maxGap {
			all = append(all, &run{partition: p.Partition, wanted: map[int64][]int{}, from: p.Offset})
		}
		last := all[len(all)-1]
		last.to = p.Offset
		last.wanted[p.Offset] = append(last.wanted[p.Offset], i)
	}
	return all
}

// read hands the wanted records of a run to each, also those of open transactions.
func (r *run) read(ctx context.Context, client *kgo.Client, topic string, each func(*kgo.Record) error) error {
	if r.from > r.to {
		return nil
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {r.partition: kgo.NewOffset().At(r.from)}})
	defer client.RemoveConsumePartitions(map[string][]int32{topic: {r.partition}})
	for next := r.from; next <= r.to; {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("reading %s/%d@%d: %w", topic, r.partition, next, err)
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) && !kerr.IsRetriable(e.Err) {
				return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, kafka.Reason(e.Err))
			}
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			record := iter.Next()
			if record.Partition != r.partition || record.Offset < next {
				continue
			}
			next = record.Offset + 1
			if (r.wanted == nil || len(r.wanted[record.Offset]) > 0) && !record.Attrs.IsControl() {
				if err := each(record); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
