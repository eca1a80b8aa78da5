package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// Status is a last line of a terminal that is drawn anew while other lines
// pass above it.
type Status struct {
	mu   sync.Mutex // guards what follows
	w    io.Writer
	line string // nothing while none is shown
}

const clearLine = "\r\x1b[K"

// Write passes whole lines through, above the status.
func (s *Status) Write(b []byte) (int, error) {
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
func (s *Status) show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line != "" || s.line != "" {
		_, _ = io.WriteString(s.w, clearLine+line) // a status that cannot be shown is no failure
	}
	s.line = line
}

// statusText is the demo in one line. rate is decisions per second.
func statusText(w watched, rate float64, p50, p99 time.Duration, restarts int) string {
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

// NewStatus is a status on a terminal or a file.
func NewStatus(w io.Writer) *Status { return &Status{w: w} }

// show draws the status, on a terminal in place, elsewhere a line now and then.
func (d *demo) show(ctx context.Context) {
	every := 10 * time.Second
	if d.config.Terminal {
		every = 250 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	rate := ratemeter{at0: time.Now()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w, latencies := d.watch.snapshot(0.5, 0.99)
		line := statusText(w, rate.at(time.Now(), w.Stream+w.API), latencies[0], latencies[1], d.restarts())
		if d.config.Terminal {
			d.config.Status.show(line)
		} else {
			_, _ = fmt.Fprintln(d.config.Status, line) // a status that cannot be shown is no failure
		}
	}
}

func (d *demo) restarts() int {
	if d.child == nil {
		return 0
	}
	_, n := d.child.state()
	return n
}

// ratemeter smooths a count into a rate.
type ratemeter struct {
	at0   time.Time // of the last count
	n0    int64
	shown float64
}

func (r *ratemeter) at(now time.Time, n int64) float64 {
	if passed := now.Sub(r.at0).Seconds(); passed > 0 {
		latest := float64(n-r.n0) / passed
		if r.shown == 0 {
			r.shown = latest
		}
		r.shown += 0.3 * (latest - r.shown)
	}
	r.at0, r.n0 = now, n
	return r.shown
}
