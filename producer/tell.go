package producer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// startOutcomes starts telling outcomes, and following decisions where only
// those of approved applications are told.
func (e *emission) startOutcomes(ctx context.Context, wg *sync.WaitGroup) error {
	c := &e.config
	if c.OutcomesAfter == 0 {
		return nil
	}
	o := newOutcomes(c.OutcomesAfter, c.OutcomesFor == OutcomesForApproved, c.MaxPending)
	o.within, o.rate = c.OutcomesWithin, c.OutcomesRate
	e.mu.Lock()
	e.outcomes = o
	e.mu.Unlock()
	follow, stopFollowing := context.WithCancel(ctx)
	if o.approvedOnly {
		cl, err := e.openDecisions(ctx)
		if err != nil {
			stopFollowing()
			return err
		}
		wg.Go(func() {
			defer cl.Close()
			e.followDecisions(follow, cl)
		})
	}
	wg.Go(func() {
		defer stopFollowing()
		e.reportUndecided(o.run(ctx, decisionPatience, e.publish))
	})
	return nil
}

// reportUndecided says that outcomes were given up for want of decisions: most
// likely no scorer runs.
func (e *emission) reportUndecided(n int) {
	if n > 0 {
		e.config.Log.Warn("outcomes given up: no decision came", "outcomes", n, "waited", decisionPatience, "topic", e.config.Topics.Predictions)
	}
}

// openDecisions makes a reader of the predictions committed from now on.
func (e *emission) openDecisions(ctx context.Context) (*kgo.Client, error) {
	topic := e.config.Topics.Predictions
	ends, err := kadm.NewClient(e.client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the end of %s: %w", topic, err)
	}
	return kgo.NewClient(append(e.config.Kafka.Options(),
		kgo.ConsumePartitions(ends.KOffsets()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)...)
}

// followDecisions passes decisions on until the context ends.
func (e *emission) followDecisions(ctx context.Context, cl *kgo.Client) {
	topic := e.config.Topics.Predictions
	var p schemas.Prediction
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		fetches.EachError(func(_ string, partition int32, err error) {
			if ctx.Err() == nil {
				e.config.Log.Warn("reading decisions", "topic", topic, "partition", partition, "error", kafka.Reason(err))
			}
		})
		kafka.PassOversized(cl, fetches, nil)
		fetches.EachRecord(func(r *kgo.Record) {
			// What is no prediction decides nothing.
			if e.config.Codec.DecodePrediction(ctx, r.Value, &p) == nil && p.Channel == schemas.ChannelStream {
				if string(r.Key) != p.ApplicationID {
					e.keyDiffers.Add(1)
				}
				e.outcomes.decided(p.ApplicationID, p.Decision == schemas.Approve)
			}
		})
	}
}

// publish writes outcomes that are due.
func (e *emission) publish(due []outcome) {
	topic := e.config.Topics.Outcomes
	for i := range due {
		o := &due[i]
		value := e.config.Codec.AppendOutcome(nil, &schemas.Outcome{ApplicationID: o.id, Defaulted: o.defaulted, ObservedAt: schemas.At(time.Now())})
		e.client.Produce(e.produce, &kgo.Record{Topic: topic, Key: []byte(o.id), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				e.fail(fmt.Errorf("writing to %s: %w", topic, err))
				return
			}
			e.told.Add(1)
		})
	}
}
