package model

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/creditstream/creditstream/schemas"
)

// How far an engine may be from what training recorded.
const (
	ProbabilityTolerance  = 1e-6
	ContributionTolerance = 1e-5 // log-odds
)

// goldenRow is a row with what scikit-learn and shap said of it in training.
type goldenRow struct {
	Name          string     `json:"name"`
	Features      []*float32 `json:"features"` // null where missing
	LogOdds       float64    `json:"log_odds"`
	Probability   float64    `json:"probability"`
	Contributions []float64  `json:"contributions"` // per tree input, log-odds
}

// maxGolden bounds the golden rows: opening a bundle walks every tree for each.
const maxGolden = 10_000

func parseGolden(text []byte, treeInputs int) ([]goldenRow, error) {
	var g struct {
		Rows []json.RawMessage `json:"rows"` // counted before they are read
	}
	if err := json.Unmarshal(text, &g); err != nil {
		return nil, fmt.Errorf("golden.json: %w", schemas.Plain(err))
	}
	if len(g.Rows) == 0 || len(g.Rows) > maxGolden {
		return nil, fmt.Errorf("golden.json: %d rows, expected 1 to %d", len(g.Rows), maxGolden)
	}
	missing := false
	rows := make([]goldenRow, len(g.Rows))
	for i := range rows {
		r := &rows[i]
		if err := json.Unmarshal(g.Rows[i], r); err != nil {
			return nil, fmt.Errorf("golden.json: row %d: %w", i, schemas.Plain(err))
		}
		if len(r.Features) != NumInputs || len(r.Contributions) != treeInputs {
			return nil, fmt.Errorf("golden.json: row %q has %d features and %d contributions, expected %d and %d", r.Name, len(r.Features), len(r.Contributions), NumInputs, treeInputs)
		}
		for _, v := range r.Features {
			missing = missing || v == nil
		}
	}
	if !missing {
		return nil, fmt.Errorf("golden.json: no row has a missing value")
	}
	return rows, nil
}

func (r *goldenRow) row() []float32 {
	out := make([]float32, NumInputs)
	for i, v := range r.Features {
		if v == nil {
			out[i] = float32(math.NaN())
		} else {
			out[i] = *v
		}
	}
	return out
}

// Agreement is how far an engine is from what training recorded, over the
// golden rows.
type Agreement struct {
	Rows         int     `json:"rows"`
	Probability  float64 `json:"probability"`  // largest difference
	Contribution float64 `json:"contribution"` // largest difference, log-odds; of single tree inputs and of reason groups
}

// replayRows is how many golden rows are run between two looks at the context.
const replayRows = 64

// replay runs the golden rows; its error names the first that disagrees. A model of
// trees that are walked may take long for each, so that it looks at ctx.
func (m *Model) replay(ctx context.Context) error {
	rows := make([]float32, 0, len(m.golden)*NumInputs)
	for _, g := range m.golden {
		rows = append(rows, g.row()...)
	}
	out := make([]Result, len(m.golden))
	for from := 0; from < len(out); from += replayRows {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := min(from+replayRows, len(out))
		if err := m.Evaluate(rows[from*NumInputs:to*NumInputs], out[from:to]); err != nil {
			return err
		}
	}
	m.Agreement = Agreement{Rows: len(out)}
	far := func(a, b float64, worst *float64) bool {
		d := math.Abs(a - b)
		*worst = max(*worst, d)
		return math.IsNaN(d)
	}
	for i, g := range m.golden {
		if err := ctx.Err(); err != nil {
			return err
		}
		worst := Agreement{}
		bad := far(float64(out[i].Probability), g.Probability, &worst.Probability)
		if m.forest != nil {
			sums := make([]float64, len(m.Groups))
			total := m.Manifest.ExpectedValue
			for k, c := range m.forest.Contributions(rows[i*NumInputs : (i+1)*NumInputs]) {
				bad = far(c, g.Contributions[k], &worst.Contribution) || bad
				sums[m.groupOf[k]] += g.Contributions[k]
				total += g.Contributions[k]
			}
			for k, s := range sums {
				bad = far(float64(out[i].Groups[k]), s, &worst.Contribution) || bad
			}
			bad = far(total, g.LogOdds, &worst.Contribution) || bad
		}
		if bad || worst.Probability > ProbabilityTolerance || worst.Contribution > ContributionTolerance {
			return fmt.Errorf("the bundle disagrees with itself on the %s engine: golden row %q: probability is off by %.3g (at most %g), a contribution by %.3g (at most %g)",
				m.Engine, g.Name, worst.Probability, ProbabilityTolerance, worst.Contribution, ContributionTolerance)
		}
		m.Agreement.Probability = max(m.Agreement.Probability, worst.Probability)
		m.Agreement.Contribution = max(m.Agreement.Contribution, worst.Contribution)
	}
	return nil
}
