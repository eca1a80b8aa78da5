package judging

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/schemas"
)

// mostVersions is how many versions' outcomes are kept: those with the newest.
const mostVersions = 8

// judge folds panes in the order of the log into what fires and resolves. The
// same panes give the same alerts, wherever it stopped and went on meanwhile.
type judge struct {
	settings Settings
	champion *drift.Champion
	tests    []*stream // the features in order, then the score, then the decisions
	past     []blockSpan
	block    *Tally            // not yet full
	opened   schemas.Timestamp // when the block's first pane was appended
	clocks   clocks            // of the partitions that decisions come from
	moved    int64             // microseconds that the clocks have moved on since a block was closed, all together

	performance performances
	alerts      alerts

	next                                               int64             // offset behind the last pane folded
	decisions                                          int64             // folded in all
	newest                                             schemas.Timestamp // bucket of the newest decision, 0: none
	seen                                               schemas.Timestamp // when a decision was last appended, or began to be waited for
	read, matched, unmatched, repeated, late, declined int64             // outcomes
	apart                                              drift.OutcomesApart
}

// stream is one thing that is tested.
type stream struct {
	name    string
	test    sequential.Test
	reading sequential.Reading
}

func newStream(name string, cells *sequential.Cells) *stream {
	s := &stream{name: name, test: sequential.Test{Cells: cells}}
	s.reading = s.test.Read()
	return s
}

// blockSpan is when a block was, and its decisions by protected group.
type blockSpan struct {
	From      schemas.Timestamp        `json:"from"`
	To        schemas.Timestamp        `json:"to"`
	Decisions int64                    `json:"decisions"`
	Groups    map[string]drift.Decided `json:"groups,omitempty"`
}

func newJudge(s Settings, c *drift.Champion) *judge {
	j := &judge{settings: s, clocks: clocks{}, performance: performances{}, alerts: alerts{}}
	j.begin(c)
	return j
}

// begin compares with a champion's reference from now on, from nothing.
func (j *judge) begin(c *drift.Champion) {
	j.champion, j.block, j.moved, j.tests, j.past = c, NewTally(c.Reference), 0, nil, nil
	names, cells := Cells(c)
	for i, name := range names {
		j.tests = append(j.tests, newStream(name, cells[i]))
	}
}

// serve takes up a champion. Another reference begins anew whatever is compared
// with it, another policy what it decides; alerts that were about the old one are
// taken back.
func (j *judge) serve(c *drift.Champion, now schemas.Timestamp) (told []schemas.Alert) {
	before := j.champion
	switch {
	case before.Digest != c.Digest || before.ModelVersion != c.ModelVersion:
		told = j.takeBack("drift/", now)
		j.begin(c)
	case before.Policy.Version != c.Policy.Version:
		if a := j.alerts.resolve(driftAlert(drift.DecisionsName), now); a != nil {
			told = append(told, *a)
		}
		j.champion = c
		last := len(j.tests) - 1
		j.tests[last] = newStream(drift.DecisionsName, decisionCells(&c.Reference.Scores, c.Policy))
		j.block.Decided = drift.Decided{}
	}
	return told
}

// takeBack resolves every alert whose name begins so.
func (j *judge) takeBack(prefix string, now schemas.Timestamp) (told []schemas.Alert) {
	for _, name := range slices.Sorted(maps.Keys(j.alerts)) {
		if strings.HasPrefix(name, prefix) {
			if a := j.alerts.resolve(name, now); a != nil {
				told = append(told, *a)
			}
		}
	}
	return told
}

// fold counts one pane that was appended then and returns the alerts it changes.
// known is false where the pane is of another reference.
func (j *judge) fold(p *drift.Pane, offset int64, appended, now schemas.Timestamp) (told []schemas.Alert, known bool) {
	j.next, known = offset+1, true
	if p.Decisions > 0 {
		j.seen = max(j.seen, appended)
		j.newest = max(j.newest, p.Bucket)
		j.decisions += p.Decisions
		if a := j.alerts.resolve(noDecisions, now); a != nil {
			told = append(told, *a)
		}
		if j.block.Decisions == 0 {
			j.opened = appended
		}
		j.moved += j.clocks.move(p, appended)
		known = j.block.Add(p, j.champion)
		if j.block.Decisions >= sequential.BlockSize && j.over(p, appended) {
			told = append(told, j.closeBlock(now)...)
		}
	}
	j.read += p.Read
	j.matched += p.Matched
	j.unmatched += p.NoMatch
	j.repeated += p.Repeated
	j.late += p.Late
	j.declined += p.Declined
	j.apart.Add(p.OutcomesApart)
	return append(told, j.foldOutcomes(p, now)...), known
}

