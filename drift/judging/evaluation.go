package evaluate

import (
	"iter"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// Replay is what an evaluator of these settings tells of panes that were each
// appended when their bucket ended, and the status at the end: how settings are
// tried on a stream without one.
func (e *Evaluator) Replay(c *Champion, panes iter.Seq[*drift.Pane]) (told []schemas.Alert, last *drift.Status) {
	j := newJudge(e.limits, c)
	var views []*view
	for _, w := range e.config.Windows {
		views = append(views, newView(w, c))
	}
	var now schemas.Timestamp
	for p := range panes {
		now = max(now, p.End())
		if p.Decisions > 0 {
			for _, v := range views {
				v.add(p, j.next, now)
			}
		}
		alerts, _ := j.fold(p, j.next, now, now)
		told = append(told, alerts...)
	}
	return told, j.status(views, now)
}
