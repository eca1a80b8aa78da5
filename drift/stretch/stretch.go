// Package stretch evaluates any stretch of time that the log still holds: from the
// panes that were counted of it, and from the predictions themselves where there
// are none.
package stretch

import (
	"context"
	"slices"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Where counts are taken from.
const (
	Auto        = "auto"        // panes where they serve, predictions for the rest
	Predictions = "predictions" // predictions alone
)

// Config says what is evaluated.
type Config struct {
	Kafka    kafka.Config
	Topics   schemas.Topics
	Codec    *wire.Codec // nil: JSON only
	From, To time.Time   // decided at From or later, and before To; From zero: from the first decision on
	Champion *drift.Champion
	Source   string
	Fairness float64 // ratio of approval rates that groups are held against
	Now      time.Time
}

// Counted says where the figures come from.
type Counted struct {
	From, To    time.Time `json:"-"`           // the stretch; whole buckets where panes were counted. From is zero where it was asked for and nothing was decided
	Panes       int64     `json:"panes"`       // that were added up
	FromPanes   int64     `json:"from_panes"`  // decisions in them
	Predictions int64     `json:"predictions"` // decisions counted from predictions
	LeftOut     int64     `json:"left_out"`    // records that are no predictions
	NoPanes     int64     `json:"no_panes"`    // records among the panes that are none
	Why         string    `json:"why"`         // panes did not serve; empty: they did, or were not asked for

	Unreadable      kafka.Unread `json:"unreadable"`       // predictions
	UnreadablePanes kafka.Unread `json:"unreadable_panes"` // what they may have counted is missing

	Open []kafka.Open `json:"open_transactions,omitempty"` // on predictions and panes: what lies behind them was not read
}

// Evaluate compares a stretch with the champion's reference. Its status has one
// window, drift.WindowStretch, and the alerts that fired at some time of it, as far as the
// alerts topic tells.
func Evaluate(ctx context.Context, c Config) (*drift.Status, *Counted, error) {
	r := &reading{Config: c, counted: &Counted{From: c.From, To: c.To}, panes: newPaneSum(&c), tally: judging.NewTally(c.Champion.Reference)}
	if err := r.locate(ctx); err != nil {
		return nil, nil, err
	}
	covered := map[int32]kafka.Span{}
	if c.Source != Predictions {
		if err := r.readPanes(ctx); err != nil {
			return nil, nil, err
		}
		covered = r.takePanes()
	}
	if err := r.count(ctx, uncovered(r.predictions, covered)); err != nil {
		return nil, nil, err
	}
	if r.From.IsZero() && r.tally.Decisions > 0 {
		r.counted.From = r.first.Time()
	}
	s := r.status()
	var told []drift.AlertStatus
	if told, s.AlertsUnknown = r.readAlerts(ctx); len(told) > 0 {
		s.Alerts = told
		if told[0].State == schemas.AlertFiring { // those that fire come first
			s.State = drift.Act
		}
	}
	return s, r.counted, nil
}

// reading is one evaluation under way.
type reading struct {
	Config
	counted     *Counted
	predictions map[int32]kafka.Span // that may hold decisions of the stretch
	paneSpan    kafka.Span
	panes       *paneSum
	tally       *judging.Tally
	first, last schemas.Timestamp // decisions seen; of panes, the bucket's start
}

// takePanes takes over what the panes hold, unless they do not serve, and returns
// which offsets that covers.
func (r *reading) takePanes() (covered map[int32]kafka.Span) {
	if r.counted.Why = r.panes.unfit(); r.counted.Why != "" {
		return nil
	}
	r.tally, r.first, r.last = r.panes.tally, r.panes.tally.From, r.panes.last
	r.counted.Panes, r.counted.FromPanes = r.panes.added, r.panes.tally.Decisions
	// A pane is in the stretch as a whole: so are decisions that are counted beside.
	bucket := time.Duration(r.panes.width) * time.Second
	r.counted.From = r.From.Truncate(bucket)
	if to := r.To.Truncate(bucket); to.Before(r.To) {
		r.counted.To = to.Add(bucket)
	}
	return r.panes.covered
}

// status is what was counted, as an evaluation shows it.
func (r *reading) status() *drift.Status {
	w := judging.Compare(drift.WindowStretch, r.tally, r.Champion, r.Fairness)
	w.From, w.To = schemas.At(r.counted.From), schemas.At(r.counted.To)
	s := &drift.Status{
		EvaluatedAt: schemas.At(r.Now), State: w.State, LastDecision: r.last, Decisions: r.tally.Decisions,
		Reference:     r.Champion.Info(),
		ModelVersions: []string{}, Windows: []drift.WindowStatus{w}, Alerts: []drift.AlertStatus{},
		Outcomes: drift.OutcomeStatus{Versions: []drift.PerformanceStatus{}},
	}
	for version := range r.tally.Versions {
		s.ModelVersions = append(s.ModelVersions, version)
	}
	slices.Sort(s.ModelVersions)
	if r.counted.Panes > 0 {
		s.Outcomes = r.panes.outcomes.Status()
	}
	return s
}
