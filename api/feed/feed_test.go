package feed

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

// prediction is the one with a number; every third is declined.
func prediction(i int) *schemas.Prediction {
	p := &schemas.Prediction{
		ApplicationID: fmt.Sprintf("A-%04d", i), Channel: schemas.ChannelStream, Decision: schemas.Approve, ModelVersion: "v1",
		Reasons:  []schemas.Reason{{Code: "UTILISATION", Contribution: 0.4}, {Code: "RECENT_DELAY", Contribution: 0.1}, {Code: "LIMIT", Contribution: 0.05}},
		Features: schemas.Features{500000, 2},
	}
	if i%3 == 0 {
		p.Decision = schemas.Decline
	}
	return p
}

func TestFeed_KeepsTheLastDecisions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := New()
		require.Empty(t, feed.Snapshot().Decisions)
		for i := range 120 {
			feed.Add(prediction(i))
		}
		s := feed.Snapshot()
		require.Len(t, s.Decisions, Kept)
		require.Equal(t, "A-0119", s.Decisions[0].ApplicationID)
		require.Equal(t, "A-0070", s.Decisions[Kept-1].ApplicationID)
		require.Equal(t, []schemas.Reason{{Code: "UTILISATION", Contribution: 0.4}, {Code: "RECENT_DELAY", Contribution: 0.1}, {Code: "LIMIT", Contribution: 0.05}}, s.Decisions[0].Reasons)
		require.Zero(t, s.Decisions[0].Features, "nobody needs them for a page")
		require.Equal(t, int64(120), s.Totals.Decisions)

		// What was handed out does not change.
		feed.Add(prediction(500))
		require.Equal(t, "A-0119", s.Decisions[0].ApplicationID)
		require.Equal(t, int64(120), s.Totals.ByDecision[schemas.Approve]+s.Totals.ByDecision[schemas.Decline])
	})
}

func TestFeed_RateIsOverTheLastSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := New()
		second := func(n int) float64 {
			for i := range n {
				feed.Add(prediction(i))
			}
			time.Sleep(time.Second)
			return feed.Snapshot().Totals.PerSecond
		}
		require.Equal(t, 100.0, second(100))
		require.Equal(t, 200.0, second(300))
		for range 4 {
			second(50)
		}
		require.Equal(t, 50.0, second(50))
		for range 5 {
			second(0)
		}
		require.Zero(t, second(0))
	})
}

// page is what a subscriber makes of what it is sent.
type page map[string]bool

func (p page) add(t *testing.T, decisions []schemas.Prediction) {
	for _, d := range decisions {
		require.NotContains(t, p, d.ApplicationID, "sent twice")
		p[d.ApplicationID] = true
	}
}

func (p page) of(t *testing.T, s Snapshot) {
	for _, d := range s.Decisions {
		require.Contains(t, p, d.ApplicationID)
	}
}

// While more comes than may be sent the newest are, and then the rest of the last.
func TestFeed_SubscriberSeesASampleOfTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const perSecond = 8
		feed := New()
		id := 0
		emit := func(n int) {
			for range n {
				feed.Add(prediction(id))
				id++
			}
		}
		emit(10) // before it subscribes
		ctx, cancel := context.WithCancel(t.Context())
		first, updates := feed.Subscribe(ctx, perSecond)
		shown := page{}
		shown.add(t, first.Decisions)
		require.Len(t, shown, 10)
		emit(1)
		u := <-updates
		require.Len(t, u.Decisions, 1)
		shown.add(t, u.Decisions)

		time.Sleep(time.Millisecond) // between two updates from here on, never at one
		began, before := time.Now(), len(shown)
		allowed := func() int { return int(perSecond * (time.Since(began).Seconds() + 1)) }
		for range 100 {
			emit(50)
			time.Sleep(10 * time.Millisecond)
			select {
			case u := <-updates:
				require.Equal(t, fmt.Sprintf("A-%04d", id-1), u.Decisions[0].ApplicationID)
				require.Equal(t, int64(id), u.Totals.Decisions)
				shown.add(t, u.Decisions)
			default:
			}
		}
		require.LessOrEqual(t, len(shown)-before, allowed())
		require.GreaterOrEqual(t, len(shown)-before, perSecond-1)
		for len(shown) < before+Kept {
			shown.add(t, (<-updates).Decisions)
			require.LessOrEqual(t, len(shown)-before, allowed())
		}
		for range 3 * Kept / perSecond {
			time.Sleep(time.Second)
			select {
			case u := <-updates:
				shown.add(t, u.Decisions)
			default:
			}
		}
		shown.of(t, feed.Snapshot())
		cancel()
		for range updates { // ends, as the context has
			continue
		}
	})
}

func TestFeed_SlowSubscriberHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := New()
		ctx, cancel := context.WithCancel(t.Context())
		_, slow := feed.Subscribe(ctx, 20)
		_, quick := feed.Subscribe(ctx, 20)
		quickly, slowly := page{}, page{}
		for i := range 100 {
			feed.Add(prediction(i))
			time.Sleep(updateInterval)
			synctest.Wait()
			quickly.add(t, (<-quick).Decisions)
		}
		require.Len(t, quickly, 100)
		u := <-slow
		require.Equal(t, int64(100), u.Totals.Decisions, "the latest")
		require.Equal(t, "A-0099", u.Decisions[0].ApplicationID)
		for slowly.add(t, u.Decisions); len(slowly) < Kept; slowly.add(t, u.Decisions) {
			u = <-slow
		}
		slowly.of(t, feed.Snapshot())
		cancel()
	})
}

func TestFeed_SubscriberHearsNothingWhenNothingHappens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := New()
		_, updates := feed.Subscribe(t.Context(), 20)
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case u := <-updates:
			t.Fatalf("%+v", u)
		default:
		}
	})
}
