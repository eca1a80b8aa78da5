// Package dataset reads predictions together with what became of the loans: every
// application by its newest decision, and by each earlier one that an outcome is of,
// see package labels. So a row's label was not known when it was decided, and no
// outcome labels two rows.
//
// The log is read in passes. The first remembers the decisions, one behind the stretch
// those that were made later, the next the first outcome of each, and the last hands
// the rows on. What is remembered of a decision takes about 80 bytes. Of more than
// three million decisions as many parts are made of their applications, each with
// passes of its own: no more than 250 MB are ever remembered, but for an application
// that was decided millions of times.
package dataset

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Unknown is the outcome of a loan that nothing has been heard of. Others are 1,
// defaulted, and 0, not.
const Unknown int8 = -1

// decisionsAtOnce bounds how many decisions are remembered at a time: a map made for
// so many has room for a third more, and does not grow.
const decisionsAtOnce = 3 << 20

// Config says what is read.
type Config struct {
	Kafka  kafka.Config
	Topics schemas.Topics
	Codec  *wire.Codec // nil: JSON only
	// Decided at From or later, and before To; zero: no bound.
	From, To time.Time
	Keep     func(p *schemas.Prediction) bool // which predictions count; nil: all
	Progress func(done, of int64)             // told of offsets read, now and then; may be nil

	atOnce int64
}

// Counts are what was found.
type Counts struct {
	Rows      int64             `json:"rows"`
	Labelled  int64             `json:"labelled"`  // rows whose outcome is known
	Defaulted int64             `json:"defaulted"` // of those
	Decisions map[string]*Group `json:"decisions"` // by decision
	Repeated  int64             `json:"repeated"`  // predictions without an outcome that a newer one on the same application stands for
	Left      int64             `json:"left_out"`  // records that are neither predictions nor outcomes
	Unread    kafka.Unread      `json:"unreadable"`
	Parts     int64             `json:"parts"` // in which the applications were read
	// Predictions whose record has another key than their application_id, which is
	// what counts.
	KeyDiffers int64         `json:"prediction_key_differs"`
	Outcomes   labels.Counts `json:"outcomes"`                    // that the log took from the stretch's beginning on
	Open       []kafka.Open  `json:"open_transactions,omitempty"` // what lies behind them, and was not read
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

// Read hands on every application's newest decision, and the earlier ones that an
// outcome is of, each with its outcome. The prediction is good until each returns.
func Read(ctx context.Context, c Config, each func(p *schemas.Prediction, defaulted int8) error) (*Counts, error) {
	r := &run{Config: c, each: each, seed: maphash.MakeSeed(), counts: &Counts{Decisions: map[string]*Group{}}}
	if r.atOnce == 0 {
		r.atOnce = decisionsAtOnce
	}
	if err := r.locate(ctx); err != nil {
		return nil, err
	}
	for r.part = 0; r.part < r.counts.Parts; r.part++ {
		r.known = newDecisions(min(offsets(r.predictions), r.atOnce))
		for _, pass := range []func(context.Context) error{r.findDecisions, r.findLater, r.findOutcomes, r.handOn} {
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
	predictions map[int32]kafka.Span // of the stretch
	later       map[int32]kafka.Span // behind it
	outcomes    map[int32]kafka.Span
	counts      *Counts
	part        int64
	done        int64 // offsets read
	known       *decisions
	p           schemas.Prediction
	o           schemas.Outcome
}
