package drift

import "math"

// Scores are counted in bins of log-odds that never change, so that every
// version's add up: ScoreWidth wide, bin b from b·ScoreWidth on, the first and
// the last open.
const (
	ScoreWidth = 0.1
	ScoreBins  = 2 * scoreMost
	FirstScore = -scoreMost // the bin of the smallest scores
	scoreMost  = 80         // log-odds ±8
)

// ScoreBin is the bin of a default probability.
func ScoreBin(p float64) int32 {
	z := math.Floor(math.Log(p/(1-p)) / ScoreWidth)
	return int32(max(-scoreMost, min(scoreMost-1, z)))
}

// ScoreFrom is the log-odds that a bin begins at.
func ScoreFrom(bin int32) float64 { return float64(bin) * ScoreWidth }
