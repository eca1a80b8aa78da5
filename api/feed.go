package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/creditstream/creditstream/api/feed"
	"github.com/creditstream/creditstream/schemas"
)

const (
	streamRoute = "/decisions/stream"
	// shownPerSecond is how many decisions a stream sends a second; more cannot be read.
	shownPerSecond = 10
	// maxStreams is how many streams may be open at once.
	maxStreams = 100
	// maxCallerStreams is how many of them one caller may have open.
	maxCallerStreams = 25
	// heartbeat keeps proxies from ending a quiet stream.
	heartbeat = 15 * time.Second
)

func noFeed() *problem {
	return newProblem(http.StatusServiceUnavailable, "no-feed", "Decisions are not followed here", "").after(10)
}

// decisions is GET /decisions.
func (s *Server) decisions(w http.ResponseWriter, _ *http.Request, _ string) *problem {
	if s.config.Feed == nil {
		return noFeed()
	}
	writeJSON(w, s.appendFeed(nil, s.config.Feed.Snapshot()))
	return nil
}

// decisionStream is GET /decisions/stream: server-sent events, first a snapshot,
// then updates.
func (s *Server) decisionStream(w http.ResponseWriter, r *http.Request, _ string) *problem {
	if s.config.Feed == nil {
		return noFeed()
	}
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	first, updates := s.config.Feed.Subscribe(ctx, shownPerSecond)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy that buffers would hold events back
	connection := http.NewResponseController(w)
	// The stream outlives the server's timeout for a request's body; each write has
	// its own. What cannot set a deadline (a test's recorder) needs none.
	_ = connection.SetReadDeadline(time.Time{})
	send := func(event []byte) bool {
		_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Write(event); err != nil {
			return false
		}
		return connection.Flush() == nil
	}
	buf := append([]byte("retry: 2000\n"), s.event(nil, "snapshot", first)...)
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for send(buf) {
		select {
		case <-r.Context().Done():
			return nil
		case <-s.closing:
			return nil
		case <-tick.C:
			buf = append(buf[:0], ": still here\n\n"...)
		case u, ok := <-updates:
			if !ok {
				return nil
			}
			buf = s.event(buf[:0], "update", u)
		}
	}
	return nil
}

func (s *Server) event(dst []byte, name string, f feed.Snapshot) []byte {
	dst = append(dst, "event: "+name+"\ndata: "...)
	dst = s.appendFeed(dst, f) // one line: JSON without raw line feeds
	return append(dst, "\n\n"...)
}

// appendFeed appends a snapshot as JSON.
func (s *Server) appendFeed(dst []byte, f feed.Snapshot) []byte {
	text := func(code string) string { return code }
	if set := s.config.Live(); set != nil {
		text = set.Champion.ReasonText
	}
	t := f.Totals
	dst = append(dst, `{"since":`...)
	dst = strconv.AppendQuote(dst, t.Since.UTC().Format(time.RFC3339))
	dst = append(dst, `,"total":`...)
	dst = strconv.AppendInt(dst, t.Decisions, 10)
	dst = appendCounts(append(dst, `,"by_decision":`...), t.ByDecision, schemas.Approve, schemas.Refer, schemas.Decline)
	dst = appendCounts(append(dst, `,"by_channel":`...), t.ByChannel, schemas.ChannelStream, schemas.ChannelAPI)
	dst = append(dst, `,"per_second":`...)
	dst = strconv.AppendFloat(dst, t.PerSecond, 'f', 1, 64)
	dst = append(dst, `,"decisions":[`...)
	for i, p := range newestFirst(f.Decisions) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = schemas.AppendSummary(dst, &p, text)
	}
	return append(dst, `]}`...)
}

// newestFirst puts decisions, which come as partitions yield them, in the order
// they were made: those of one moment by id. The caller's are left as they are.
func newestFirst(decisions []schemas.Prediction) []schemas.Prediction {
	return slices.SortedFunc(slices.Values(decisions), func(a, b schemas.Prediction) int {
		return cmp.Or(b.DecidedAt.Time().Compare(a.DecidedAt.Time()), strings.Compare(b.ApplicationID, a.ApplicationID))
	})
}

func appendCounts(dst []byte, counts map[string]int64, names ...string) []byte {
	shown := make(map[string]int64, len(names))
	for _, n := range names {
		shown[n] = counts[n]
	}
	b, err := json.Marshal(shown)
	if err != nil { // names and numbers only
		panic(err)
	}
	return append(dst, b...)
}
