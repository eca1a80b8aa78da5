package view

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
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
	codec      *wire.Codec
	unread     wire.Unread
	strict     bool // ends where a value in Avro would be left out for want of its schema

	prediction schemas.Prediction
	json       []byte // of a prediction that came in Avro
	values     []byte
	entries    []Entry
}

// reset forgets the last batch's entries; Redis has them.
func (b *batch) reset() { b.entries, b.values = b.entries[:0], b.values[:0] }

// learn asks for the schemas of records, all at once: reading them would ask for one
// after the other.
func (b *batch) learn(ctx context.Context, records []*kgo.Record) error {
	return b.codec.Learn(ctx, schemas.EventPrediction, func(yield func(schemas.Source, []byte) bool) {
		for _, r := range records {
			if !r.Attrs.IsControl() && !yield(schemas.Source{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, r.Value) {
				return
			}
		}
	})
}

// add takes one record in. One that is no prediction is counted and left out. It
// waits while a record's schema cannot be had; the error is then ctx's.
func (b *batch) add(ctx context.Context, r *kgo.Record, now time.Time) error {
	if r.Attrs.IsControl() {
		return nil
	}
	p := &b.prediction
	if err := b.codec.DecodePrediction(ctx, r.Value, p); err != nil {
		if !wire.IsBroken(err) || b.strict && wire.IsUnread(err) {
			return fmt.Errorf("reading %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		b.metrics.undecodable.Inc()
		if b.unread.Note(b.logger, now, r.Topic, "view --rebuild fills in what was left out", err) {
			return nil
		}
		b.logger.Error("left out: not a prediction", "partition", r.Partition, "offset", r.Offset, "error", schemas.WithoutValues(err))
		return nil
	}
	value := wire.PredictionJSON(b.json[:0], r.Value, p)
	if schemas.IsAvro(r.Value) {
		b.json = value
	}
	stamp := Stamp{r.Partition, r.Offset, b.log, int64(p.DecidedAt), b.generation}
	from := len(b.values)
	b.values = appendStamped(b.values, value, stamp)
	e := Entry{ID: p.ApplicationID, Value: b.values[from:len(b.values):len(b.values)], Decided: decidedOf(p, r.Timestamp, stamp)}
	if t := r.Timestamp.Add(b.lifetimes.Prediction); t.After(now) {
		e.PredictionExpires = t
	} else {
		b.metrics.expired.Inc()
	}
	if t := r.Timestamp.Add(b.lifetimes.Decided); t.After(now) {
		e.DecidedExpires, e.DecidedSince = t, now.Add(-b.lifetimes.Decided)
	}
	b.entries = append(b.entries, e)
	return nil
}
