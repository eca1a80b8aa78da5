// Package judge weighs a canary or a shadow against the champion by what the stream
// says of them since the route that names them: promote, hold or roll back.
package judge

import (
	"github.com/DataDog/sketches-go/ddsketch"

	"github.com/creditstream/creditstream/drift/statistic"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Unknown is the outcome of a loan that nothing has been heard of. Others are 1,
// defaulted, and 0, not.
const Unknown int8 = -1

// latencyAccuracy is the relative error of latencies.
const latencyAccuracy = 0.01

// Tally counts what a route's models decided.
type Tally struct {
	split            model.Split
	unreadable       int64 // applications without a readable id that could not be scored
	champion, canary arm
	shadow           pairs
}

// arm is what one model decided.
type arm struct {
	n, approved int64
	errors      int64 // applications of this arm that could not be scored
	scores      statistic.Scores
	latency     *ddsketch.DDSketch // applied to decided, seconds
	defaulted   []bool             // of the applications whose outcome is known
	probability []float32          // theirs
	granted     int                // how many of those were approved
}

// pairs are what the champion and the shadow said of the same applications.
type pairs struct {
	n, flips            int64
	champion, shadow    statistic.Scores
	approved            [2]int64
	change              statistic.Mean // of approvals: 1 gained, −1 lost
	defaulted           []bool
	byChampion, byShade []float32
	granted             int // how many of those with an outcome the champion approved
}

// NewTally counts from nothing. split says which arm an application falls to.
func NewTally(split model.Split) (*Tally, error) {
	t := &Tally{split: split}
	for _, a := range []*arm{&t.champion, &t.canary} {
		var err error
		if a.latency, err = ddsketch.NewDefaultDDSketch(latencyAccuracy); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Add takes a prediction in and what became of the loan.
func (t *Tally) Add(p *schemas.Prediction, defaulted int8) error {
	a := t.arm(p.Route == schemas.RouteCanary)
	a.n++
	if p.Decision == schemas.Approve {
		a.approved++
	}
	a.scores.Add(p.DefaultProbability)
	if defaulted != Unknown {
		a.defaulted = append(a.defaulted, defaulted == 1)
		a.probability = append(a.probability, p.DefaultProbability)
		if p.Decision == schemas.Approve {
			a.granted++
		}
	}
	if p.Shadow != nil && p.Route == schemas.RouteChampion {
		t.shadow.add(p, defaulted)
	}
	return a.latency.Add(max(0, p.DecidedAt.Time().Sub(p.AppliedAt.Time()).Seconds())) // applied_at is by another clock
}

// AddError takes an application in that could not be scored. It is an error of the
// arm that would have decided it.
func (t *Tally) AddError(id string) { t.arm(t.split.IsCanary(id)).errors++ }

// AddUnreadable takes an application in that could not be scored and whose
// application_id cannot be read: nobody knows which arm would have decided it, and
// it counts for neither.
func (t *Tally) AddUnreadable() { t.unreadable++ }

func (t *Tally) arm(canary bool) *arm {
	if canary {
		return &t.canary
	}
	return &t.champion
}

func (s *pairs) add(p *schemas.Prediction, defaulted int8) {
	s.n++
	if p.Decision != p.Shadow.Decision {
		s.flips++
	}
	change := 0.0
	if p.Decision == schemas.Approve {
		s.approved[0]++
		change--
	}
	if p.Shadow.Decision == schemas.Approve {
		s.approved[1]++
		change++
	}
	s.change.Add(change)
	s.champion.Add(p.DefaultProbability)
	s.shadow.Add(p.Shadow.DefaultProbability)
	if defaulted != Unknown {
		s.defaulted = append(s.defaulted, defaulted == 1)
		s.byChampion = append(s.byChampion, p.DefaultProbability)
		s.byShade = append(s.byShade, p.Shadow.DefaultProbability)
		if p.Decision == schemas.Approve {
			s.granted++
		}
	}
}

// Limits are what a candidate is held to.
type Limits struct {
	MinN              int64   `json:"min_n"`               // decisions of each arm, or of both models
	MinOutcomes       int64   `json:"min_outcomes"`        // of either kind, in each arm, before AUC counts
	MaxApprovalChange float64 `json:"max_approval_change"` // of the approval rate, either way
	MaxPSI            float64 `json:"max_score_psi"`
	MaxErrors         float64 `json:"max_errors"` // by how much the share that cannot be scored may be higher
	MaxLatency        float64 `json:"max_latency"`
	MaxFlips          float64 `json:"max_flips"`
	MaxAUCLoss        float64 `json:"max_auc_loss"`
}

// Verdicts.
const (
	Promote  = "promote"
	Hold     = "hold"      // too few figures, or unclear ones
	RollBack = "roll back" // a limit is broken for certain
)

// What a check came to.
const (
	Pass    = "pass"
	Fail    = "fail"       // the limit is broken, and not by chance
	Unclear = "unclear"    // the limit lies within what chance may do
	Skipped = "not judged" // there is nothing to judge it by, which holds nothing up
)

// Check is one figure against its limit.
type Check struct {
	Name     string   `json:"check"`
	Result   string   `json:"result"`
	Champion *float64 `json:"champion,omitempty"`
	Subject  *float64 `json:"candidate,omitempty"`
	Value    float64  `json:"value"` // what is judged
	Lower    *float64 `json:"lower"` // of its 95 % interval; null where it has none
	Upper    *float64 `json:"upper"`
	Limit    float64  `json:"limit"`
	Says     string   `json:"says"`
}

// Judgement is a candidate's.
type Judgement struct {
	Role         string `json:"role"` // canary or shadow
	ModelVersion string `json:"model_version"`
	Verdict      string `json:"verdict"`
	Why          string `json:"why"`
	N            int64  `json:"n"`          // its decisions
	ChampionN    int64  `json:"champion_n"` // what they are compared with
	// Of a canary's route: applications that could not be scored and have no readable
	// application_id. They count for neither of the two.
	Unreadable int64       `json:"unreadable_errors"`
	Latency    *[2]Latency `json:"latency,omitempty"`
	Checks     []Check     `json:"checks"`
}

// Latency is from applied to decided, in seconds: of the champion, then the canary.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}
