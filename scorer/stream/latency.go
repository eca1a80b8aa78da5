package stream

import "time"

// What an applied_at may be apart from the commit of its decision: a sender writes it,
// by whatever clock.
const (
	// maxEndToEnd is how long applications are kept: what says that it is older was
	// applied for by a clock that is wrong.
	maxEndToEnd = 30 * 24 * time.Hour
	// maxAhead is how far a clock that is right may be ahead of another.
	maxAhead = time.Minute
)

// Why an applied_at is implausible, as the metric's label says it.
const (
	appliedInFuture = "future"
	appliedInPast   = "past"
)

// endToEnd is how long a decision took from applied_at to its commit, between nothing
// and maxEndToEnd; why says what is implausible about it, "" where nothing is.
func endToEnd(applied, committed time.Time) (took time.Duration, why string) {
	took = committed.Sub(applied) // as far as a Duration reaches
	switch {
	case took < -maxAhead:
		return 0, appliedInFuture
	case took < 0:
		return 0, ""
	case took > maxEndToEnd:
		return maxEndToEnd, appliedInPast
	}
	return took, ""
}
