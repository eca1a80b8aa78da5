package producer

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

const (
	terminalEvery = 200 * time.Millisecond
	plainEvery    = 5 * time.Second
	barWidth      = 24
)

// ShowProgress draws a bar on a terminal, or writes a plain line every few
// seconds elsewhere, until the context ends. Count is how many applications are
// to be emitted, 0 when there is no end.
func (p *Producer) ShowProgress(ctx context.Context, w io.Writer, terminal bool, count uint64) {
	every := plainEvery
	if terminal {
		every = terminalEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var (
		last    Counters
		rate    float64
		ongoing bool
	)
	for {
		select {
		case <-ctx.Done():
			if terminal && ongoing {
				fmt.Fprint(w, "\r\x1b[K")
			}
			return
		case <-tick.C:
		}
		c := p.Counters()
		if c.Elapsed == 0 {
			continue // not begun
		}
		ongoing = true
		if passed := (c.Elapsed - last.Elapsed).Seconds(); passed > 0 {
			now := float64(c.Produced+c.Broken-last.Produced-last.Broken) / passed
			if rate == 0 || !terminal {
				rate = now
			} else {
				rate += 0.3 * (now - rate) // a bar redrawn five times a second should not flicker
			}
		}
		last = c
		_, paused := p.Rate()
		line := progressLine(&c, count, rate, terminal)
		if paused {
			line += "  paused"
		}
		if d := p.flow.stalled(time.Now()); d > 0 {
			line += fmt.Sprintf("  nothing acknowledged for %s", d.Round(time.Second))
		}
		if terminal {
			fmt.Fprint(w, "\r\x1b[K", line)
		} else {
			fmt.Fprintln(w, line)
		}
	}
}

func progressLine(c *Counters, count uint64, rate float64, terminal bool) string {
	var b strings.Builder
	if count > 0 {
		share := min(float64(c.Produced+c.Broken)/float64(count), 1)
		if terminal {
			full := int(share * barWidth)
			fmt.Fprintf(&b, "[%s%s] ", strings.Repeat("#", full), strings.Repeat("-", barWidth-full))
		}
		fmt.Fprintf(&b, "%3.0f %%  %s of %s applications", share*100, grouped(c.Produced), grouped(int64(count)))
	} else {
		fmt.Fprintf(&b, "%s applications", grouped(c.Produced))
	}
	left := int64(count) - c.Produced - c.Broken
	if !c.Ended {
		fmt.Fprintf(&b, "  %s/s", grouped(int64(rate+0.5)))
	}
	if count > 0 && left > 0 && rate > 0 && !c.Ended {
		fmt.Fprintf(&b, "  %s left", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
	}
	if n := c.MalformedTotal(); n > 0 {
		fmt.Fprintf(&b, "  %s malformed", grouped(n))
	}
	if c.Outcomes > 0 || c.Pending > 0 {
		fmt.Fprintf(&b, "  %s outcomes, %s to come", grouped(c.Outcomes), grouped(c.Pending))
	}
	return b.String()
}

// grouped is n with a comma between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
