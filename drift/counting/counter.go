package counting

import (
	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// Counter counts decisions into a pane. It serves one goroutine at a time.
type Counter struct {
	bins      *Bins
	groups    *[len(protected)]groupTable
	decisions int64
	features  []int64 // Bins' slots
	byGroup   [len(protected)][]decided
	versions  []*versionCounter
	last      *versionCounter // that was counted last: mostly the next, too
}

// decided counts decisions; see decisionIndex.
type decided [3]int64

func decisionIndex(decision string) int {
	switch decision {
	case schemas.Approve:
		return 0
	case schemas.Refer:
		return 1
	}
	return 2
}

func (d *decided) counts() drift.Decided {
	return drift.Decided{Approve: d[0], Refer: d[1], Decline: d[2]}
}

// versionCounter are the decisions of one version on one route and channel, beside
// one shadow.
type versionCounter struct {
	model, route, channel, shadow string

	decided       decided
	defaults      int64
	probabilities float64
	scores        [drift.ScoreBins]int64
	flips         int64
	shadowScores  [drift.ScoreBins]int64
}

// NewCounter returns a counter over a reference's bins.
func NewCounter(b *Bins) *Counter {
	c := &Counter{bins: b, groups: groupTables(), features: make([]int64, b.slots)}
	for i := range c.groups {
		c.byGroup[i] = make([]decided, len(c.groups[i].names))
	}
	return c
}

// Add counts a decision.
func (c *Counter) Add(p *schemas.Prediction) {
	c.decisions++
	for i := range c.bins.features {
		c.features[c.bins.features[i].slot(p.Features[i])]++
	}
	d := decisionIndex(p.Decision)
	for i := range c.groups {
		g := &c.groups[i]
		c.byGroup[i][g.index(p.Features[g.feature])][d]++
	}
	shadow := ""
	if p.Shadow != nil {
		shadow = p.Shadow.ModelVersion
	}
	v := c.last
	if v == nil || v.model != p.ModelVersion || v.route != p.Route || v.channel != p.Channel || v.shadow != shadow {
		v = c.version(p, shadow)
		c.last = v
	}
	v.decided[d]++
	v.defaults += int64(p.DefaultPrediction)
	v.probabilities += float64(p.DefaultProbability)
	v.scores[scoreIndex(p.DefaultProbability)]++
	if s := p.Shadow; s != nil {
		v.shadowScores[scoreIndex(s.DefaultProbability)]++
		if s.Decision != p.Decision {
			v.flips++
		}
	}
}

func scoreIndex(probability float32) int {
	return int(drift.ScoreBin(float64(probability)) - drift.FirstScore)
}

func (c *Counter) version(p *schemas.Prediction, shadow string) *versionCounter {
	for _, v := range c.versions {
		if v.model == p.ModelVersion && v.route == p.Route && v.channel == p.Channel && v.shadow == shadow {
			return v
		}
	}
	v := &versionCounter{model: p.ModelVersion, route: p.Route, channel: p.Channel, shadow: shadow}
	c.versions = append(c.versions, v)
	return v
}

// Decisions is how many were counted.
func (c *Counter) Decisions() int64 { return c.decisions }

// Reset forgets what was counted, and counts over another reference's bins from
// now on.
func (c *Counter) Reset(b *Bins) {
	if c.bins != b {
		c.bins, c.features = b, make([]int64, b.slots)
	}
	clear(c.features)
	for i := range c.byGroup {
		clear(c.byGroup[i])
	}
	c.decisions, c.versions, c.last = 0, nil, nil
}

// Fill writes what was counted into a pane, which gets memory of its own.
func (c *Counter) Fill(p *drift.Pane) {
	if c.decisions == 0 {
		return
	}
	p.Reference, p.Decisions = c.bins.Reference, c.decisions
	for i := range c.bins.features {
		f := &c.bins.features[i]
		n := len(f.ends)
		at := c.features[f.first : f.first+n+2]
		p.Features = append(p.Features, drift.FeatureCounts{Bins: append([]int64(nil), at[:n]...), Missing: at[n], OutOfRange: at[n+1]})
	}
	for i := range c.groups {
		for k, name := range c.groups[i].names {
			if d := c.byGroup[i][k].counts(); d.Total() > 0 {
				p.Groups = append(p.Groups, drift.GroupCounts{Attribute: c.groups[i].name, Group: name, Decided: d})
			}
		}
	}
	for _, v := range c.versions {
		p.Versions = append(p.Versions, drift.VersionCounts{
			ModelVersion: v.model, Route: v.route, Channel: v.channel, Decided: v.decided.counts(),
			Defaults: v.defaults, Probabilities: v.probabilities, Scores: scoreCounts(&v.scores),
			ShadowVersion: v.shadow, ShadowFlips: v.flips, ShadowScores: scoreCounts(&v.shadowScores),
		})
	}
}

func scoreCounts(scores *[drift.ScoreBins]int64) (counts map[int32]int64) {
	for i, n := range scores {
		if n > 0 {
			if counts == nil {
				counts = map[int32]int64{}
			}
			counts[drift.FirstScore+int32(i)] = n
		}
	}
	return counts
}
