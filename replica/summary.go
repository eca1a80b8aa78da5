package replica

import (
	"math"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// Summary is a replica as people and pages look at it.
type Summary struct {
	Component   string                 `json:"component"`
	Instance    string                 `json:"instance"`
	Host        string                 `json:"host"`
	Version     string                 `json:"version"`
	Started     schemas.Timestamp      `json:"started"`
	Seen        schemas.Timestamp      `json:"seen"`        // when its last report was appended
	AgeSeconds  float64                `json:"age_seconds"` // of that report
	Live        bool                   `json:"live"`        // heard of within the last 10 s
	Ready       bool                   `json:"ready"`
	Reason      string                 `json:"reason"`  // why it is not ready, or how it ended
	Pending     string                 `json:"pending"` // what it waits for though it is ready
	Models      *schemas.ReplicaModels `json:"models"`  // null where it serves none
	Records     int64                  `json:"records"` // since it was started
	PerSecond   float64                `json:"per_second"`
	Decisions   schemas.DecisionCounts `json:"decisions"`
	DeadLetters int64                  `json:"dead_letters"`
	Errors      int64                  `json:"errors"`
	P50         *float64               `json:"p50_ms"` // of the last seconds; null where nothing was timed in them
	P99         *float64               `json:"p99_ms"`
	Lag         *int64                 `json:"lag"` // of all its partitions; null where it has none
}

// Summarise is the board at a moment. Of one that is gone the last rates are not
// shown: it does nothing any more.
func (b *Board) Summarise(now time.Time) []Summary {
	all := []Summary{}
	for _, s := range b.States(now) {
		one := Summary{
			Component: s.Component, Instance: s.Instance, Host: s.Host, Version: s.Version, Started: s.Started,
			Seen: schemas.At(s.Seen), AgeSeconds: rounded(max(0, now.Sub(s.Seen).Seconds())), Live: s.Live(now),
			Ready: s.Ready, Reason: s.Reason, Pending: s.Pending, Models: s.Models,
			Records: s.Total.Records, Decisions: s.Decisions, DeadLetters: s.DeadLetters, Errors: s.Errors,
		}
		if one.Live {
			one.perform(&s)
		} else {
			one.Ready = false
		}
		all = append(all, one)
	}
	return all
}

// perform sets how fast it is.
func (one *Summary) perform(s *State) {
	if s.Recent.Seconds > 0 {
		one.PerSecond = rounded(float64(s.Recent.Records) / s.Recent.Seconds)
	}
	if latency, err := decodeSketch(s.Recent.Latency); err == nil {
		if at := quantiles(latency, 0.5, 0.99); at != nil {
			p50, p99 := millis(at[0]), millis(at[1])
			one.P50, one.P99 = &p50, &p99
		}
	}
	if len(s.Lag) > 0 {
		lag := int64(0)
		for _, p := range s.Lag {
			lag += min(p.Offsets, math.MaxInt64-lag)
		}
		one.Lag = &lag
	}
}

// rounded keeps one decimal.
func rounded(v float64) float64 { return math.Round(v*10) / 10 }

// millis is a duration in milliseconds, to the microsecond.
func millis(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
