package schemas

import "encoding/json"

// States of an alert.
const (
	AlertFiring   = "firing"
	AlertResolved = "resolved"
)

// Alert says that a watched statistic crossed its threshold, or came back (topic
// drift alerts, keyed by Alert).
type Alert struct {
	Alert         string        `json:"alert" own:"filled"`          // name, as drift/limit_bal
	State         string        `json:"state" own:"firing,resolved"` // firing or resolved
	Since         Timestamp     `json:"since"`                       // when it came into this state
	EvaluatedAt   Timestamp     `json:"evaluated_at"`                // when the figures were taken
	Statistic     string        `json:"statistic" own:"filled"`      // what was compared
	Value         float64       `json:"value" own:"any"`             // of the statistic
	Threshold     float64       `json:"threshold" own:"any"`         // that it was compared with
	Window        AlertWindow   `json:"window"`                      // what it was computed over
	Contributors  []Contributor `json:"contributors"`                // the features that moved; empty where none did
	Reference     string        `json:"reference"`                   // digest of the reference, empty where none was compared with
	ModelVersions []string      `json:"model_versions" own:"filled"` // that decided in the window; empty without decisions
	Runbook       string        `json:"runbook"`                     // what to do about it
}

// AlertRemark says what an alert is about whose name claims more than is known: while
// nobody counts, decisions may be made all the same. Empty for all others.
func AlertRemark(alert string) string {
	if alert == "no-decisions" {
		return "nothing was counted"
	}
	return ""
}

// WindowOutcomes names the stretch of an alert about loans whose outcome is known.
const WindowOutcomes = "outcomes"

// AlertWindow is the stretch of decisions that an alert is about.
type AlertWindow struct {
	Name      string    `json:"name" own:"filled"`
	From      Timestamp `json:"from"`
	To        Timestamp `json:"to"`
	Decisions int64     `json:"decisions"` // that are in it, not how many were asked for
}

// Counts is what Decisions counts, in words.
func (w AlertWindow) Counts() string {
	if w.Name == WindowOutcomes {
		return "loans"
	}
	return "decisions"
}

// Contributor is a feature and how far it moved from the reference.
type Contributor struct {
	Feature string  `json:"feature" own:"filled"`
	PSI     float64 `json:"psi"` // population stability index, >= 0
}

// AppendAlert appends the alert as it stands on the wire. It panics on a number
// that JSON does not have: whoever computes a statistic looks whether it is finite.
func AppendAlert(dst []byte, a *Alert) []byte {
	wire := *a
	wire.Contributors, wire.ModelVersions = filled(wire.Contributors), filled(wire.ModelVersions)
	b, err := json.Marshal(&wire)
	if err != nil {
		panic(err)
	}
	return append(dst, b...)
}

// DecodeAlert reads an alert. The error is a *DecodeError or a *ContractError.
func DecodeAlert(value []byte, a *Alert) error {
	*a = Alert{}
	return decodeOwn(value, a)
}
