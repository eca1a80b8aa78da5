package evaluate

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// tenure is what an evaluator knows while it owns the panes. It goes on from the
// last status record: what was told is never told again, and panes that the windows
// need are read again.
type tenure struct {
	*judging.Evaluation

	told    []schemas.Alert // not yet in the log
	changed bool            // since the last status record
	written time.Time       // when that was
	strange map[string]bool // references that panes name and that do not serve
}

// takeOver begins a tenure. By then this client holds the transactional id: what
// the owner before left open has ended, and nothing more can come of it.
func (e *Evaluator) takeOver(ctx context.Context, adm *kadm.Client) (*tenure, error) {
	panes := e.config.Topics.DriftPanes
	bounds, err := kafka.Bounds(ctx, adm, panes)
	if err != nil {
		return nil, err
	}
	if n := len(bounds[panes]); n != 1 {
		return nil, fmt.Errorf("topic %s has %d partitions, expected 1: what is told depends on the order of the panes", panes, n)
	}
	status, state, err := e.last(ctx, adm)
	if err != nil {
		return nil, err
	}
	start, end := bounds[panes][0].From, bounds[panes][0].To
	champion, now := e.config.Champion(), schemas.At(e.config.Now())
	t := &tenure{strange: map[string]bool{}, changed: true}
	if state == nil {
		t.Evaluation = judging.Begin(e.config.Settings, champion, start, end, now)
		return t, nil
	}
	t.Evaluation, t.told = judging.Resume(e.config.Settings, champion, state, status.Alerts, start, end, now)
	if state.Next < start {
		e.config.Log.Warn("panes are gone that were never evaluated: they were kept for less long than the evaluator was away",
			"topic", panes, "from", state.Next, "to", start)
	}
	return t, nil
}

// fold takes one record of the panes topic.
func (e *Evaluator) fold(t *tenure, r *kgo.Record) {
	if r.Offset < t.Next() { // read again after a transaction that failed
		return
	}
	if r.Attrs.IsControl() {
		t.Skip(r.Offset)
		return
	}
	pane, err := drift.DecodePane(r.Value)
	if err != nil {
		t.Skip(r.Offset)
		e.metrics.malformed.Inc()
		e.config.Log.Error("pane ignored", "topic", r.Topic, "offset", r.Offset, "error", err)
		return
	}
	folded := t.Fold(pane, r.Offset, schemas.At(r.Timestamp), schemas.At(e.config.Now()))
	if !folded.New {
		return
	}
	t.told, t.changed = append(t.told, folded.Told...), true
	e.metrics.panes.Inc()
	if !folded.Known {
		e.metrics.otherReference.Add(float64(pane.Decisions))
		if !t.strange[pane.Reference] {
			t.strange[pane.Reference] = true
			e.config.Log.Info("decisions are counted over a reference that is not the champion's: they are not compared",
				"reference", pane.Reference, "champion", t.Champion().Digest)
		}
	}
}

// serve takes up what serves now.
func (e *Evaluator) serve(t *tenure) {
	before, c := t.Champion(), e.config.Champion()
	told, change := t.Serve(c, schemas.At(e.config.Now()))
	t.told = append(t.told, told...)
	switch change {
	case judging.Nothing:
		return
	case judging.NewPolicy:
		e.config.Log.Info("another policy serves; the comparison of decisions begins again", "policy", c.Policy.Version)
	case judging.NewChampion:
		clear(t.strange)
		e.config.Log.Info("another champion serves; every window and every test begins again with its reference",
			"champion", c.ModelVersion, "reference", c.Digest, "before", before.ModelVersion)
	}
	t.changed = true
}

// quiet looks whether nothing has come for so long that a full block is over, or
// that it is an alert. Only who has read all there is may say so.
func (e *Evaluator) quiet(ctx context.Context, t *tenure, adm *kadm.Client) error {
	now := schemas.At(e.config.Now())
	if !t.Due(now) {
		return nil
	}
	ends, err := kafka.Listed(adm.ListCommittedOffsets(ctx, e.config.Topics.DriftPanes))
	if err != nil || t.Next() < ends[e.config.Topics.DriftPanes][0].Offset {
		return err
	}
	if told, changed := t.Rest(now); changed {
		t.told, t.changed = append(t.told, told...), true
	}
	return nil
}
