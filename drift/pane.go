// Package drift is what the stream of decisions says of itself: counts of what
// was decided and of what became of it (panes), and figures computed from them
// (status).
package drift

import (
	"encoding/json"
	"fmt"

	"github.com/creditstream/creditstream/schemas"
)

// Pane is what one worker read from one partition between two commits, within one
// bucket of decided_at, as counts. Panes of the same reference add up: nothing is
// lost by folding any number of them into one.
type Pane struct {
	Topic     string            `json:"topic"` // predictions or outcomes
	Partition int32             `json:"partition"`
	From      int64             `json:"from"`                // first offset that was read
	To        int64             `json:"to"`                  // offset behind the last
	Bucket    schemas.Timestamp `json:"bucket"`              // start of the stretch of decided_at; of outcomes, of when the log took them
	Width     int64             `json:"width"`               // of the bucket, seconds
	Malformed int64             `json:"malformed,omitempty"` // records that are no prediction or outcome, counted nowhere else

	// Of predictions.
	Reference string          `json:"reference,omitempty"` // digest of the reference whose bins count
	Decisions int64           `json:"decisions,omitempty"` // rows in every Features entry
	Features  []FeatureCounts `json:"features,omitempty"`  // in the reference's order
	Groups    []GroupCounts   `json:"groups,omitempty"`    // by protected group; decisions of any version
	Versions  []VersionCounts `json:"versions,omitempty"`

	// Of outcomes.
	Outcomes []OutcomeCounts `json:"outcomes,omitempty"`
	Read     int64           `json:"read,omitempty"`      // outcomes read; matched + unmatched + duplicate
	Matched  int64           `json:"matched,omitempty"`   // joined to a decision
	NoMatch  int64           `json:"unmatched,omitempty"` // of no decision that is known
	Repeated int64           `json:"duplicate,omitempty"` // a decision whose outcome was already counted
	Late     int64           `json:"late,omitempty"`      // of those matched: told long after they were observed
	Declined int64           `json:"declined,omitempty"`  // of those matched: told of an application that was declined, and not among Outcomes
	OutcomesApart
}

// OutcomesApart are outcomes that are counted by name, too, besides what became of
// joining them.
type OutcomesApart struct {
	TooOld     int64 `json:"outcome_too_old,omitempty"`         // of those unmatched: of a decision before the last 8 on its application
	Before     int64 `json:"outcome_before_decision,omitempty"` // of those unmatched: observed before every decision on its application
	KeyDiffers int64 `json:"outcome_key_differs,omitempty"`     // of those read: the record's key is not the application_id, which is what joins
}

// Add adds counts.
func (a *OutcomesApart) Add(b OutcomesApart) {
	a.TooOld += b.TooOld
	a.Before += b.Before
	a.KeyDiffers += b.KeyDiffers
}

// End is where the pane's bucket ends.
func (p *Pane) End() schemas.Timestamp { return p.Bucket + schemas.Timestamp(p.Width*1e6) }

// GroupOutOfRange is the group of those whose protected feature breaks the
// contract's rule.
const GroupOutOfRange = "out_of_range"

// FeatureCounts are one feature's values over the reference's bins.
type FeatureCounts struct {
	Bins       []int64 `json:"bins"`
	Missing    int64   `json:"missing,omitempty"`
	OutOfRange int64   `json:"out_of_range,omitempty"`
}

// GroupCounts are the decisions on one protected group.
type GroupCounts struct {
	Attribute string `json:"attribute"` // sex, education, marriage or age
	Group     string `json:"group"`     // code, or age band as "25-34"; schemas.GroupMissing, GroupOutOfRange
	Decided
}

// Decided counts decisions.
type Decided struct {
	Approve int64 `json:"approve,omitempty"`
	Refer   int64 `json:"refer,omitempty"`
	Decline int64 `json:"decline,omitempty"`
}

// Total is how many there are.
func (d Decided) Total() int64 { return d.Approve + d.Refer + d.Decline }

// Plus adds counts up.
func (d Decided) Plus(o Decided) Decided {
	return Decided{Approve: d.Approve + o.Approve, Refer: d.Refer + o.Refer, Decline: d.Decline + o.Decline}
}

// VersionCounts are the decisions of one model version on one route and channel.
type VersionCounts struct {
	ModelVersion string `json:"model_version"`
	Route        string `json:"route"`   // champion or canary
	Channel      string `json:"channel"` // stream or api
	Decided
	Defaults      int64           `json:"defaults,omitempty"`       // default_prediction 1
	Probabilities float64         `json:"probabilities,omitempty"`  // sum of default_probability: the defaults expected
	Scores        map[int32]int64 `json:"scores,omitempty"`         // ScoreBin → decisions
	ShadowVersion string          `json:"shadow_version,omitempty"` // that ran beside it; empty: none
	ShadowFlips   int64           `json:"shadow_flips,omitempty"`   // the shadow would have decided otherwise
	ShadowScores  map[int32]int64 `json:"shadow_scores,omitempty"`
}

// OutcomeCounts are loans of one model version in one bin of their score.
type OutcomeCounts struct {
	ModelVersion  string  `json:"model_version"`
	Score         int32   `json:"score"` // ScoreBin
	Loans         int64   `json:"loans"`
	Defaulted     int64   `json:"defaulted"`
	Probabilities float64 `json:"probabilities"` // sum of default_probability of these loans
	Squares       float64 `json:"squares"`       // sum of (probability - outcome)²: Brier
	LogLoss       float64 `json:"log_loss"`      // sum of -log of the probability of what happened
}

// AppendPane appends the pane as JSON.
func AppendPane(dst []byte, p *Pane) ([]byte, error) {
	b, err := json.Marshal(p)
	return append(dst, b...), err
}

// DecodePane reads a pane and checks that its counts agree with each other.
func DecodePane(value []byte) (*Pane, error) {
	p := &Pane{}
	if err := json.Unmarshal(value, p); err != nil {
		return nil, fmt.Errorf("pane: %w", schemas.Plain(err))
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("pane of %s/%d at %d: %w", p.Topic, p.Partition, p.From, err)
	}
	return p, nil
}
