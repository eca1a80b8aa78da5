// Package compare decides the same applications with two models under one policy:
// who would be decided otherwise and why, how far the scores are apart, and which of
// the two is right where the outcome is known.
package compare

import (
	"fmt"

	"github.com/creditstream/creditstream/drift/statistic"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// Unknown is the outcome of a loan that nothing has been heard of. Others are 1,
// defaulted, and 0, not.
const Unknown int8 = -1

// Row is one application.
type Row struct {
	ID        string
	Features  schemas.Features
	Defaulted int8
}

// batchRows is how many rows are decided at once.
const batchRows = 1024

// Comparer takes rows in. It remembers counts, and of every row whose outcome is
// known its two scores: 9 bytes, and 20 more while areas are computed.
type Comparer struct {
	a, b     *model.Model
	policy   *policy.Policy
	examples int

	batch   []Row
	rows    []float32
	results [2][]model.Result

	n, labelled, defaulted int64
	matrix                 map[turn]int64
	scores                 [2]statistic.Scores
	means                  [2]statistic.Mean
	difference             statistic.Mean // of the probabilities, b's less a's
	labels                 []bool
	labelScores            [2][]float32
	why                    *why // nil where a model gives no reasons
	segments               *segments
	shown                  []Example
}

// turn is a pair of decisions.
type turn struct{ a, b string }

// New compares b with a. examples is how many flips are named.
func New(a, b *model.Model, policy *policy.Policy, examples int) *Comparer {
	c := &Comparer{
		a: a, b: b, policy: policy, examples: examples,
		rows: make([]float32, batchRows*model.NumInputs), matrix: map[turn]int64{}, segments: newSegments(a.Reference),
	}
	for k := range c.results {
		c.results[k] = make([]model.Result, batchRows)
	}
	if a.Explains() == nil && b.Explains() == nil {
		c.why = newWhy(a, b)
	}
	return c
}

// Add takes a row in.
func (c *Comparer) Add(row *Row) error {
	if c.batch = append(c.batch, *row); len(c.batch) < batchRows {
		return nil
	}
	return c.flush()
}

// flush decides the rows held.
func (c *Comparer) flush() error {
	n := len(c.batch)
	for i := range c.batch {
		c.batch[i].Features.Row(c.rows[i*model.NumInputs:])
	}
	for k, m := range [2]*model.Model{c.a, c.b} {
		if err := m.Evaluate(c.rows[:n*model.NumInputs], c.results[k][:n]); err != nil {
			return fmt.Errorf("scoring with model %s: %w", m.Version, err)
		}
	}
	for i := range c.batch {
		c.take(&c.batch[i], &c.results[0][i], &c.results[1][i])
	}
	c.batch = c.batch[:0]
	return nil
}

// take counts one row.
func (c *Comparer) take(row *Row, a, b *model.Result) {
	c.n++
	decisionA, _ := c.policy.Decide(a.Probability, c.a.Missing(&row.Features))
	decisionB, _ := c.policy.Decide(b.Probability, c.b.Missing(&row.Features))
	t := turn{decisionA, decisionB}
	c.matrix[t]++
	for k, r := range [2]*model.Result{a, b} {
		c.scores[k].Add(r.Probability)
		c.means[k].Add(float64(r.Probability))
	}
	c.difference.Add(float64(b.Probability) - float64(a.Probability))
	if row.Defaulted != Unknown {
		c.labelled++
		c.defaulted += int64(row.Defaulted)
		c.labels = append(c.labels, row.Defaulted == 1)
		c.labelScores[0] = append(c.labelScores[0], a.LogOdds)
		c.labelScores[1] = append(c.labelScores[1], b.LogOdds)
	}
	flipped := decisionA != decisionB
	if c.why != nil {
		c.why.add(t, a, b)
	}
	c.segments.add(&row.Features, flipped)
	if flipped && len(c.shown) < c.examples {
		c.shown = append(c.shown, Example{row.ID, decisionA, decisionB, a.Probability, b.Probability})
	}
}

// Comparison is what came of it. Differences are b's less a's.
type Comparison struct {
	A             Version            `json:"a"`
	B             Version            `json:"b"`
	PolicyVersion string             `json:"policy_version"`
	N             int64              `json:"n"`
	Labelled      int64              `json:"labelled"` // rows whose outcome is known
	Defaulted     int64              `json:"defaulted"`
	Flips         int64              `json:"flips"` // decided otherwise
	FlipShare     statistic.Interval `json:"flip_share"`
	Matrix        []Cell             `json:"matrix"`
	MeanGain      statistic.Interval `json:"mean_difference"` // of the probabilities
	Score         statistic.Shift    `json:"score_shift"`
	ScoreKS       float64            `json:"score_ks"`
	AUC           *AUC               `json:"auc"`      // null without outcomes of both kinds
	Why           []Turn             `json:"why"`      // by what flipped, most first
	Segments      []Segment          `json:"segments"` // where flips concentrate, most first
	Examples      []Example          `json:"examples"`
}

// Version is one of the two models.
type Version struct {
	Version string             `json:"version"`
	Digest  string             `json:"digest"`
	Engine  string             `json:"engine"`
	Mean    float64            `json:"mean_probability"`
	Approve statistic.Interval `json:"approve"` // share
}

// Cell is a pair of decisions and how often it came.
type Cell struct {
	A string `json:"a"`
	B string `json:"b"`
	N int64  `json:"n"`
}

// AUC are the areas under the ROC curves where the outcome is known.
type AUC struct {
	A          statistic.Interval `json:"a"`
	B          statistic.Interval `json:"b"`
	Difference statistic.Interval `json:"difference"` // paired (DeLong)
}

// Example is one application that was decided otherwise.
type Example struct {
	ApplicationID string  `json:"application_id"`
	A             string  `json:"a"`
	B             string  `json:"b"`
	ProbabilityA  float32 `json:"probability_a"`
	ProbabilityB  float32 `json:"probability_b"`
}

// decisions in the order they are shown.
func decisions() []string { return []string{schemas.Approve, schemas.Refer, schemas.Decline} }

// Result is the comparison of the rows taken in.
func (c *Comparer) Result() (*Comparison, error) {
	if err := c.flush(); err != nil {
		return nil, err
	}
	out := &Comparison{
		PolicyVersion: c.policy.Version, N: c.n, Labelled: c.labelled, Defaulted: c.defaulted, Matrix: []Cell{},
		MeanGain: c.difference.Interval(), Score: c.scores[0].Shift(&c.scores[1]), ScoreKS: c.scores[0].KS(&c.scores[1]),
		Why: []Turn{}, Examples: append([]Example{}, c.shown...),
	}
	var approved [2]int64
	for _, a := range decisions() {
		for _, b := range decisions() {
			n := c.matrix[turn{a, b}]
			out.Matrix = append(out.Matrix, Cell{a, b, n})
			if a != b {
				out.Flips += n
			}
			if a == schemas.Approve {
				approved[0] += n
			}
			if b == schemas.Approve {
				approved[1] += n
			}
		}
	}
	out.FlipShare = statistic.Wilson(out.Flips, c.n)
	for k, v := range [2]*Version{&out.A, &out.B} {
		m := [2]*model.Model{c.a, c.b}[k]
		*v = Version{m.Version, m.Digest, m.Engine, c.means[k].Interval().Value, statistic.Wilson(approved[k], c.n)}
	}
	if areas, ok := statistic.DeLong(c.labels, c.labelScores[0], c.labelScores[1]); ok {
		out.AUC = &AUC{areas.Area(0), areas.Area(1), areas.Gain(0, 1)}
	}
	if c.why != nil {
		out.Why = c.why.result(c.matrix)
	}
	out.Segments = c.segments.result(c.n, out.Flips)
	return out, nil
}
