package flags

import (
	"time"

	"github.com/creditstream/creditstream/drift/judging"
)

// Evaluator says over what drift is judged, and what its alerts wait for.
type Evaluator struct {
	Fairness Fairness `embed:"" group:"Alerts"`

	Windows   string        `help:"Windows of the statistics: numbers of decisions (a window exceeds its number by less than a fiftieth plus one pane) and times up to 24h." default:"1000,10000,1h,24h" placeholder:"LIST" group:"Alerts"`
	Silence   time.Duration `help:"Alert after this long without a decision." default:"5m" placeholder:"DURATION" group:"Alerts"`
	BlockTime time.Duration `help:"Minimum length of a block of decisions, which evidence is taken from." default:"5s" placeholder:"DURATION" group:"Alerts"`
	MinFiring time.Duration `help:"Minimum time that a drift alert fires." default:"1m" placeholder:"DURATION" group:"Alerts"`
}

// Fairness says what the approval rates of groups are compared with.
type Fairness struct {
	Ratio float64 `help:"Minimum ratio of a group's approval rate to that of the group approved most often; lower ratios are reported." default:"0.8" name:"fairness-ratio" placeholder:"RATIO"`
}

// Check refuses what no ratio can be.
func (f Fairness) Check() error {
	if !(f.Ratio > 0 && f.Ratio <= 1) {
		return Usagef("--fairness-ratio %v: expected more than 0, at most 1", f.Ratio)
	}
	return nil
}

// Config is how decisions are judged.
func (f *Evaluator) Config() (judging.Settings, error) {
	windows, err := judging.ParseWindows(f.Windows)
	if err != nil {
		return judging.Settings{}, Usagef("--windows: %w", err)
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"silence", f.Silence}, {"block-time", f.BlockTime}, {"min-firing", f.MinFiring}} {
		if d.value < time.Second {
			return judging.Settings{}, Usagef("--%s %s: expected at least 1s", d.flag, d.value)
		}
	}
	if err := f.Fairness.Check(); err != nil {
		return judging.Settings{}, err
	}
	return judging.Settings{
		Windows: windows, Quiet: f.Silence, BlockTime: f.BlockTime, MinFiring: f.MinFiring, Fairness: f.Fairness.Ratio,
	}, nil
}
