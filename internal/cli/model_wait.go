package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/model/release"
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
	*reports.Waited
	revision int64
}

// until waits until every replica serves the route or never will, for as long as was
// asked for.
func (w *routeWait) until(p *process, r release.Revision) *waited {
	return &waited{w.log.Wait(p.ctx, w.within, r.Number, r.Versions()), r.Number}
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
