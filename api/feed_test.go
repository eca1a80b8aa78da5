package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

// fakeFeed hands out what a test puts in.
type fakeFeed struct {
	snapshot FeedSnapshot
	updates  chan FeedUpdate
}

func newFakeFeed() *fakeFeed {
	return &fakeFeed{
		snapshot: FeedSnapshot{
			Totals: FeedTotals{Since: time.Unix(1e9, 0), Decisions: 3, ByDecision: map[string]int64{"approve": 2, "decline": 1}, ByChannel: map[string]int64{"stream": 3}, PerSecond: 1.25},
			Decisions: []schemas.Prediction{{
				ApplicationID: "A-1\n\n", Channel: "stream", Decision: "decline", DefaultProbability: 0.5, Points: 500,
				Reasons: []schemas.Reason{{Code: "RECENT_DELAY", Contribution: 1}}, ModelVersion: "v1", Features: example,
			}},
		},
		updates: make(chan FeedUpdate),
	}
}

func (f *fakeFeed) Snapshot() FeedSnapshot { return f.snapshot }

func (f *fakeFeed) Subscribe(context.Context) (FeedSnapshot, <-chan FeedUpdate) {
	return f.snapshot, f.updates
}

func TestDecisionsAreShownWithoutFeatures(t *testing.T) {
	t.Parallel()
	feed := newFakeFeed()
	w := newWorld(t, func(c *Config) { c.Feed = feed })
	rec := w.get("/decisions")
	require.Equal(t, http.StatusOK, rec.Code)
	require.NotContains(t, rec.Body.String(), "limit_bal")
	require.NotContains(t, rec.Body.String(), "93400")
	var d struct {
		Total      int            `json:"total"`
		PerSecond  float64        `json:"per_second"`
		ByDecision map[string]int `json:"by_decision"`
		Decisions  []answered     `json:"decisions"`
	}
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &d))
	require.Equal(t, 3, d.Total)
	require.Equal(t, map[string]int{"approve": 2, "refer": 0, "decline": 1}, d.ByDecision)
	require.Equal(t, "Payments in the most recent months were late", d.Decisions[0].Reasons[0].Text)

	feed.snapshot.Decisions = make([]schemas.Prediction, 80)
	for i := range feed.snapshot.Decisions {
		feed.snapshot.Decisions[i] = schemas.Prediction{ApplicationID: "x", Decision: "approve", Channel: "api", ModelVersion: "v"}
	}
	require.NoError(t, json.Unmarshal(w.get("/decisions").Body.Bytes(), &d))
	require.Len(t, d.Decisions, maxDecisions)

	w = newWorld(t)
	w.problem(w.get("/decisions"), http.StatusServiceUnavailable, "no-feed")
	w.problem(w.get("/decisions/stream"), http.StatusServiceUnavailable, "no-feed")
}

func TestDecisionsAreShownNewestFirst(t *testing.T) {
	t.Parallel()
	feed := newFakeFeed()
	at := func(id string, ms int64) schemas.Prediction {
		return schemas.Prediction{ApplicationID: id, DecidedAt: schemas.At(time.UnixMilli(ms)), Decision: "approve", Channel: "stream", ModelVersion: "v"}
	}
	feed.snapshot.Decisions = []schemas.Prediction{at("A-3", 1000), at("A-9", 900), at("A-4", 1000), at("A-1", 1001), at("A-5", 1000)}
	w := newWorld(t, func(c *Config) { c.Feed = feed })
	var d struct {
		Decisions []answered `json:"decisions"`
	}
	require.NoError(t, json.Unmarshal(w.get("/decisions").Body.Bytes(), &d))
	var ids []string
	for _, a := range d.Decisions {
		ids = append(ids, a.ApplicationID)
	}
	require.Equal(t, []string{"A-1", "A-5", "A-4", "A-3", "A-9"}, ids)
	require.Equal(t, "A-3", feed.snapshot.Decisions[0].ApplicationID, "the feed's own are left as they are")
}

func TestStreamOfDecisions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := newFakeFeed()
		w := newWorld(t, func(c *Config) { c.Feed = feed })
		rec := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.server.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/decisions/stream", http.NoBody))
		}()
		feed.updates <- FeedUpdate{Totals: FeedTotals{Decisions: 4}}
		time.Sleep(heartbeat + time.Second) // of the bubble
		close(w.server.closing)             // the server stops
		<-done
		w.doc.check(t, http.MethodGet, "/decisions/stream", rec)
		var names []string
		for block := range strings.SplitSeq(strings.TrimSpace(rec.Body.String()), "\n\n") {
			for line := range strings.SplitSeq(block, "\n") {
				name, value, _ := strings.Cut(line, ":")
				switch name {
				case "event", "":
					names = append(names, strings.TrimSpace(value))
				case "data":
					require.NoError(t, w.doc.valid(t, "Decisions", value))
				}
			}
		}
		require.Equal(t, []string{"snapshot", "update", "still here"}, names)
		require.Empty(t, w.server.streams)
	})
}

func TestStreamEndsWithTheFeed(t *testing.T) {
	t.Parallel()
	feed := newFakeFeed()
	w := newWorld(t, func(c *Config) { c.Feed = feed })
	close(feed.updates)
	require.Contains(t, w.get("/decisions/stream").Body.String(), "event: snapshot")
}
