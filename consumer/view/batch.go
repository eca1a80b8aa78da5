package view

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
)

// Lifetimes say how long the view keeps what it holds, counted from when the
// log took the prediction: written again later, it expires at the same moment.
type Lifetimes struct {
	Prediction time.Duration
	Decided    time.Duration
}

// DefaultLifetimes keep a prediction for a month and what outcomes need as long
// as the log does.
func DefaultLifetimes() Lifetimes {
	const day = 24 * time.Hour
	return Lifetimes{Prediction: 30 * day, Decided: 800 * day}
}

// batch turns records into entries.
type batch struct {
	log        uint32
	generation int64
	lifetimes  Lifetimes
	logger     *slog.Logger
	metrics    *metrics

	prediction schemas.Prediction
	values     []byte
	entries    []Entry
}

// reset forgets the last batch's entries; Redis has them.
func (b *batch) reset() { b.entries, b.values = b.entries[:0], b.values[:0] }

// add takes one record in. One that is no prediction is counted and left out.
func (b *batch) add(r *kgo.Record, now time.Time) {
	if r.Attrs.IsControl() {
		return
	}
	p := &b.prediction
	if err := schemas.DecodePrediction(r.Value, p); err != nil {
		b.metrics.undecodable.Inc()
		b.logger.Error("left out: not a prediction", "partition", r.Partition, "offset", r.Offset, "error", rules(err))
		return
	}
	stamp := Stamp{r.Partition, r.Offset, b.log, int64(p.DecidedAt), b.generation}
	from := len(b.values)
	b.values = appendStamped(b.values, r.Value, stamp)
	e := Entry{ID: p.ApplicationID, Value: b.values[from:len(b.values):len(b.values)], Decided: decidedOf(p, stamp)}
	if t := r.Timestamp.Add(b.lifetimes.Prediction); t.After(now) {
		e.PredictionExpires = t
	} else {
		b.metrics.expired.Inc()
	}
	if t := r.Timestamp.Add(b.lifetimes.Decided); t.After(now) {
		e.DecidedExpires = t
	}
	b.entries = append(b.entries, e)
}

// rules is a decoding error without values: logs never carry features.
func rules(err error) string {
	contract, ok := errors.AsType[*schemas.ContractError](err)
	if !ok {
		return err.Error()
	}
	var broken []string
	for _, v := range contract.Violations {
		broken = append(broken, v.Field+" "+v.Rule)
	}
	return strings.Join(broken, "; ")
}
