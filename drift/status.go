package drift

import (
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// How far a statistic is from what was expected.
const (
	Quiet = "quiet"
	Watch = "watch" // worth a look; no alert
	Act   = "act"   // an alert fires
)

// What is compared with the reference besides the features.
const (
	ScoreName     = "score"
	DecisionsName = "decisions"
)

// Status is one evaluation: every statistic over every window and the state of
// every alert (topic drift status; GET /drift; drift_status.json).
type Status struct {
	EvaluatedAt   schemas.Timestamp `json:"evaluated_at"`
	State         string            `json:"state"`     // the worst there is: quiet, watch or act
	Reference     ReferenceInfo     `json:"reference"` // that features and scores are compared with
	ModelVersions []string          `json:"model_versions"`
	LastDecision  schemas.Timestamp `json:"last_decision"` // bucket of the newest decision; zero: none
	Decisions     int64             `json:"decisions"`     // folded in all
	Windows       []WindowStatus    `json:"windows"`       // shortest first
	Outcomes      OutcomeStatus     `json:"outcomes"`
	Alerts        []AlertStatus     `json:"alerts"`                   // firing, and those resolved lately
	AlertsUnknown string            `json:"alerts_unknown,omitempty"` // why there may be others than Alerts; empty: they are all
}

// ReferenceInfo names a reference distribution.
type ReferenceInfo struct {
	Digest       string `json:"digest"` // sha256:<hex> of its bins and counts
	ModelVersion string `json:"model_version"`
	Rows         int64  `json:"rows"`
	// Unwatched are the features whose values may change without a bin showing it.
	Unwatched []model.Unwatched `json:"unwatched"`
}

// WindowStretch names the one window of a status that is of a stretch of time, and of
// no evaluator's: its evidence is that of all its decisions at one look, and its alerts
// are those that fired at some time of it.
const WindowStretch = "stretch"

// WindowStatus is what one window shows.
type WindowStatus struct {
	Name      string            `json:"name"` // "1000", "10000", "1h", "24h"; WindowStretch
	From      schemas.Timestamp `json:"from"`
	To        schemas.Timestamp `json:"to"`
	Decisions int64             `json:"decisions"` // that are in it
	State     string            `json:"state"`
	Features  []FeatureStatus   `json:"features"` // in the reference's order
	Score     FeatureStatus     `json:"score"`    // of the champion's log-odds
	Rates     RateStatus        `json:"rates"`
	Groups    []GroupStatus     `json:"groups"`
	Expected  []ExpectedStatus  `json:"expected"` // by model version
}

// ExpectedStatus is how well a version's scores are expected to do, before any
// outcome is known: an estimate, right as far as each decision's probability of
// default is. It is of everybody decided on, granted a loan or not.
type ExpectedStatus struct {
	ModelVersion string  `json:"model_version"`
	Decisions    int64   `json:"decisions"`
	DefaultRate  float64 `json:"default_rate"`
	AUC          float64 `json:"auc"`
	Gini         float64 `json:"gini"`
	Brier        float64 `json:"brier"`
	LogLoss      float64 `json:"log_loss"`
}

// FeatureStatus is one feature's distribution in a window against the reference.
type FeatureStatus struct {
	Feature string `json:"feature"` // ScoreName for the score
	State   string `json:"state"`
	// Evidence decides: -log10 of the probability that chance makes a difference as
	// large, at one look; 0 of one whose PSI is below 0.02. Where an evaluator works it
	// is that of the last blocks of decisions, the same in every window.
	Evidence    float64 `json:"evidence"`
	Threshold   float64 `json:"threshold"`    // at which Evidence says act: more for a smaller PSI
	EvidencePSI float64 `json:"evidence_psi"` // PSI of the decisions that Evidence is of
	EvidenceOf  int64   `json:"evidence_of"`  // how many decisions those are
	// PSI is the population stability index that decides, of this window: over bins of
	// which those too rare to be judged alone are one, less what chance adds, from 0.
	PSI           float64 `json:"psi"`
	PSIAllBins    float64 `json:"psi_all_bins"`   // as it is commonly computed: over every bin, chance included
	JensenShannon float64 `json:"jensen_shannon"` // distance, base 2, 0 … 1
	KS            float64 `json:"ks"`             // largest distance of the distribution functions
	Wasserstein   float64 `json:"wasserstein"`    // in standard deviations of the reference
	ChiSquare     float64 `json:"chi_square"`
	ChiSquareP    float64 `json:"chi_square_p"`
	Missing       float64 `json:"missing"`      // share
	OutOfRange    float64 `json:"out_of_range"` // share
	Reference     []int64 `json:"reference"`    // counts, missing and out of range left out
	Current       []int64 `json:"current"`
}

// RateStatus are the shares of decisions.
type RateStatus struct {
	Approve         float64 `json:"approve"`
	Refer           float64 `json:"refer"`
	Decline         float64 `json:"decline"`
	DefaultExpected float64 `json:"default_expected"` // mean default_probability: an estimate, as long as no outcome is known
	State           string  `json:"state"`
	Evidence        float64 `json:"evidence"` // this and what follows: see FeatureStatus
	Threshold       float64 `json:"threshold"`
	EvidencePSI     float64 `json:"evidence_psi"`
	EvidenceOf      int64   `json:"evidence_of"`
	// Of the three shares against what the policy would have decided on the
	// reference's scores.
	PSI           float64 `json:"psi"`
	PSIAllBins    float64 `json:"psi_all_bins"`
	JensenShannon float64 `json:"jensen_shannon"`
	ChiSquare     float64 `json:"chi_square"`
	ChiSquareP    float64 `json:"chi_square_p"`
	Reference     []int64 `json:"reference"` // approve, refer, decline
}

// GroupStatus compares a protected group's approvals with those of the group
// that is approved most often.
type GroupStatus struct {
	Attribute string  `json:"attribute"`
	Group     string  `json:"group"`
	Decisions int64   `json:"decisions"`
	Approved  float64 `json:"approved"` // share
	Ratio     float64 `json:"ratio"`    // of the approval rates
	Lower     float64 `json:"lower"`    // 95 % interval of Ratio
	Upper     float64 `json:"upper"`
	Limit     float64 `json:"limit"`  // that Ratio is held against: worth a look where Upper is below it
	Judged    bool    `json:"judged"` // whether the group is large enough to be held against it
	State     string  `json:"state"`
}

// OutcomeStatus is what really happened to the loans that were granted.
type OutcomeStatus struct {
	Read      int64 `json:"read"`
	Matched   int64 `json:"matched"`
	Unmatched int64 `json:"unmatched"`
	Duplicate int64 `json:"duplicate"`
	Late      int64 `json:"late"`     // of those matched: told long after they were observed
	Declined  int64 `json:"declined"` // of those matched: of an application that was declined, so of no loan that was granted; in no figure of Versions
	// Of those unmatched: of a decision before the last 8 on its application.
	TooOld int64 `json:"outcome_too_old"`
	// Of those unmatched: observed before every decision on its application.
	Before int64 `json:"outcome_before_decision"`
	// Of those read: the record's key is not the application_id, which is what joins.
	KeyDiffers int64               `json:"outcome_key_differs"`
	Versions   []PerformanceStatus `json:"versions"`
}

// PerformanceStatus is how well one version's scores foresaw the outcomes. The
// figures hold for loans that were granted: nothing is known of the others.
type PerformanceStatus struct {
	ModelVersion string       `json:"model_version"`
	Loans        int64        `json:"loans"`
	Defaulted    int64        `json:"defaulted"`
	AUC          float64      `json:"auc"`
	AUCError     float64      `json:"auc_standard_error"`
	Gini         float64      `json:"gini"`
	KS           float64      `json:"ks"`
	Brier        float64      `json:"brier"`
	LogLoss      float64      `json:"log_loss"`
	ECE          float64      `json:"ece"`
	Observed     float64      `json:"observed"` // default rate
	Expected     float64      `json:"expected"` // mean default_probability
	Lower        float64      `json:"lower"`    // 95 % Jeffreys interval of Observed
	Upper        float64      `json:"upper"`
	Bands        []BandStatus `json:"bands"` // by score, safest first
	State        string       `json:"state"`
}

// BandStatus is one band of scores.
type BandStatus struct {
	From      float64 `json:"from"` // log-odds
	To        float64 `json:"to"`
	Loans     int64   `json:"loans"`
	Defaulted int64   `json:"defaulted"`
	Observed  float64 `json:"observed"`
	Expected  float64 `json:"expected"`
	Lower     float64 `json:"lower"`
	Upper     float64 `json:"upper"`
}

// AlertStatus is an alert as it was last told, and the evaluator's memory of it. The
// alert's own figures are those of when it came into its state.
type AlertStatus struct {
	schemas.Alert
	Calm int           `json:"calm"`          // evaluations in a row that were back below: hysteresis
	Now  *AlertFigures `json:"now,omitempty"` // what the newest look says of one that fires; absent before one
}

// AlertFigures are what a look says of an alert that fires.
type AlertFigures struct {
	EvaluatedAt schemas.Timestamp `json:"evaluated_at"`
	Statistic   string            `json:"statistic"`
	Value       float64           `json:"value"`
	Threshold   float64           `json:"threshold"`
}
