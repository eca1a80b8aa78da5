package judging

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"maps"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/schemas"
)

// mostState bounds what a state unpacks to.
const mostState = 16 << 20

// State is what an evaluation goes on from, between two panes. Its alerts are in the
// status that goes with it.
type State struct {
	Next   int64 `json:"next"`   // offset of the first pane that it has not folded
	Oldest int64 `json:"oldest"` // offset of the first pane that a window needs

	Reference    string               `json:"reference"`
	ModelVersion string               `json:"model_version"`
	Policy       string               `json:"policy"`
	Block        *Tally               `json:"block"`
	Opened       schemas.Timestamp    `json:"opened"`
	Clocks       clocks               `json:"clocks"` // by partition
	Moved        int64                `json:"moved"`  // microseconds
	Tests        map[string][][]int64 `json:"tests"`  // cells of each block that is looked back at
	Past         []blockSpan          `json:"past"`
	Performance  performances         `json:"performance"`

	Newest    schemas.Timestamp `json:"newest"`
	Seen      schemas.Timestamp `json:"seen"`
	Decisions int64             `json:"decisions"`
	Read      int64             `json:"read"`
	Matched   int64             `json:"matched"`
	Unmatched int64             `json:"unmatched"`
	Repeated  int64             `json:"repeated"`
	Late      int64             `json:"late"`
	Declined  int64             `json:"declined"`
	drift.OutcomesApart
}

// snapshot is what the judge would go on from.
func (j *judge) snapshot(oldest int64) *State {
	s := &State{
		Next: j.next, Oldest: oldest,
		Reference: j.champion.Digest, ModelVersion: j.champion.ModelVersion, Policy: j.champion.Policy.Version,
		Block: j.block, Opened: j.opened, Clocks: j.clocks, Moved: j.moved, Tests: map[string][][]int64{}, Past: j.past, Performance: j.performance,
		Newest: j.newest, Seen: j.seen, Decisions: j.decisions,
		Read: j.read, Matched: j.matched, Unmatched: j.unmatched, Repeated: j.repeated, Late: j.late, Declined: j.declined, OutcomesApart: j.apart,
	}
	for _, t := range j.tests {
		s.Tests[t.name] = t.test.Past
	}
	return s
}

// resume is a judge that goes on from a state and the alerts told by then. What
// was compared with another reference than the champion's begins anew: serve says
// what that takes back.
func resume(settings Settings, c *drift.Champion, s *State, told []drift.AlertStatus, now schemas.Timestamp) (*judge, []schemas.Alert) {
	j := newJudge(settings, c)
	j.next, j.newest, j.seen, j.decisions = s.Next, s.Newest, s.Seen, s.Decisions
	j.read, j.matched, j.unmatched, j.repeated, j.late, j.declined = s.Read, s.Matched, s.Unmatched, s.Repeated, s.Late, s.Declined
	j.apart = s.OutcomesApart
	maps.Copy(j.clocks, s.Clocks)
	for i := range told {
		j.alerts[told[i].Alert.Alert] = &told[i]
	}
	for version, p := range s.Performance {
		j.performance[version] = p
		p.look()
	}
	if s.Reference != c.Digest || s.ModelVersion != c.ModelVersion || s.Block == nil || !s.Block.fits(c.Reference) {
		return j, j.takeBack("drift/", now)
	}
	j.block, j.opened, j.moved, j.past = s.Block.clone(c.Reference), s.Opened, s.Moved, s.Past
	var back []schemas.Alert
	for _, t := range j.tests {
		if t.name == drift.DecisionsName && s.Policy != c.Policy.Version {
			j.block.Decided = drift.Decided{}
			if a := j.alerts.resolve(driftAlert(drift.DecisionsName), now); a != nil {
				back = append(back, *a)
			}
			continue
		}
		if past := s.Tests[t.name]; t.test.Cells.Fit(past) && len(past) <= sequential.Blocks && len(past) <= len(s.Past) {
			t.test.Past = past
		}
		t.reading = t.test.Read()
	}
	return j, back
}

// pack is the state as it is stored.
func (s *State) pack() ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("evaluator state: %w", err)
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// UnpackState reads what Evaluation.State returned.
func UnpackState(packed []byte) (*State, error) {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), mostState+1))
	if err != nil {
		return nil, fmt.Errorf("evaluator state: %w", err)
	}
	if len(text) > mostState {
		return nil, fmt.Errorf("evaluator state: unpacks to more than %d bytes", mostState)
	}
	s := &State{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("evaluator state: %w", err)
	}
	for version, p := range s.Performance {
		if p == nil {
			return nil, fmt.Errorf("evaluator state: performance of %s is null", version)
		}
	}
	return s, nil
}
