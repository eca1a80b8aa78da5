package stretch

import (
	"fmt"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// paneSum adds panes up as they come. Whether they serve is known at the end.
type paneSum struct {
	config   *Config
	covered  map[int32]kafka.Span // offsets of predictions that were counted, by partition
	records  map[int32]int64      // counted in these
	other    bool                 // a pane of the stretch was counted over another reference
	width    int64                // of the widest bucket, seconds
	added    int64
	tally    *judging.Tally
	outcomes *judging.Outcomes
	last     schemas.Timestamp // bucket of the newest decision
}

func newPaneSum(c *Config) *paneSum {
	return &paneSum{
		config: c, covered: map[int32]kafka.Span{}, records: map[int32]int64{}, width: 1,
		tally: judging.NewTally(c.Champion.Reference), outcomes: judging.NewOutcomes(),
	}
}

// add takes in one pane, of the stretch or not: what was counted is known from all.
func (s *paneSum) add(p *drift.Pane) {
	s.width = max(s.width, p.Width)
	within := p.End() > schemas.At(s.config.From) && p.Bucket < schemas.At(s.config.To)
	if p.Topic == s.config.Topics.Outcomes {
		if within {
			s.outcomes.Add(p)
		}
		return
	}
	c, there := s.covered[p.Partition]
	if !there {
		c = kafka.Span{From: p.From, To: p.To}
	}
	s.covered[p.Partition] = kafka.Span{From: min(c.From, p.From), To: max(c.To, p.To)}
	s.records[p.Partition] += p.Decisions + p.Malformed
	if !within || p.Decisions == 0 {
		return
	}
	if !s.tally.Add(p, s.config.Champion) {
		s.other = true
		return
	}
	s.added++
	s.last = max(s.last, p.Bucket)
}

// unfit says why the panes cannot stand for the stretch; empty: they can.
func (s *paneSum) unfit() string {
	if s.other {
		return "panes of the stretch were counted over another reference"
	}
	for partition, c := range s.covered {
		if s.records[partition] > c.To-c.From { // a group began anew, or another one counts as well
			return fmt.Sprintf("panes hold records of partition %d twice", partition)
		}
	}
	if len(s.covered) == 0 {
		return "there are no panes of it"
	}
	return ""
}

// uncovered is what of the spans lies before or behind what is covered. Between
// the first and the last pane of a partition there is no gap: panes and offsets
// are committed together.
func uncovered(spans, covered map[int32]kafka.Span) map[int32][]kafka.Span {
	rest := map[int32][]kafka.Span{}
	for partition, s := range spans {
		c, there := covered[partition]
		if !there || c.From >= s.To || c.To <= s.From {
			rest[partition] = []kafka.Span{s}
			continue
		}
		for _, part := range []kafka.Span{{From: s.From, To: c.From}, {From: c.To, To: s.To}} {
			if part.From < part.To {
				rest[partition] = append(rest[partition], part)
			}
		}
	}
	return rest
}
