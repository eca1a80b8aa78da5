package evaluate

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// tenure is what an evaluator knows while it owns the panes. It goes on from the
// last status record: what was told is never told again, and panes that the windows
// need are read again.
type tenure struct {
	judge *judge
	views []*view
	next  int64 // offset behind the last pane that the views have
	end   int64 // where the panes ended when it began

	told    []schemas.Alert // not yet in the log
	changed bool            // since the last status record
	written time.Time       // when that was
	strange map[string]bool // references that panes name and that do not serve
}

// takeOver begins a tenure. By then this client holds the transactional id: what
// the owner before left open has ended, and nothing more can come of it.
func (e *Evaluator) takeOver(ctx context.Context, adm *kadm.Client) (*tenure, error) {
	panes := e.config.Topics.DriftPanes
	starts, err := kafka.Listed(adm.ListStartOffsets(ctx, panes))
	if err != nil {
		return nil, err
	}
	ends, err := kafka.Listed(adm.ListCommittedOffsets(ctx, panes))
	if err != nil {
		return nil, err
	}
	if n := len(starts[panes]); n != 1 {
		return nil, fmt.Errorf("topic %s has %d partitions, expected 1: what is told depends on the order of the panes", panes, n)
	}
	status, state, err := e.last(ctx, adm)
	if err != nil {
		return nil, err
	}
	start, champion, now := starts[panes][0].Offset, e.config.Champion(), schemas.At(e.config.Now())
	t := &tenure{end: ends[panes][0].Offset, strange: map[string]bool{}, changed: true}
	if state == nil {
		t.judge, t.next = newJudge(e.limits, champion), start
		t.judge.next, t.judge.seen = start, now
	} else {
		t.judge, t.told = resume(e.limits, champion, state, status.Alerts, now)
		t.next = max(start, min(state.Oldest, state.Next))
		if state.Next < start {
			e.config.Log.Warn("panes are gone that were never evaluated: they were kept for less long than the evaluator was away",
				"topic", panes, "from", state.Next, "to", start)
		}
	}
	t.show(e.config.Windows, champion)
	return t, nil
}

// show begins the windows.
func (t *tenure) show(windows []Window, c *Champion) {
	t.views = nil
	for _, w := range windows {
		t.views = append(t.views, newView(w, c))
	}
}

// oldest is the offset that the windows would have to be read again from.
func (t *tenure) oldest() int64 {
	at := t.judge.next
	for _, v := range t.views {
		at = v.oldest(at)
	}
	return at
}

// rebuilding says whether panes are read again that were judged before.
func (t *tenure) rebuilding() bool { return t.next < t.judge.next && t.next < t.end }

// fold takes one record of the panes topic.
func (e *Evaluator) fold(t *tenure, r *kgo.Record) {
	if r.Offset < t.next { // read again after a transaction that failed
		return
	}
	t.next = r.Offset + 1
	if r.Attrs.IsControl() {
		t.judge.next = max(t.judge.next, t.next)
		return
	}
	pane, err := drift.DecodePane(r.Value)
	if err != nil {
		t.judge.next = max(t.judge.next, t.next)
		e.metrics.malformed.Inc()
		e.config.Log.Error("pane ignored", "topic", r.Topic, "offset", r.Offset, "error", err)
		return
	}
	now := schemas.At(e.config.Now())
	if pane.Decisions > 0 && pane.Reference == t.judge.champion.Digest {
		for _, v := range t.views {
			v.add(pane, r.Offset, now)
		}
	}
	if r.Offset < t.judge.next {
		return
	}
	told, known := t.judge.fold(pane, r.Offset, schemas.At(r.Timestamp), now)
	t.told, t.changed = append(t.told, told...), true
	e.metrics.panes.Inc()
	if !known {
		e.metrics.otherReference.Add(float64(pane.Decisions))
		if !t.strange[pane.Reference] {
			t.strange[pane.Reference] = true
			e.config.Log.Info("decisions are counted over a reference that is not the champion's: they are not compared",
				"reference", pane.Reference, "champion", t.judge.champion.Digest)
		}
	}
}

// serve takes up what serves now.
func (e *Evaluator) serve(t *tenure) {
	before, c := t.judge.champion, e.config.Champion()
	if before.Digest == c.Digest && before.ModelVersion == c.ModelVersion && before.Policy.Version == c.Policy.Version {
		return
	}
	t.told = append(t.told, t.judge.serve(c, schemas.At(e.config.Now()))...)
	t.changed = true
	if before.Digest == c.Digest && before.ModelVersion == c.ModelVersion {
		e.config.Log.Info("another policy serves: what it decides is compared anew", "policy", c.Policy.Version)
		return
	}
	t.show(e.config.Windows, c)
	clear(t.strange)
	e.config.Log.Info("another champion serves: every window and every test begins anew against its reference",
		"champion", c.ModelVersion, "reference", c.Digest, "before", before.ModelVersion)
}

// quiet looks whether nothing has come for so long that a full block is over, or
// that it is an alert. Only who has read all there is may say so.
func (e *Evaluator) quiet(ctx context.Context, t *tenure, adm *kadm.Client) error {
	now := schemas.At(e.config.Now())
	if !t.judge.rests(now) && !t.judge.silent(now) {
		return nil
	}
	ends, err := kafka.Listed(adm.ListCommittedOffsets(ctx, e.config.Topics.DriftPanes))
	if err != nil || t.next < ends[e.config.Topics.DriftPanes][0].Offset {
		return err
	}
	if told, closed := t.judge.rest(now); closed {
		t.told, t.changed = append(t.told, told...), true
	}
	if a := t.judge.silence(now); a != nil {
		t.told, t.changed = append(t.told, *a), true
	}
	return nil
}
