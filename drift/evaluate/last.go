package evaluate

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/internal/kafka"
)

// lookBack is how many offsets of the status topic are looked into first: every
// other one is the end of a transaction.
const lookBack = 8

// last is the newest status record that an evaluator can go on from, nil and nil
// where there is none.
func (e *Evaluator) last(ctx context.Context, adm *kadm.Client) (status *drift.Status, state *snapshot, err error) {
	topic := e.config.Topics.DriftStatus
	starts, err := kafka.Listed(adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return nil, nil, err
	}
	ends, err := kafka.Listed(adm.ListCommittedOffsets(ctx, topic))
	if err != nil {
		return nil, nil, err
	}
	start, to := starts[topic][0].Offset, ends[topic][0].Offset
	for back := int64(lookBack); to > start; back *= 2 {
		from := max(start, to-back)
		err := e.config.Kafka.ReadCommitted(ctx, kafka.Spans{topic: {0: {From: from, To: to}}}, kafka.Sink{Each: func(r *kgo.Record) error {
			s, found, err := readStatus(r)
			if err != nil {
				e.config.Log.Error("status record ignored", "topic", r.Topic, "offset", r.Offset, "error", err)
				return nil
			}
			status, state = s, found
			return nil
		}})
		if err != nil || state != nil {
			return status, state, err
		}
		to = from
	}
	return nil, nil, nil
}

// errNoState is for a record that something else has written.
var errNoState = errors.New("it has no header " + headerState)

// readStatus is a status record with the state in its header.
func readStatus(r *kgo.Record) (*drift.Status, *snapshot, error) {
	status := &drift.Status{}
	if err := json.Unmarshal(r.Value, status); err != nil {
		return nil, nil, err
	}
	for _, h := range r.Headers {
		if h.Key == headerState {
			state, err := unpack(h.Value)
			return status, state, err
		}
	}
	return nil, nil, errNoState
}
