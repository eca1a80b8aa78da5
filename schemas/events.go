// Package schemas is the wire contract: event types, their validation and
// codecs, headers and the topic catalogue. It knows nothing else of the system.
package schemas

// Application is what an applicant handed in (topic applications, keyed by
// ApplicationID).
type Application struct {
	ApplicationID string
	AppliedAt     Timestamp
	Features      Features
}

// MaxReasons is the most adverse action reasons a prediction carries.
const MaxReasons = 4

// Channels a decision was asked through.
const (
	ChannelStream = "stream"
	ChannelAPI    = "api"
)

// Decisions.
const (
	Approve = "approve"
	Refer   = "refer"
	Decline = "decline"
)

// Routes a prediction was made on.
const (
	RouteChampion = "champion"
	RouteCanary   = "canary"
)

// Reason is one adverse action reason: what a reason group moved the decision
// towards default.
type Reason struct {
	Code         string  `json:"code"`
	Contribution float32 `json:"contribution"` // log-odds, > 0
}

// Shadow is what a shadow model would have said.
type Shadow struct {
	ModelVersion       string  `json:"model_version"`
	DefaultProbability float32 `json:"default_probability"`
	Decision           string  `json:"decision"`
}

// Prediction is a decision with the exact inputs it was made from (topic
// predictions, keyed by ApplicationID).
type Prediction struct {
	ApplicationID      string
	AppliedAt          Timestamp
	DecidedAt          Timestamp
	Channel            string
	DefaultProbability float32 // of default, 0 … 1
	DefaultPrediction  uint8   // 1 when DefaultProbability >= the policy's threshold
	Decision           string
	Points             int32    // scorecard points, more is safer
	Reasons            []Reason // adverse only, largest first, at most MaxReasons
	ModelVersion       string
	Engine             string // native or onnx
	Route              string // champion or canary
	RouteRevision      int64  // offset of the route record, -1 where none served
	PolicyVersion      string
	Shadow             *Shadow // nil when none ran
	Features           Features
}

// Outcome says what became of a loan (topic outcomes, keyed by ApplicationID).
type Outcome struct {
	ApplicationID string
	Defaulted     uint8 // 1 defaulted, 0 did not
	ObservedAt    Timestamp
}

// Canary is a share of the applications that another version decides.
type Canary struct {
	ModelVersion string  `json:"model_version"`
	Share        float64 `json:"share"` // 0 … 1, in steps of 1/10,000
}

// Route says which versions serve and under which policy (topic routes; its
// revision is its offset).
type Route struct {
	Champion string    `json:"champion"`
	Canary   *Canary   `json:"canary"`
	Shadow   *string   `json:"shadow"` // model version
	Policy   string    `json:"policy"` // YAML text, see policy.Parse
	By       string    `json:"by"`
	At       Timestamp `json:"at"`
	Why      string    `json:"why"`
}

// MaxApplicationID is the most bytes an application_id may have.
const MaxApplicationID = 128