// over says whether a block's time is over with a pane: by when its panes were
// appended, or, where a backlog is appended at once, by when was decided. The
// latter is the mean of the partitions' clocks, which may come one behind the
// other, and moves in steps of a bucket.
func (j *judge) over(p *drift.Pane, appended schemas.Timestamp) bool {
	least := micros(j.settings.BlockTime)
	step := max(least, p.End()-p.Bucket)
	return appended-j.opened >= least || j.moved >= int64(step)*int64(len(j.clocks))
}

// rest closes a full block that nothing has come to for as long as a block takes.
// It is asked when every pane there is has been folded.
func (j *judge) rest(now schemas.Timestamp) (told []schemas.Alert, closed bool) {
	if !j.rests(now) {
		return nil, false
	}
	return j.closeBlock(now), true
}

// rests says whether rest would close a block.
func (j *judge) rests(now schemas.Timestamp) bool {
	return j.block.Decisions >= sequential.BlockSize && now-j.seen >= micros(j.settings.BlockTime)
}

// closeBlock looks at everything that is tested.
func (j *judge) closeBlock(now schemas.Timestamp) (told []schemas.Alert) {
	b := j.block
	j.block, j.moved = NewTally(j.champion.Reference), 0
	j.past = keepLast(append(j.past, blockSpan{b.From, b.To, b.Decisions, b.Groups}), sequential.Blocks)
	for i, s := range j.tests {
		bins := decided(b)
		switch {
		case i < len(b.Features):
			bins = b.Features[i]
		case s.name == drift.ScoreName:
			bins = b.Scores
		}
		s.reading = s.test.Add(bins)
	}
	for _, s := range j.tests {
		figures := j.figures(driftAlert(s.name), now)
		figures.Statistic, figures.Value, figures.Threshold = "evidence", s.reading.Evidence, s.reading.Required
		figures.Window = windowOf(j.past[len(j.past)-s.reading.Back:])
		figures.Contributors = j.contributors(s)
		figures.ModelVersions = b.versions()
		ends := figures // the contributors moved before, and are why it fired
		ends.Value, ends.Threshold = s.reading.Recent, sequential.Watch
		ends.Window = windowOf(j.past[len(j.past)-s.reading.RecentBack:])
		a := j.alerts.look(look{
			fires: figures, ends: ends, shifted: s.reading.Shifted(), gone: s.reading.Gone(),
			over: func(told *schemas.Alert) bool { return b.To-told.Window.To >= micros(j.settings.MinFiring) },
		})
		if a == nil {
			continue
		}
		told = append(told, *a)
		if a.State == schemas.AlertResolved { // what was counted during it must not be told again
			s.test.Forget()
			s.reading = s.test.Read()
		}
	}
	return append(told, j.lookAtGroups(b.versions(), now)...)
}

