package report

import (
	"cmp"
	"slices"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/drift/statistic"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// view is a status in the order that a reader wants it.
type view struct {
	*drift.Status
	Old      string // how long ago the evaluation was, of a status that is stale
	Firing   int
	Resolved int
	Stretch  bool // of a stretch of time, and of no evaluator's
	Overview []overview
	Windows  []window
	Versions []performance
	Glossary []term
}

// overview is one feature over all windows.
type overview struct {
	Feature string
	Doc     string
	Cells   []drift.FeatureStatus // in the windows' order
}

// window is one window's figures.
type window struct {
	drift.WindowStatus
	Title    string
	Open     bool // the one to look at first
	Features []feature
	Score    feature
	Decided  []share
	Groups   []group
}

// feature is a distribution and how far it moved.
type feature struct {
	drift.FeatureStatus
	Doc       string
	Unwatched bool
	Chart     chart
}

// share is a part of a whole, with where it begins, in percent.
type share struct {
	Name     string
	At, Part float64
}

// group is a protected group, with its interval on a scale of widthOf units.
type group struct {
	drift.GroupStatus
	Doc  string
	Span interval
}

// performance is one model version's, with its bands on a common scale.
type performance struct {
	drift.PerformanceStatus
	AUCLow, AUCHigh float64 // 95 % interval
	Bands           []band
}

// band is a band of scores with its interval.
type band struct {
	drift.BandStatus
	Name string
	Span interval
}

// interval is a 95 % interval with a point and a mark, in units of its picture.
type interval struct {
	Low, High, At, Mark float64
	HasMark             bool
}

func newView(s *drift.Status, edges Edges) *view {
	v := &view{Status: s, Glossary: glossary}
	for _, a := range s.Alerts {
		if a.State == schemas.AlertFiring {
			v.Firing++
		} else {
			v.Resolved++
		}
	}
	v.Stretch = len(s.Windows) == 1 && s.Windows[0].Name == drift.WindowStretch
	first := lookFirst(s.Windows)
	for i := range s.Windows {
		v.Windows = append(v.Windows, newWindow(&s.Windows[i], edges, i == first))
		for k := range v.Windows[i].Features {
			f := &v.Windows[i].Features[k]
			f.Unwatched = slices.ContainsFunc(s.Reference.Unwatched, func(u model.Unwatched) bool { return u.Feature == f.Feature })
		}
	}
	if len(s.Windows) > 1 {
		v.Overview = newOverview(s.Windows)
	}
	for _, p := range s.Outcomes.Versions {
		v.Versions = append(v.Versions, newPerformance(p))
	}
	return v
}

// severity orders states.
func severity(state string) int {
	switch state {
	case drift.Act:
		return 2
	case drift.Watch:
		return 1
	}
	return 0
}

// lookFirst is the window that shows most: the worst one, of equally bad ones the
// one with the most decisions.
func lookFirst(windows []drift.WindowStatus) int {
	best := 0
	for i := range windows {
		w, b := &windows[i], &windows[best]
		if c := cmp.Compare(severity(w.State), severity(b.State)); c > 0 || c == 0 && w.Decisions > b.Decisions {
			best = i
		}
	}
	return best
}

// bySeverity puts the worst first: by state, then by how close the evidence came to
// the threshold, then by PSI. Evidence below what is worth a look orders nothing:
// chance alone makes some.
func bySeverity(a, b *drift.FeatureStatus) int {
	return cmp.Or(
		cmp.Compare(severity(b.State), severity(a.State)),
		cmp.Compare(nearness(b), nearness(a)),
		cmp.Compare(b.PSI, a.PSI),
	)
}

func nearness(f *drift.FeatureStatus) float64 {
	if f.Threshold > 0 && f.Evidence >= sequential.Watch {
		return f.Evidence / f.Threshold
	}
	return 0
}

func newWindow(w *drift.WindowStatus, edges Edges, open bool) window {
	out := window{WindowStatus: *w, Title: windowTitle(w.Name), Open: open}
	for i := range w.Features {
		out.Features = append(out.Features, newFeature(&w.Features[i], edges, open))
	}
	slices.SortStableFunc(out.Features, func(a, b feature) int { return bySeverity(&a.FeatureStatus, &b.FeatureStatus) })
	out.Score = newFeature(&w.Score, edges, open)
	at := 0.0
	for _, s := range []share{{schemas.Approve, 0, w.Rates.Approve}, {schemas.Refer, 0, w.Rates.Refer}, {schemas.Decline, 0, w.Rates.Decline}} {
		s.At, s.Part = at, 100*s.Part
		at += s.Part
		out.Decided = append(out.Decided, s)
	}
	for _, g := range w.Groups {
		out.Groups = append(out.Groups, newGroup(g))
	}
	return out
}

// newFeature draws a feature; bins that can be pointed at take room.
func newFeature(f *drift.FeatureStatus, edges Edges, pointed bool) feature {
	out := feature{FeatureStatus: *f, Doc: featureDoc(f.Feature)}
	names := binNames(f.Feature, edges[f.Feature], len(f.Current))
	if !pointed {
		names = nil
	}
	out.Chart = newChart(f.Reference, f.Current, names)
	return out
}

// newOverview is every feature of the windows, the one that is worst anywhere
// first. Windows of one status have the same features in the same order.
func newOverview(windows []drift.WindowStatus) (rows []overview) {
	for i := range windows[0].Features {
		row := overview{Feature: windows[0].Features[i].Feature, Doc: featureDoc(windows[0].Features[i].Feature)}
		for w := range windows {
			if i < len(windows[w].Features) {
				row.Cells = append(row.Cells, windows[w].Features[i])
			}
		}
		rows = append(rows, row)
	}
	score := overview{Feature: "score", Doc: featureDoc("score")}
	for w := range windows {
		score.Cells = append(score.Cells, windows[w].Score)
	}
	rows = append(rows, score)
	worst := func(o overview) *drift.FeatureStatus {
		cell := slices.MinFunc(o.Cells, func(a, b drift.FeatureStatus) int { return bySeverity(&a, &b) })
		return &cell
	}
	slices.SortStableFunc(rows, func(a, b overview) int { return bySeverity(worst(a), worst(b)) })
	return rows
}

// Scales of the small pictures of intervals.
const (
	intervalWidth = 120.0
	mostRatio     = 1.5 // of approval rates that is drawn
)

func onScale(v, most float64) float64 {
	part := v / most
	if !(part > 0) { // nor what is no number
		return 0
	}
	return intervalWidth * min(part, 1)
}

func newGroup(g drift.GroupStatus) group {
	return group{GroupStatus: g, Doc: groupDoc(g.Attribute), Span: interval{
		Low: onScale(g.Lower, mostRatio), High: onScale(g.Upper, mostRatio), At: onScale(g.Ratio, mostRatio),
		Mark: onScale(g.Limit, mostRatio), HasMark: true,
	}}
}

func newPerformance(p drift.PerformanceStatus) performance {
	out := performance{PerformanceStatus: p, AUCLow: max(0, p.AUC-statistic.Normal95*p.AUCError), AUCHigh: min(1, p.AUC+statistic.Normal95*p.AUCError)}
	most := 0.0
	for _, b := range p.Bands {
		most = max(most, b.Upper, b.Expected)
	}
	most = max(most, 0.01) // of nothing but zeros
	for _, b := range p.Bands {
		out.Bands = append(out.Bands, band{BandStatus: b, Name: probabilityRange(b.From, b.To), Span: interval{
			Low: onScale(b.Lower, most), High: onScale(b.Upper, most), At: onScale(b.Observed, most), Mark: onScale(b.Expected, most), HasMark: true,
		}})
	}
	return out
}
