package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/replica/reports"
)

// beginWait opens the topic of replicas before anything is written: what cannot be waited
// for is better known then. It is nil where nobody waits.
func beginWait(p *process, k *flags.Kafka, f flags.Wait) (*routeWait, error) {
	if f.Within == 0 {
		return nil, nil
	}
	log, err := reports.OpenLog(p.ctx, k.Config(p.log).For("wait"), k.Topics())
	if err != nil {
		return nil, fmt.Errorf("--wait: %w", err)
	}
	if err := log.ReadToEnd(p.ctx); err != nil {
		log.Close()
		return nil, fmt.Errorf("--wait: %w", err)
	}
	return &routeWait{log, time.Duration(f.Within)}, nil
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
