package tail

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func TestAFeedKeepsTheLastDecisions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := NewFeed(FeedConfig{})
		require.Empty(t, feed.Snapshot().Recent)
		for i := range 120 {
			feed.add(prediction(i), time.Now())
		}
		s := feed.Snapshot()
		require.Len(t, s.Recent, keep)
		require.Equal(t, "A-0119", s.Recent[0].ApplicationID)
		require.Equal(t, "A-0070", s.Recent[keep-1].ApplicationID)
		require.Equal(t, []schemas.Reason{{Code: "UTILISATION", Contribution: 0.4}, {Code: "RECENT_DELAY", Contribution: 0.1}, {Code: "LIMIT", Contribution: 0.05}}, s.Recent[0].Reasons)
		require.Equal(t, int64(120), s.Decisions)

		// What was handed out does not change.
		feed.add(prediction(500), time.Now())
		require.Equal(t, "A-0119", s.Recent[0].ApplicationID)
		require.Equal(t, int64(120), s.ByDecision[schemas.Approve]+s.ByDecision[schemas.Decline])

		text, err := json.Marshal(s)
		require.NoError(t, err)
		require.Contains(t, string(text), `"decisions":120,`)
	})
}

func TestTheRateIsOverTheLastSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := NewFeed(FeedConfig{})
		second := func(n int) float64 {
			for i := range n {
				feed.add(prediction(i), time.Now())
			}
			time.Sleep(time.Second)
			return feed.Snapshot().PerSecond
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

// page is what a subscriber makes of what it is told.
type page map[string]bool

func (p page) add(t *testing.T, decisions []Decision) {
	for _, d := range decisions {
		require.NotContains(t, p, d.ApplicationID, "told twice")
		p[d.ApplicationID] = true
	}
}

func (p page) of(t *testing.T, s Snapshot) {
	for _, d := range s.Recent {
		require.Contains(t, p, d.ApplicationID)
	}
}

// While more comes than may be told the newest are, and then the rest of the last.
func TestASubscriberSeesASampleOfTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const perSecond = 8
		feed := NewFeed(FeedConfig{})
		id := 0
		emit := func(n int) {
			for range n {
				feed.add(prediction(id), time.Now())
				id++
			}
		}
		emit(10) // before it subscribes
		ctx, cancel := context.WithCancel(t.Context())
		first, updates := feed.Subscribe(ctx, perSecond)
		shown := page{}
		shown.add(t, first.Recent)
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
		for len(shown) < before+keep {
			shown.add(t, (<-updates).Decisions)
			require.LessOrEqual(t, len(shown)-before, allowed())
		}
		for range 3 * keep / perSecond {
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

func TestASlowSubscriberHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := NewFeed(FeedConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		_, slow := feed.Subscribe(ctx, 20)
		_, quick := feed.Subscribe(ctx, 20)
		quickly, slowly := page{}, page{}
		for i := range 100 {
			feed.add(prediction(i), time.Now())
			time.Sleep(updateInterval)
			synctest.Wait()
			quickly.add(t, (<-quick).Decisions)
		}
		require.Len(t, quickly, 100)
		u := <-slow
		require.Equal(t, int64(100), u.Totals.Decisions, "the latest")
		require.Equal(t, "A-0099", u.Decisions[0].ApplicationID)
		for slowly.add(t, u.Decisions); len(slowly) < keep; slowly.add(t, u.Decisions) {
			u = <-slow
		}
		slowly.of(t, feed.Snapshot())
		cancel()
	})
}

func TestASubscriberHearsNothingWhenNothingHappens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := NewFeed(FeedConfig{})
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
