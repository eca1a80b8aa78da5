package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// statusLine is a last line of a terminal that is drawn anew while other lines
// pass above it.
type statusLine struct {
	mu   sync.Mutex // guards what follows
	w    io.Writer
	line string // nothing while none is shown
}

const clearLine = "\r\x1b[K"

// Write passes whole lines through, above the status.
func (s *statusLine) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == "" {
		return s.w.Write(b)
	}
	if _, err := io.WriteString(s.w, clearLine+string(b)+s.line); err != nil {
		return 0, err
	}
	return len(b), nil
}

// show draws the status; empty removes it.
func (s *statusLine) show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line != "" || s.line != "" {
		_, _ = io.WriteString(s.w, clearLine+line) // a status that cannot be shown is no failure
	}
	s.line = line
}

// demoStatus is the demo in one line. rate is decisions per second.
func demoStatus(w watched, rate float64, p50, p99 time.Duration, restarts int) string {
	var b strings.Builder
	total := w.Stream + w.API
	fmt.Fprintf(&b, "%d decisions  %.0f/s", total, rate)
	if total > 0 {
		for _, d := range []string{schemas.Approve, schemas.Refer, schemas.Decline} {
			fmt.Fprintf(&b, "  %s %.0f %%", d, 100*float64(w.Decisions[d])/float64(total))
		}
	}
	if w.Stream > 0 {
		fmt.Fprintf(&b, "  latency p50 %s p99 %s", roundLatency(p50), roundLatency(p99))
	}
	if w.DeadLetters > 0 {
		fmt.Fprintf(&b, "  dead letters %d", w.DeadLetters)
	}
	if restarts > 0 {
		fmt.Fprintf(&b, "  scorer restarted %d×", restarts)
	}
	return b.String()
}

func roundLatency(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(10 * time.Millisecond)
}
