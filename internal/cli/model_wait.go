package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
)

// waitFlags say whether a new route is waited for.
type waitFlags struct {
	Wait waitFlag `help:"Wait until every running scorer and API serves it, for a minute or as long as is said (--wait 30s); exit code 1 when one does not." placeholder:"[DURATION]"`
}

// defaultWait is what --wait alone means: opening bundles takes less than a second.
const defaultWait = time.Minute

// waitFlag is a duration that may be left out; 0: not to wait.
type waitFlag time.Duration

// String is the flag as it would be given.
func (f waitFlag) String() string {
	if f == 0 {
		return ""
	}
	return time.Duration(f).String()
}

// IsBool lets the flag stand without a value.
func (*waitFlag) IsBool() bool { return true }

// Decode is how the flag is read: --wait, --wait=30s or --wait 30s.
func (f *waitFlag) Decode(ctx *kong.DecodeContext) error {
	next := ctx.Scan.Peek()
	text := fmt.Sprint(next.Value)
	d, err := time.ParseDuration(text)
	isDuration := err == nil && next.Type != kong.EOLToken
	switch {
	case isDuration && d > 0:
		*f = waitFlag(d)
	case isDuration, next.Type == kong.FlagValueToken:
		return fmt.Errorf("%q: expected a duration above 0, as 30s", text)
	default: // the next flag, or nothing
		*f = waitFlag(defaultWait)
		return nil
	}
	ctx.Scan.Pop()
	return nil
}

// begin opens the topic of replicas before anything is written: what cannot be waited
// for is better known then. It is nil where nobody waits.
func (f waitFlags) begin(p *process, k kafkaFlags) (*routeWait, error) {
	if f.Wait == 0 {
		return nil, nil
	}
	log, err := reports.OpenLog(p.ctx, k.config(p, "wait"), schemas.NewTopics(k.Prefix))
	if err != nil {
		return nil, fmt.Errorf("--wait: %w", err)
	}
	if err := log.ReadToEnd(p.ctx); err != nil {
		log.Close()
		return nil, fmt.Errorf("--wait: %w", err)
	}
	return &routeWait{log, time.Duration(f.Wait)}, nil
}

// routeWait waits for a route to be served.
type routeWait struct {
	log    *reports.Log
	within time.Duration
}

func (w *routeWait) close() {
	if w != nil {
		w.log.Close()
	}
}

// waited is what the replicas made of a route.
type waited struct {
	Served   bool               `json:"served"` // by every one of them
	Serving  []string           `json:"serving"`
	Refusing []replica.Refusing `json:"refusing"`
	Waiting  []replica.Waiting  `json:"waiting"`
	Why      string             `json:"why"` // why nothing more is known; empty when all is settled

	revision int64
}

// until waits until every replica serves the route or never will, for as long as was
// asked for.
func (w *routeWait) until(p *process, r release.Revision) *waited {
	ctx, cancel := context.WithTimeout(p.ctx, w.within)
	defer cancel()
	out := &waited{Serving: []string{}, Refusing: []replica.Refusing{}, Waiting: []replica.Waiting{}, revision: r.Number}
	for {
		v := w.log.Board.Judge(time.Now(), r.Number, r.Versions())
		var err error
		if !v.Settled() {
			err = w.log.Follow(ctx, time.Second)
		}
		if !v.Settled() && err == nil {
			continue
		}
		out.Serving = append(out.Serving, v.Serving...)
		out.Refusing = append(out.Refusing, v.Refusing...)
		out.Waiting = append(out.Waiting, v.Waiting...)
		out.Served = v.Settled() && len(v.Refusing) == 0
		switch {
		case v.Settled():
		case p.ctx.Err() != nil:
			out.Why = "interrupted"
		case ctx.Err() == nil:
			out.Why = err.Error()
		case len(v.Serving)+len(v.Waiting)+len(v.Refusing) == 0:
			out.Why = fmt.Sprintf("no scorer and no API is running that reports to the replicas topic, for %s", w.within)
		default:
			out.Why = fmt.Sprintf("not served everywhere within %s", w.within)
		}
		return out
	}
}

// exit is the exit code that this asks for.
func (w *waited) exit() error {
	if w.Served {
		return nil
	}
	return exitCode(1)
}

// print says who serves the route and, on the standard error, who does not, and why.
func (w *waited) print(p *process) error {
	if len(w.Serving) > 0 {
		if _, err := fmt.Fprintf(p.stdout, "served by %s\n", strings.Join(w.Serving, ", ")); err != nil {
			return err
		}
	}
	for _, r := range w.Refusing {
		fmt.Fprintf(p.stderr, "%s refuses model %s: %s\n", r.Replica, r.ModelVersion, r.Reason)
	}
	for _, one := range w.Waiting {
		fmt.Fprintf(p.stderr, "%s does not serve it yet: %s\n", one.Replica, one.Why)
	}
	switch {
	case w.Why != "":
		fmt.Fprintf(p.stderr, "creditstream: revision %d: %s\n", w.revision, w.Why)
	case !w.Served:
		fmt.Fprintf(p.stderr, "creditstream: revision %d is refused; what served before it still does: creditstream model rollback, or another model route\n", w.revision)
	}
	return w.exit()
}
