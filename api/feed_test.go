package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/api/feed"
	"github.com/creditstream/creditstream/schemas"
)

// newFeed is one that has seen decisions, newest first.
func newFeed(newestFirst ...schemas.Prediction) *feed.Feed {
	f := feed.New()
	for _, p := range slices.Backward(newestFirst) {
		f.Add(&p)
	}
	return f
}

func TestDecisionsAreShownWithoutFeatures(t *testing.T) {
	t.Parallel()
	decided := func(id, decision string) schemas.Prediction {
		return schemas.Prediction{
			ApplicationID: id, Channel: "stream", Decision: decision, DefaultProbability: 0.5, Points: 500,
			Reasons: []schemas.Reason{{Code: "RECENT_DELAY", Contribution: 1}}, ModelVersion: "v1", Features: example,
		}
	}
	w := newWorld(t, func(c *Config) {
		c.Feed = newFeed(decided("A-1\n\n", "decline"), decided("A-0", "approve"), decided("A-0", "approve"))
	})
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

	w = newWorld(t)
	w.problem(w.get("/decisions"), http.StatusServiceUnavailable, "no-feed")
	w.problem(w.get("/decisions/stream"), http.StatusServiceUnavailable, "no-feed")
}

func TestDecisionsAreShownNewestFirst(t *testing.T) {
	t.Parallel()
	at := func(id string, ms int64) schemas.Prediction {
		return schemas.Prediction{ApplicationID: id, DecidedAt: schemas.At(time.UnixMilli(ms)), Decision: "approve", Channel: "stream", ModelVersion: "v"}
	}
	w := newWorld(t, func(c *Config) {
		c.Feed = newFeed(at("A-3", 1000), at("A-9", 900), at("A-4", 1000), at("A-1", 1001), at("A-5", 1000))
	})
	var d struct {
		Decisions []answered `json:"decisions"`
	}
	require.NoError(t, json.Unmarshal(w.get("/decisions").Body.Bytes(), &d))
	var ids []string
	for _, a := range d.Decisions {
		ids = append(ids, a.ApplicationID)
	}
	require.Equal(t, []string{"A-1", "A-5", "A-4", "A-3", "A-9"}, ids)
}

func TestStreamOfDecisions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shown := newFeed()
		w := newWorld(t, func(c *Config) { c.Feed = shown })
		rec := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.server.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/decisions/stream", http.NoBody))
		}()
		synctest.Wait()
		shown.Add(&schemas.Prediction{ApplicationID: "A-1", Decision: "approve", Channel: "stream", ModelVersion: "v"})
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
		require.Equal(t, []string{"snapshot", "update", "still here"}, slices.Compact(names)) // the rate goes down again
		require.Empty(t, w.server.streams)
	})
}