// contributors are the features that have moved most, the one in question first.
func (j *judge) contributors(of *stream) []schemas.Contributor {
	list := []schemas.Contributor{}
	for _, s := range j.tests[:len(j.champion.Reference.Features)] {
		if s.reading.Worth() {
			list = append(list, schemas.Contributor{Feature: s.name, PSI: s.reading.PSI})
		}
	}
	slices.SortStableFunc(list, func(a, b schemas.Contributor) int {
		if (a.Feature == of.name) != (b.Feature == of.name) {
			if a.Feature == of.name {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.PSI, a.PSI)
	})
	return list[:min(len(list), mostContributors)]
}

// lookAtGroups judges fairness over the blocks that are kept.
func (j *judge) lookAtGroups(versions []string, now schemas.Timestamp) (told []schemas.Alert) {
	recent := j.past[max(0, len(j.past)-fairRecent):]
	lately := map[string]drift.GroupStatus{}
	for _, g := range fairness(groupsOf(recent), j.settings.Fairness) {
		lately[groupName(g.Attribute, g.Group)] = g
	}
	there := map[string]bool{}
	for _, g := range fairness(groupsOf(j.past), j.settings.Fairness) {
		group := groupName(g.Attribute, g.Group)
		name := fairnessAlert(group)
		there[name] = true
		figures := j.figures(name, now)
		figures.Statistic, figures.Value, figures.Threshold = "approval_ratio", g.Ratio, g.Limit
		figures.Window = windowOf(j.past)
		figures.ModelVersions = versions
		ends, evidence := figures, 0.0
		if g.Judged {
			evidence = belowLimit(g)
		}
		back := lately[group].Judged && lately[group].Ratio >= g.Limit
		if back {
			ends.Value, ends.Window = lately[group].Ratio, windowOf(recent)
		} else {
			ends.Statistic, ends.Value, ends.Threshold = "evidence", evidence, fairGone
		}
		a := j.alerts.look(look{fires: figures, ends: ends, shifted: g.State == drift.Act, gone: back || evidence < fairGone})
		if a == nil {
			continue
		}
		told = append(told, *a)
		if a.State == schemas.AlertResolved { // as with drift: it must not be told again
			for _, b := range j.past {
				delete(b.Groups, group)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.alerts)) { // a group that does not come any more
		if strings.HasPrefix(name, "fairness/") && !there[name] {
			if a := j.alerts.resolve(name, now); a != nil {
				told = append(told, *a)
			}
		}
	}
	return told
}

// groupsOf are the decisions by group of some blocks.
func groupsOf(blocks []blockSpan) map[string]drift.Decided {
	sum := map[string]drift.Decided{}
	for _, b := range blocks {
		for g, d := range b.Groups {
			sum[g] = sum[g].Plus(d)
		}
	}
	return sum
}

// foldOutcomes counts what became of loans.
func (j *judge) foldOutcomes(p *drift.Pane, now schemas.Timestamp) (told []schemas.Alert) {
	versions := map[string]bool{}
	for i := range p.Outcomes {
		o := &p.Outcomes[i]
		j.performance.add(o, p.Bucket, p.End())
		versions[o.ModelVersion] = true
	}
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		if !j.performance[version].full() {
			continue
		}
		r := j.performance[version].look()
		figures := j.figures(performanceAlert(version), now)
		figures.Statistic, figures.Value, figures.Threshold, figures.Window = r.statistic, r.value, r.threshold, r.window
		figures.ModelVersions = []string{version}
		figures.Contributors = j.contributors(&stream{})
		ends := figures
		if before := j.alerts[figures.Alert]; before != nil { // what was off then, as it is now
			ends.Statistic, ends.Value, ends.Threshold, ends.Window = before.Statistic, before.Value, before.Threshold, before.Window
			if now, known := r.recent[before.Statistic]; known {
				ends.Value, ends.Threshold, ends.Window = now.value, now.threshold, now.window
			}
		}
		if a := j.alerts.look(look{fires: figures, ends: ends, shifted: r.evidence >= performanceAct, gone: r.gone}); a != nil {
			told = append(told, *a)
			if a.State == schemas.AlertResolved {
				j.performance[version].Past, j.performance[version].reading = nil, performanceReading{gone: true}
			}
		}
	}
	for len(j.performance) > mostVersions {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(j.performance)), func(a, b string) int {
			return cmp.Or(cmp.Compare(j.performance[a].Latest, j.performance[b].Latest), cmp.Compare(a, b))
		})
		delete(j.performance, oldest)
		if a := j.alerts.resolve(performanceAlert(oldest), now); a != nil {
			told = append(told, *a)
		}
	}
	return told
}

// silence tells when nothing has been decided for too long. It is asked when every
// pane there is has been folded.
func (j *judge) silence(now schemas.Timestamp) *schemas.Alert {
	if j.seen == 0 {
		j.seen = now
	}
	firing := j.alerts.firing(noDecisions)
	if !firing && !j.silent(now) {
		return nil
	}
	figures := j.figures(noDecisions, now)
	figures.Reference = ""
	figures.Statistic, figures.Threshold = "seconds_without_decisions", j.settings.Quiet.Seconds()
	figures.Value = (time.Duration(now-j.seen) * time.Microsecond).Seconds()
	figures.Window = schemas.AlertWindow{Name: "silence", From: j.seen, To: now}
	if firing {
		j.alerts[noDecisions].Now = figuresOf(&figures)
		return nil
	}
	return j.alerts.set(figures, schemas.AlertFiring)
}

// silent says whether silence would tell.
func (j *judge) silent(now schemas.Timestamp) bool {
	return now-j.seen >= micros(j.settings.Quiet) && !j.alerts.firing(noDecisions)
}

// figures are what every alert says.
func (j *judge) figures(name string, now schemas.Timestamp) schemas.Alert {
	return schemas.Alert{
		Alert: name, EvaluatedAt: now, Reference: j.champion.Digest, Runbook: runbook,
		Contributors: []schemas.Contributor{}, ModelVersions: []string{},
	}
}

// windowOf is the stretch of some blocks.
func windowOf(spans []blockSpan) schemas.AlertWindow {
	w := schemas.AlertWindow{Name: "blocks"}
	for i, s := range spans {
		if i == 0 {
			w.From, w.To = s.From, s.To
		}
		w.From, w.To = min(w.From, s.From), max(w.To, s.To)
		w.Decisions += s.Decisions
	}
	return w
}

func keepLast[T any](list []T, n int) []T {
	return slices.Delete(list, 0, max(0, len(list)-n))
}

func micros(d time.Duration) schemas.Timestamp { return schemas.Timestamp(d.Microseconds()) }
