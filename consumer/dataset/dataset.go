// Package dataset reads predictions together with what became of the loans: every
// application once, by its newest decision, with the first outcome told of it.
//
// The log is read in passes. The first looks which decision on each application is
// the newest, the second which outcome is the first, the third hands the rows on.
// What is remembered of an application takes about 75 bytes. Of more than three
// million applications as many parts are made, each with passes of its own: no more
// than 240 MB are ever remembered.
package dataset

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Unknown is the outcome of a loan that nothing has been heard of. Others are 1,
// defaulted, and 0, not.
const Unknown int8 = -1

// idsAtOnce bounds how many applications are remembered at a time: a map made for
// so many has room for a third more, and does not grow.
const idsAtOnce = 3 << 20

// Config says what is read.
type Config struct {
	Kafka  kafka.Config
	Topics schemas.Topics
	Codec  *wire.Codec // nil: JSON only
	// Decided at From or later, and before To; zero: no bound.
	From, To time.Time
	Keep     func(p *schemas.Prediction) bool // which predictions count; nil: all
	Progress func(done, of int64)             // told of offsets read, now and then; may be nil

	idsAtOnce int64
}

// Counts are what was found.
type Counts struct {
	Rows      int64             `json:"rows"`
	Labelled  int64             `json:"labelled"`                    // rows whose outcome is known
	Defaulted int64             `json:"defaulted"`                   // of those
	Decisions map[string]*Group `json:"decisions"`                   // by decision
	Repeated  int64             `json:"repeated"`                    // predictions that a newer one on the same application stands for
	Left      int64             `json:"left_out"`                    // records that are no predictions
	Parts     int64             `json:"parts"`                       // in which the applications were read
	Open      []kafka.Open      `json:"open_transactions,omitempty"` // what lies behind them, and was not read
}

// Group are the rows of one decision.
type Group struct {
	Rows      int64 `json:"rows"`
	Labelled  int64 `json:"labelled"`
	Defaulted int64 `json:"defaulted"`
}

func (c *Counts) add(decision string, defaulted int8) {
	g := c.Decisions[decision]
	if g == nil {
		g = &Group{}
		c.Decisions[decision] = g
	}
	c.Rows++
	g.Rows++
	if defaulted == Unknown {
		return
	}
	c.Labelled++
	g.Labelled++
	c.Defaulted += int64(defaulted)
	g.Defaulted += int64(defaulted)
}

// Read hands every application's newest decision and its outcome to each. The
// prediction is good until each returns.
func Read(ctx context.Context, c Config, each func(p *schemas.Prediction, defaulted int8) error) (*Counts, error) {
	r := &run{Config: c, each: each, seed: maphash.MakeSeed(), unreadable: map[schemas.Source]bool{}, counts: &Counts{Decisions: map[string]*Group{}}}
	if r.idsAtOnce == 0 {
		r.idsAtOnce = idsAtOnce
	}
	if err := r.locate(ctx); err != nil {
		return nil, err
	}
	for r.part = 0; r.part < r.counts.Parts; r.part++ {
		r.known = make(map[key]newest, min(offsets(r.predictions), r.idsAtOnce))
		for _, pass := range []func(context.Context) error{r.findNewest, r.findOutcomes, r.handOn} {
			if err := pass(ctx); err != nil {
				return nil, err
			}
		}
	}
	return r.counts, nil
}

// run is one reading.
type run struct {
	Config
	each        func(p *schemas.Prediction, defaulted int8) error
	seed        maphash.Seed
	predictions map[int32]kafka.Span
	outcomes    map[int32]kafka.Span
	counts      *Counts
	part        int64
	done        int64 // offsets read
	known       map[key]newest
	unreadable  map[schemas.Source]bool // batches, by where they begin
	p           schemas.Prediction
	o           schemas.Outcome
}
