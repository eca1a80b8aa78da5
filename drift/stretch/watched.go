package stretch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/kafka"
)

const (
	// away is how long no status may have been written of a time that was watched: one
	// comes every ten seconds, and another evaluator may have had to take over.
	away = 5 * time.Minute
	// lookings is how many times of a stretch are asked for at most.
	lookings = 100
	// mostGaps is how many gaps are named.
	mostGaps = 3
)

// gap is a time without a status.
type gap struct{ from, to time.Time }

// unwatched are the parts of the stretch in which no evaluator wrote a status, earliest
// first. One that is shorter than a hundredth of the stretch may be missed: statuses are
// large, so that they are asked for by their times and not read.
func (r *reading) unwatched(ctx context.Context, adm *kadm.Client) (gaps []gap, err error) {
	from, to := r.counted.From, r.counted.To
	step := max(time.Minute, to.Sub(from)/lookings)
	last := to.Add(-away) // what was decided just before the end is judged a little later
	if last.Before(from) {
		last = from
	}
	for at := from; !at.After(last); {
		next, err := firstStatus(ctx, adm, r.Topics.DriftStatus, at)
		if err != nil {
			return nil, err
		}
		if next.IsZero() || !next.Before(to.Add(away)) {
			return append(gaps, gap{at, to}), nil
		}
		if next.Sub(at) <= away {
			next = at.Add(step)
			if at.Before(last) && next.After(last) {
				next = last
			}
			at = next
			continue
		}
		gaps = append(gaps, gap{at, next})
		at = next
	}
	return gaps, nil
}

// firstStatus is when the first status at a time or later was written; zero where
// there is none.
func firstStatus(ctx context.Context, adm *kadm.Client, topic string, at time.Time) (time.Time, error) {
	milli := max(0, at.UnixMilli())
	found, err := kafka.Listed(adm.ListOffsetsAfterMilli(ctx, milli, topic))
	if err != nil {
		return time.Time{}, err
	}
	first := time.Time{}
	found.Each(func(o kadm.ListedOffset) {
		if t := time.UnixMilli(o.Timestamp); o.Timestamp >= milli && (first.IsZero() || t.Before(first)) {
			first = t
		}
	})
	return first, nil
}

// untold says which parts of the stretch nobody is known to have watched; empty: none.
func (r *reading) untold(gaps []gap) string {
	from, to := r.counted.From, r.counted.To
	moment := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	var when []string
	for i, g := range gaps {
		switch begins, ends := !g.from.After(from), !g.to.Before(to); {
		case begins && ends:
			return fmt.Sprintf("no evaluation of that time is on %s: nobody watched, or it is no longer kept", r.Topics.DriftStatus)
		case i == mostGaps:
			return r.nobody(append(when, fmt.Sprintf("%d times more", len(gaps)-i)))
		case begins:
			when = append(when, "before "+moment(g.to))
		case ends:
			when = append(when, "from "+moment(g.from)+" on")
		default:
			when = append(when, "from "+moment(g.from)+" to "+moment(g.to))
		}
	}
	if len(when) == 0 {
		return ""
	}
	return r.nobody(when)
}

func (r *reading) nobody(when []string) string {
	return fmt.Sprintf("no evaluation is on %s %s: nobody watched then, somebody judged it later, or it is no longer kept",
		r.Topics.DriftStatus, strings.Join(when, ", "))
}
