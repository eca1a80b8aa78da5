package drift

import (
	"bytes"
	"strconv"
	"time"
)

// StaleAfter is how old a status may be while evaluators work: one writes every ten
// seconds at least, and another takes over within as many.
const StaleAfter = 30 * time.Second

// Age is how long ago the evaluation was, by the clock of who asks.
func (s *Status) Age(now time.Time) time.Duration { return max(0, now.Sub(s.EvaluatedAt.Time())) }

// Stale says whether the status is so old that no evaluator works: what it says may
// not hold any more, and no alert can come.
func (s *Status) Stale(now time.Time) bool { return s.Age(now) > StaleAfter }

// WithStale is a status' JSON with the member "stale" in front.
func WithStale(document []byte, stale bool) []byte {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(document), []byte("{"))
	if !ok {
		return document
	}
	out := strconv.AppendBool([]byte(`{"stale":`), stale)
	if rest = bytes.TrimSpace(rest); len(rest) > 1 {
		out = append(out, ',')
	}
	return append(out, rest...)
}
