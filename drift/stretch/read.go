package stretch

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// panePartition is the only one of the panes topic.
const panePartition = 0

// locate fixes which offsets are read.
func (r *reading) locate(ctx context.Context) error {
	client, err := r.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(r.Topics.Predictions, r.Topics.DriftPanes)); err != nil {
		return r.Kafka.Explain(err)
	}
	if _, r.counted.Open, err = r.Kafka.Settled(ctx, adm, kafka.OpenPatience, r.Topics.Predictions, r.Topics.DriftPanes); err != nil {
		return err
	}
	if r.predictions, err = kafka.Appended(ctx, adm, r.Topics.Predictions, r.From, r.To); err != nil {
		return err
	}
	// A pane is appended after what it counts, however far its counting is behind.
	panes, err := kafka.Appended(ctx, adm, r.Topics.DriftPanes, r.From, time.Time{})
	if err != nil {
		return err
	}
	r.paneSpan = panes[panePartition]
	return nil
}

// readPanes adds up every pane that may be of the stretch.
func (r *reading) readPanes(ctx context.Context) error {
	topic := r.Topics.DriftPanes
	return r.Kafka.Quiet().ReadCommitted(ctx, kafka.Spans{topic: {panePartition: r.paneSpan}}, kafka.Sink{Unreadable: r.counted.UnreadablePanes.PassOver, Each: func(record *kgo.Record) error {
		p, err := drift.DecodePane(record.Value)
		if err != nil {
			// The evaluator passes it over, too. What it may have counted is missing.
			r.counted.NoPanes++
			return nil //nolint:nilerr // counted, and told
		}
		r.panes.add(p)
		return nil
	}})
}

// count counts the decisions of the stretch in these offsets of predictions.
func (r *reading) count(ctx context.Context, rest map[int32][]kafka.Span) error {
	counter := counting.NewCounter(counting.NewBins(r.Champion.Reference))
	from, to := schemas.At(r.counted.From), schemas.At(r.counted.To)
	var (
		p           schemas.Prediction
		first, last schemas.Timestamp
	)
	each := func(record *kgo.Record) error {
		if err := r.Codec.DecodeDecision(ctx, record.Value, &p); err != nil {
			if !wire.IsBroken(err) {
				return fmt.Errorf("reading %s/%d offset %d: %w", record.Topic, record.Partition, record.Offset, err)
			}
			r.counted.LeftOut++
			return nil
		}
		if p.DecidedAt < from || p.DecidedAt >= to {
			return nil
		}
		if first == 0 {
			first = p.DecidedAt
		}
		first, last = min(first, p.DecidedAt), max(last, p.DecidedAt)
		counter.Add(&p)
		return nil
	}
	// The parts of a partition one after another; partitions at once.
	for round := 0; ; round++ {
		at := map[int32]kafka.Span{}
		for partition, parts := range rest {
			if round < len(parts) {
				at[partition] = parts[round]
			}
		}
		if len(at) == 0 {
			break
		}
		if err := r.Kafka.Quiet().ReadCommitted(ctx, kafka.Spans{r.Topics.Predictions: at}, kafka.Sink{Each: each, Unreadable: r.counted.Unreadable.PassOver}); err != nil {
			return r.Kafka.Explain(err)
		}
	}
	r.counted.Predictions = counter.Decisions()
	if r.counted.Predictions == 0 {
		return nil
	}
	pane := &drift.Pane{Topic: r.Topics.Predictions, Bucket: first, Width: int64(last-first)/1e6 + 1}
	counter.Fill(pane)
	r.tally.Add(pane, r.Champion)
	if r.first == 0 || first < r.first {
		r.first = first
	}
	r.last = max(r.last, last)
	return nil
}
