package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/creditstream/creditstream/consumer/verify"
	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/schemas"
)

// Result is what a demo that ends says of itself.
type Result struct {
	Applications       int64   `json:"applications"`
	Decisions          int64   `json:"decisions"`
	Unjudgeable        int64   `json:"unjudgeable"`
	DeadLetters        int64   `json:"dead_letters"`
	Lost               int64   `json:"lost"`
	Duplicated         int64   `json:"duplicated"`
	Altered            int64   `json:"altered"`
	DecisionsPerSecond float64 `json:"decisions_per_second"` // from the first to the last that became readable
	P50                float64 `json:"p50_ms"`               // applied to readable
	P99                float64 `json:"p99_ms"`
	FirstDecision      float64 `json:"first_decision_ms"` // since the program started
}

// judge reads the topics back.
func (d *demo) judge(ctx context.Context) (*Result, error) {
	config := verify.Config{Kafka: d.services.Client("verify"), Topics: d.topics, Codec: d.services.Codec()}
	var err error
	if config.Group, err = app.GroupInUse(ctx, config.Kafka, schemas.GroupScorer, "", d.topics.Applications); err != nil {
		return nil, err
	}
	report, err := app.Verify(ctx, config)
	if err != nil {
		return nil, err
	}
	seen, latencies := d.watch.snapshot(0.5, 0.99)
	r := &Result{
		Applications: report.Applications, Decisions: report.Predictions, Unjudgeable: report.Unjudgeable,
		DeadLetters: report.DeadLetters, Lost: report.Lost, Duplicated: report.Duplicated, Altered: report.Altered,
		P50: millis(latencies[0]), P99: millis(latencies[1]),
	}
	if seen.Stream > 0 {
		r.FirstDecision = millis(seen.First.Sub(d.config.Began))
	}
	if took := seen.Last.Sub(seen.First).Seconds(); took > 0 {
		r.DecisionsPerSecond = float64(int64(10*float64(seen.Stream)/took)) / 10
	}
	return r, nil
}

// millis is d in milliseconds, to the microsecond.
func millis(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// Failed says whether something was not answered exactly once, or otherwise than it
// should have been.
func (r *Result) Failed() bool { return r.Lost+r.Duplicated+r.Altered > 0 }

func (r *Result) String() string {
	return fmt.Sprintf("%d applications: %d decisions, %d dead letters, %d lost, %d duplicated, %d altered, %d unjudgeable\n%.0f decisions/s, latency p50 %.1f ms p99 %.1f ms, first decision after %.0f ms",
		r.Applications, r.Decisions, r.DeadLetters, r.Lost, r.Duplicated, r.Altered, r.Unjudgeable,
		r.DecisionsPerSecond, r.P50, r.P99, r.FirstDecision)
}
