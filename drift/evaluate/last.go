package evaluate

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/drift/latest"
)

// last is the newest status record that an evaluator can go on from, nil and nil
// where there is none.
func (e *Evaluator) last(ctx context.Context, adm *kadm.Client) (status *drift.Status, state *judging.State, err error) {
	_, err = latest.Search(ctx, e.config.Kafka, adm, e.config.Topics, func(r *kgo.Record) bool {
		s, found, err := readStatus(r)
		if err != nil {
			e.config.Log.Error("status record ignored", "topic", r.Topic, "offset", r.Offset, "error", err)
			return false
		}
		status, state = s, found
		return true
	})
	if err != nil {
		return nil, nil, err
	}
	return status, state, nil
}

// headerState is the header of a status record that holds the state that goes with it.
const headerState = "evaluator-state"

// errNoState is for a record that something else has written.
var errNoState = errors.New("it has no header " + headerState)

// readStatus is a status record with the state in its header.
func readStatus(r *kgo.Record) (*drift.Status, *judging.State, error) {
	status := &drift.Status{}
	if err := json.Unmarshal(r.Value, status); err != nil {
		return nil, nil, err
	}
	for _, h := range r.Headers {
		if h.Key == headerState {
			state, err := judging.UnpackState(h.Value)
			return status, state, err
		}
	}
	return nil, nil, errNoState
}
