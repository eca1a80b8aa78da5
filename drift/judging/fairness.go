package judging

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/statistic"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// FourFifths is the ratio of approval rates below which a practice is suspected
	// of disparate impact (29 CFR 1607.4 D).
	FourFifths = 0.8
	// Groups with fewer decisions, or with a smaller share of them, are shown and
	// not judged: a few decisions more or less would change the answer (the same
	// paragraph; 2 % is what its section 15 A asks records of).
	fairDecisions = 200
	fairShare     = 0.02
	// fairAct is the evidence from which an alert fires. The whole 95 % interval
	// lies below the limit long before; but there are many groups and many looks,
	// and the group that is approved most often is partly so by chance.
	fairAct = 8
	// fairGone is the evidence below which an alert may end, fairRecent how many
	// blocks are looked at by themselves to see that a ratio is back.
	fairGone   = 4
	fairRecent = 4
)

// fairness compares the approval rate of every protected group with that of the
// group of the same attribute that is approved most often, among those large
// enough, and holds the ratio against a limit. The decisions are given by
// attribute/group.
func fairness(groups map[string]drift.Decided, limit float64) []drift.GroupStatus {
	byAttribute := map[string][]drift.GroupStatus{}
	counts := map[string]drift.Decided{}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		d := groups[name]
		attribute, group, _ := strings.Cut(name, "/")
		counts[name] = d
		byAttribute[attribute] = append(byAttribute[attribute], drift.GroupStatus{
			Attribute: attribute, Group: group, Decisions: d.Total(), State: drift.Quiet,
			Approved: statistic.Share(d.Approve, d.Total()), Ratio: 1, Lower: 1, Upper: 1, Limit: limit,
		})
	}
	all := []drift.GroupStatus{}
	for _, attribute := range slices.Sorted(maps.Keys(byAttribute)) {
		list := byAttribute[attribute]
		total := int64(0)
		for _, g := range list {
			total += g.Decisions
		}
		// The most often approved; the largest while none is large enough.
		best := slices.MaxFunc(list, func(a, b drift.GroupStatus) int {
			aJudged, bJudged := judged(a, total), judged(b, total)
			switch {
			case aJudged && bJudged:
				return cmp.Compare(a.Approved, b.Approved)
			case aJudged:
				return 1
			case bJudged:
				return -1
			}
			return cmp.Compare(a.Decisions, b.Decisions)
		})
		for _, g := range list {
			if g.Group != best.Group {
				a, b := counts[groupName(attribute, g.Group)], counts[groupName(attribute, best.Group)]
				g.Ratio, g.Lower, g.Upper = statistic.Ratio(a.Approve, g.Decisions, b.Approve, best.Decisions)
			}
			if g.Judged = judged(g, total); g.Judged && g.Upper < limit {
				if g.State = drift.Watch; belowLimit(g) >= fairAct {
					g.State = drift.Act
				}
			}
			all = append(all, g)
		}
	}
	return all
}

// belowLimit is the evidence that a ratio is below its limit: -log10 of the
// probability of one as small at one look if it were not.
func belowLimit(g drift.GroupStatus) float64 {
	if g.Upper <= g.Lower { // the group that the others are compared with
		return 0
	}
	standardError := math.Log(g.Upper/g.Lower) / (2 * statistic.Normal95)
	return statistic.NormalEvidence(math.Log(g.Limit/g.Ratio) / standardError)
}

// judged says whether a group is large enough to be compared, and one at all.
func judged(g drift.GroupStatus, total int64) bool {
	return g.Group != schemas.GroupMissing && g.Group != drift.GroupOutOfRange && g.Decisions >= fairDecisions && float64(g.Decisions) >= fairShare*float64(total)
}
