package app

import (
	"context"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/consumer/tail"
	"github.com/creditstream/creditstream/schemas"
)

// pageFeed shows the API's page what a tail.Feed follows.
type pageFeed struct {
	feed *tail.Feed
}

// shownPerSecond is how many decisions a page is told of a second; more cannot be
// read.
const shownPerSecond = 10

// Snapshot is part of api.Feed.
func (f pageFeed) Snapshot() api.FeedSnapshot {
	return feedSnapshot(f.feed.Snapshot())
}

// Subscribe is part of api.Feed.
func (f pageFeed) Subscribe(ctx context.Context) (api.FeedSnapshot, <-chan api.FeedUpdate) {
	first, news := f.feed.Subscribe(ctx, shownPerSecond)
	updates := make(chan api.FeedUpdate)
	go func() {
		defer close(updates)
		for u := range news {
			select {
			case updates <- api.FeedUpdate{Totals: feedTotals(u.Totals), Decisions: feedDecisions(u.Decisions)}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return feedSnapshot(first), updates
}

func feedSnapshot(s tail.Snapshot) api.FeedSnapshot {
	return api.FeedSnapshot{Totals: feedTotals(s.Totals), Decisions: feedDecisions(s.Recent)}
}

func feedTotals(t tail.Totals) api.FeedTotals {
	return api.FeedTotals{Since: t.Since, Decisions: t.Decisions, ByDecision: t.ByDecision, ByChannel: t.ByChannel, PerSecond: t.PerSecond}
}

func feedDecisions(decisions []tail.Decision) []schemas.Prediction {
	out := make([]schemas.Prediction, len(decisions))
	for i, d := range decisions {
		out[i] = schemas.Prediction{
			ApplicationID: d.ApplicationID, DecidedAt: d.DecidedAt, Channel: d.Channel, Decision: d.Decision,
			DefaultProbability: d.DefaultProbability, Points: d.Points, Reasons: d.Reasons,
			ModelVersion: d.ModelVersion, Route: d.Route,
		}
	}
	return out
}
