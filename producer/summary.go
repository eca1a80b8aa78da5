package producer

import (
	"fmt"
	"math"
	"strings"
)

// Summary is what a run came to, as --json prints it.
type Summary struct {
	Produced       int64            `json:"produced"`       // applications acknowledged
	Unacknowledged int64            `json:"unacknowledged"` // applications made that may or may not be in the topic
	Malformed      map[string]int64 `json:"malformed"`      // acknowledged, by kind
	MalformedTotal int64            `json:"malformed_total"`
	Outcomes       int64            `json:"outcomes"`               // acknowledged
	OutcomesUntold int64            `json:"outcomes_dropped"`       // not due, not decided, or past the bound when the run ended
	KeyDiffers     int64            `json:"prediction_key_differs"` // decisions read for outcomes: the record's key is not the application_id, which is what counts
	Seconds        float64          `json:"seconds"`                // of emitting applications, until the last was acknowledged
	Rate           float64          `json:"rate"`                   // applications per second
	Seed           *uint64          `json:"seed,omitempty"`         // of a population
	Next           uint64           `json:"next_start"`             // --start to go on with
	Interrupted    bool             `json:"interrupted"`
}

// Summary is what the run has come to.
func (p *Producer) Summary() Summary {
	c := p.Counters()
	s := Summary{
		Produced: c.Produced, Unacknowledged: c.Generated - c.Produced - c.Broken, Malformed: map[string]int64{}, MalformedTotal: c.MalformedTotal(),
		Outcomes: c.Outcomes, OutcomesUntold: c.Pending + c.Dropped, KeyDiffers: c.KeyDiffers,
		Seconds: math.Round(c.Elapsed.Seconds()*1e6) / 1e6, Next: c.Next,
	}
	if p.config.File == "" {
		s.Seed = &p.config.Seed
	}
	for k, n := range c.Malformed {
		s.Malformed[Kind(k).String()] = n
	}
	if c.Elapsed > 0 {
		s.Rate = math.Round(float64(c.Produced)/c.Elapsed.Seconds()*10) / 10
	}
	return s
}

// String is the summary for people.
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s applications in %.1f s (%s/s)", grouped(s.Produced), s.Seconds, grouped(int64(math.Round(s.Rate))))
	if s.Unacknowledged > 0 {
		fmt.Fprintf(&b, "\n%s more were not acknowledged: they may or may not be in the topic", grouped(s.Unacknowledged))
	}
	if s.MalformedTotal > 0 {
		fmt.Fprintf(&b, "\n%s malformed records:", grouped(s.MalformedTotal))
		for k := range NumKinds {
			if n := s.Malformed[k.String()]; n > 0 {
				fmt.Fprintf(&b, " %s %s", grouped(n), k)
			}
		}
	}
	if s.Outcomes > 0 || s.OutcomesUntold > 0 {
		fmt.Fprintf(&b, "\n%s outcomes", grouped(s.Outcomes))
		if s.OutcomesUntold > 0 {
			fmt.Fprintf(&b, " (%s more not due or not decided by the end)", grouped(s.OutcomesUntold))
		}
	}
	if s.KeyDiffers > 0 {
		fmt.Fprintf(&b, "\n%s prediction_key_differs: the record's key is not the application_id, which is what counts", grouped(s.KeyDiffers))
	}
	return b.String()
}

// GoOn is how to go on with the run.
func (s Summary) GoOn() string {
	if s.Seed == nil {
		return fmt.Sprintf("--start %d", s.Next)
	}
	return fmt.Sprintf("--seed %d --start %d", *s.Seed, s.Next)
}
