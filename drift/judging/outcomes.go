package judging

import (
	"maps"
	"slices"

	"github.com/creditstream/creditstream/drift"
)

// Outcomes is the sum of any number of panes of outcomes.
type Outcomes struct {
	sum drift.OutcomeStatus // but for its versions
	of  performances
}

// NewOutcomes is an empty one.
func NewOutcomes() *Outcomes { return &Outcomes{of: performances{}} }

// Add counts a pane of outcomes.
func (s *Outcomes) Add(p *drift.Pane) {
	s.sum.Read += p.Read
	s.sum.Matched += p.Matched
	s.sum.Unmatched += p.NoMatch
	s.sum.Duplicate += p.Repeated
	s.sum.Late += p.Late
	s.sum.Declined += p.Declined
	s.sum.TooOld += p.TooOld
	s.sum.Before += p.Before
	s.sum.KeyDiffers += p.KeyDiffers
	for i := range p.Outcomes {
		s.of.add(&p.Outcomes[i], p.Bucket, p.End())
	}
}

// Status is how each version's scores fared in these outcomes, judged by one look at
// all of them.
func (s *Outcomes) Status() drift.OutcomeStatus {
	status := s.sum
	status.Versions = []drift.PerformanceStatus{}
	for _, version := range slices.Sorted(maps.Keys(s.of)) {
		p := s.of[version]
		for _, m := range []miss{fall(p.Open.Loans), deviation(p.Open.Loans)} {
			if m.size >= m.least {
				p.reading.evidence = max(p.reading.evidence, m.evidence)
			}
		}
		status.Versions = append(status.Versions, p.status(version, p.reading.evidence >= performanceAct))
	}
	return status
}
