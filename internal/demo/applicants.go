package demo

import (
	"context"
	"time"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/producer"
)

// applicants are the producer, which begins when the scorer is ready, waits
// while too much is unanswered, and may end by itself without ending the rest.
type applicants struct {
	*producer.Producer
	scorer lifecycle.Component
	watch  *watch
	view   *view.View // waited for, too; nil: not
}

const (
	// readyInterval is how often the applicants look at the scorer.
	readyInterval = 10 * time.Millisecond
	// Unanswered applications at which they wait: far fewer than the embedded broker
	// keeps. They go on at half of it.
	mostUnanswered = 20_000
	// The same where outcomes are told, with decisions that the view does not have yet:
	// outcomes are joined with what it has, and the demo's Redis keeps twice as many.
	mostUnseen = redisKeys / 4
)

// Run is part of lifecycle.Component.
func (a applicants) Run(ctx context.Context) error {
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for a.scorer.Ready() != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Producer.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		case <-tick.C:
			a.hold()
		}
	}
}

// hold pauses the producer while too much of what it emitted is unanswered: what
// the broker deletes before it was scored would never be. So with what the view has
// not shown yet.
func (a applicants) hold() {
	emitted := a.Counters()
	unanswered := emitted.Produced + emitted.MalformedTotal() - a.watch.answers()
	open, most := unanswered, int64(mostUnanswered)
	if a.view != nil {
		open, most = unanswered+a.watch.ahead(a.view.Reached()), mostUnseen
	}
	_, paused := a.Rate()
	switch {
	case !paused && open > most:
		a.Pause(true)
	case paused && open < most/2:
		a.Pause(false)
	}
}

// Ready is part of lifecycle.Component: having ended is no failure.
func (applicants) Ready() error { return nil }

// aging lets the embedded Redis's keys expire.
type aging struct {
	redis *local.Redis
}

// Name is part of lifecycle.Component.
func (aging) Name() string { return "redis-time" }

// Ready is part of lifecycle.Component.
func (aging) Ready() error { return nil }

// Run is part of lifecycle.Component.
func (a aging) Run(ctx context.Context) error {
	a.redis.Age(ctx, redisKeys)
	return nil
}
