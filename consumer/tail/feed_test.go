package tail

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func TestAFeedKeepsTheLastDecisions(t *testing.T) {
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

func TestASubscriberSeesASampleOfTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := NewFeed(FeedConfig{})
		for i := range 10 {
			feed.add(prediction(i), time.Now()) // before it subscribes
		}
		ctx, cancel := context.WithCancel(t.Context())
		updates := feed.Subscribe(ctx, 8)
		feed.add(prediction(10), time.Now())
		u := <-updates
		require.Len(t, u.Decisions, 1)
		require.Zero(t, u.Skipped)

		time.Sleep(time.Millisecond) // between two updates from here on, never at one
		began, shown, skipped, received := time.Now(), 0, int64(0), 0
		for received < 10_000 {
			for i := range 100 {
				feed.add(prediction(i), time.Now())
			}
			received += 100
			time.Sleep(10 * time.Millisecond)
			select {
			case u := <-updates:
				shown += len(u.Decisions)
				skipped += u.Skipped
				require.Equal(t, "A-0099", u.Decisions[0].ApplicationID)
			default:
			}
		}
		time.Sleep(updateInterval)
		u = <-updates
		shown += len(u.Decisions)
		skipped += u.Skipped
		require.Equal(t, int64(received), int64(shown)+skipped)
		require.Equal(t, int64(received+11), u.Totals.Decisions)
		require.LessOrEqual(t, float64(shown), 8*(time.Since(began).Seconds()+1))
		require.GreaterOrEqual(t, shown, 8)
		cancel()
		_, open := <-updates
		require.False(t, open)
	})
}

func TestASlowSubscriberHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := NewFeed(FeedConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		slow, quick := feed.Subscribe(ctx, 20), feed.Subscribe(ctx, 20)
		seen := int64(0)
		for i := range 100 {
			feed.add(prediction(i), time.Now())
			time.Sleep(updateInterval)
			synctest.Wait()
			u := <-quick
			seen += int64(len(u.Decisions)) + u.Skipped
		}
		require.Equal(t, int64(100), seen)
		u := <-slow
		require.Equal(t, int64(100), u.Totals.Decisions, "the latest")
		require.Equal(t, "A-0099", u.Decisions[0].ApplicationID)
		require.Equal(t, int64(100), int64(len(u.Decisions))+u.Skipped)
		cancel()
	})
}

func TestASubscriberHearsNothingWhenNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := NewFeed(FeedConfig{})
		updates := feed.Subscribe(t.Context(), 20)
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case u := <-updates:
			t.Fatalf("%+v", u)
		default:
		}
	})
}
