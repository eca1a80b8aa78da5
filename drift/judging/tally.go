package judging

import (
	"slices"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Tally is the sum of any number of panes of predictions over one reference.
type Tally struct {
	Decisions     int64                    `json:"decisions"`
	From          schemas.Timestamp        `json:"from"`          // start of the first bucket
	To            schemas.Timestamp        `json:"to"`            // end of the last
	Features      [][]int64                `json:"features"`      // bins, then missing, then out of range
	Scores        []int64                  `json:"scores"`        // the champion's, in the reference's bins
	Decided       drift.Decided            `json:"decided"`       // by the champion
	Probabilities float64                  `json:"probabilities"` // sum of the champion's
	Groups        map[string]drift.Decided `json:"groups"`        // by attribute/group
	Versions      map[string]int64         `json:"versions"`      // decisions of each

	scores map[string]*scoreCounts // of each version; not stored: blocks have no use for them
}

// NewTally is an empty one.
func NewTally(reference *model.Reference) *Tally {
	t := &Tally{Scores: make([]int64, len(reference.Scores.Counts)), Groups: map[string]drift.Decided{}, Versions: map[string]int64{}, scores: map[string]*scoreCounts{}}
	for _, f := range reference.Features {
		t.Features = append(t.Features, make([]int64, len(f.Counts)+2))
	}
	return t
}

// Add counts a pane of predictions over the champion's reference. It says whether
// it could: a pane of another reference has other bins.
func (t *Tally) Add(p *drift.Pane, c *drift.Champion) bool {
	if p.Reference != c.Digest || len(p.Features) != len(t.Features) {
		return false
	}
	for i, f := range p.Features {
		if len(f.Bins) != len(t.Features[i])-2 {
			return false
		}
	}
	t.extend(p.Bucket, p.End())
	t.Decisions += p.Decisions
	for i, f := range p.Features {
		bins := t.Features[i]
		for j, n := range f.Bins {
			bins[j] += n
		}
		bins[len(f.Bins)] += f.Missing
		bins[len(f.Bins)+1] += f.OutOfRange
	}
	for _, g := range p.Groups {
		t.Groups[groupName(g.Attribute, g.Group)] = t.Groups[groupName(g.Attribute, g.Group)].Plus(g.Decided)
	}
	for i := range p.Versions {
		v := &p.Versions[i]
		t.Versions[v.ModelVersion] += v.Total()
		t.scoresOf(v.ModelVersion).add(v.Scores)
		if v.Route != schemas.RouteChampion || v.ModelVersion != c.ModelVersion {
			continue
		}
		t.Decided = t.Decided.Plus(v.Decided)
		t.Probabilities += v.Probabilities
		for bin, n := range v.Scores {
			t.Scores[c.Reference.Scores.Bin(drift.ScoreFrom(bin)+drift.ScoreWidth/2)] += n
		}
	}
	return true
}

// Merge adds another tally over the same reference.
func (t *Tally) Merge(o *Tally) {
	if o.Decisions == 0 {
		return
	}
	t.extend(o.From, o.To)
	t.Decisions += o.Decisions
	for i, bins := range o.Features {
		for j, n := range bins {
			t.Features[i][j] += n
		}
	}
	for i, n := range o.Scores {
		t.Scores[i] += n
	}
	t.Decided = t.Decided.Plus(o.Decided)
	t.Probabilities += o.Probabilities
	for g, d := range o.Groups {
		t.Groups[g] = t.Groups[g].Plus(d)
	}
	for v, n := range o.Versions {
		t.Versions[v] += n
	}
	for v, counts := range o.scores {
		t.scoresOf(v).merge(counts)
	}
}

func (t *Tally) scoresOf(version string) *scoreCounts {
	c := t.scores[version]
	if c == nil {
		c = &scoreCounts{}
		t.scores[version] = c
	}
	return c
}

func (t *Tally) extend(from, to schemas.Timestamp) {
	if t.Decisions == 0 {
		t.From, t.To = from, to
		return
	}
	t.From, t.To = min(t.From, from), max(t.To, to)
}

// fits says whether a tally that was stored has the reference's bins.
func (t *Tally) fits(reference *model.Reference) bool {
	if len(t.Features) != len(reference.Features) || len(t.Scores) != len(reference.Scores.Counts) {
		return false
	}
	for i, f := range reference.Features {
		if len(t.Features[i]) != len(f.Counts)+2 {
			return false
		}
	}
	return true
}

// clone is a copy that shares nothing.
func (t *Tally) clone(reference *model.Reference) *Tally {
	c := NewTally(reference)
	c.Merge(t)
	return c
}

func (t *Tally) versions() []string {
	names := make([]string, 0, len(t.Versions))
	for v := range t.Versions {
		names = append(names, v)
	}
	slices.Sort(names)
	return names
}

func groupName(attribute, group string) string { return attribute + "/" + group }
