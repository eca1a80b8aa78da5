package judging

import (
	"math"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
)

// scoreParts is how many cells the score's fine bins are put into.
const scoreParts = 20

// decisions are the cells that decisions are compared in.
const (
	approved = iota
	referred
	declined
)

// Cells are what is tested, in order: every feature, the score, the decisions.
func Cells(c *drift.Champion) (names []string, cells []*sequential.Cells) {
	for i := range c.Reference.Features {
		f := &c.Reference.Features[i]
		names, cells = append(names, f.Name), append(cells, featureCells(f))
	}
	names = append(names, drift.ScoreName, drift.DecisionsName)
	return names, append(cells, scoreCells(&c.Reference.Scores), decisionCells(&c.Reference.Scores, c.Policy))
}

// scoreCells are neighbouring bins of the score.
func scoreCells(scores *model.Distribution) *sequential.Cells {
	return sequential.Neighbours(scores.Counts, scoreParts)
}

// featureCells are those of a feature's bins, behind them missing and out of range.
func featureCells(f *model.FeatureReference) *sequential.Cells {
	return sequential.Bins(withOutside(f.Counts, f.Missing, f.OutOfRange))
}

// withOutside are a feature's bins with what lies in none of them behind.
func withOutside(bins []int64, missing, outOfRange int64) []int64 {
	all := make([]int64, 0, len(bins)+2)
	return append(append(all, bins...), missing, outOfRange)
}

// decisionCells are approve, refer and decline as the policy would have decided on
// the reference's scores. A cut-off lies within a bin of scores: on which side its
// counts are is not known, and a difference that they may explain is none.
func decisionCells(scores *model.Distribution, p *policy.Policy) *sequential.Cells {
	approve, decline := scores.Bin(logit(p.ApproveBelow)), scores.Bin(logit(p.DeclineFrom))
	counts := make([]int64, 3)
	for i, n := range scores.Counts {
		switch {
		case i < approve:
			counts[approved] += n
		case i > decline || i == approve && approve == decline:
			counts[declined] += n
		default:
			counts[referred] += n
		}
	}
	atApprove, atDecline := scores.Counts[approve], scores.Counts[decline]
	if approve == decline {
		return sequential.Known(counts, sequential.Uncertain{In: declined, Other: approved, Most: atApprove},
			sequential.Uncertain{In: declined, Other: referred, Most: atApprove})
	}
	return sequential.Known(counts, sequential.Uncertain{In: referred, Other: approved, Most: atApprove},
		sequential.Uncertain{In: referred, Other: declined, Most: atDecline})
}

// logit is the log-odds of a probability; of 0 and 1 far outside of any bins.
func logit(p float64) float64 {
	if z := math.Log(p / (1 - p)); !math.IsInf(z, 0) && !math.IsNaN(z) {
		return z
	}
	return math.Copysign(1000, p-0.5)
}
