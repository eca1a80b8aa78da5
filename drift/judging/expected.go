package judging

import (
	"maps"
	"math"
	"slices"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/statistic"
)

// scoreCounts are decisions by drift.ScoreBin.
type scoreCounts [drift.ScoreBins]int64

func (c *scoreCounts) add(scores map[int32]int64) {
	for bin, n := range scores {
		if i := bin - drift.FirstScore; i >= 0 && i < drift.ScoreBins {
			c[i] += n
		}
	}
}

func (c *scoreCounts) merge(o *scoreCounts) {
	for i, n := range o {
		c[i] += n
	}
}

// expected is how well the versions' scores will do if each of those scored
// defaults with the probability that its score says; all of a bin have that of its
// middle.
func expected(t *Tally) []drift.ExpectedStatus {
	all := []drift.ExpectedStatus{}
	for _, version := range slices.Sorted(maps.Keys(t.scores)) {
		s := drift.ExpectedStatus{ModelVersion: version}
		goods, bads := make([]float64, drift.ScoreBins), make([]float64, drift.ScoreBins)
		for i, n := range t.scores[version] {
			if n == 0 {
				continue
			}
			p := 1 / (1 + math.Exp(-drift.ScoreFrom(int32(i)+drift.FirstScore)-drift.ScoreWidth/2))
			goods[i], bads[i] = float64(n)*(1-p), float64(n)*p
			s.Decisions += n
			s.Brier += float64(n) * p * (1 - p)
			s.LogLoss -= goods[i]*math.Log(1-p) + bads[i]*math.Log(p)
		}
		if s.Decisions == 0 {
			continue
		}
		n := float64(s.Decisions)
		s.DefaultRate, s.Brier, s.LogLoss = statistic.Sum(bads)/n, s.Brier/n, s.LogLoss/n
		s.AUC, _ = statistic.AUC(goods, bads)
		s.Gini = statistic.Gini(s.AUC)
		all = append(all, s)
	}
	return all
}
