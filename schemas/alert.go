package schemas

import (
	"encoding/json"
	"math"
	"strconv"
)

// States of an alert.
const (
	AlertFiring   = "firing"
	AlertResolved = "resolved"
)

// Alert says that a watched statistic crossed its threshold, or came back (topic
// drift alerts, keyed by Alert).
type Alert struct {
	Alert         string        `json:"alert"`          // name, as drift/limit_bal
	State         string        `json:"state"`          // firing or resolved
	Since         Timestamp     `json:"since"`          // when it came into this state
	EvaluatedAt   Timestamp     `json:"evaluated_at"`   // when the figures were taken
	Statistic     string        `json:"statistic"`      // what was compared
	Value         float64       `json:"value"`          // of the statistic
	Threshold     float64       `json:"threshold"`      // that it was compared with
	Window        AlertWindow   `json:"window"`         // what it was computed over
	Contributors  []Contributor `json:"contributors"`   // the features that moved; empty where none did
	Reference     string        `json:"reference"`      // digest of the reference, empty where none was compared with
	ModelVersions []string      `json:"model_versions"` // that decided in the window; empty without decisions
	Runbook       string        `json:"runbook"`        // what to do about it
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
	Name      string    `json:"name"`
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
	Feature string  `json:"feature"`
	PSI     float64 `json:"psi"` // population stability index, >= 0
}

// AppendAlert appends the alert as it stands on the wire. It panics on a number
// that JSON does not have: whoever computes a statistic looks whether it is finite.
func AppendAlert(dst []byte, a *Alert) []byte {
	wire := *a
	if wire.Contributors == nil { // the contract has empty arrays, no null
		wire.Contributors = []Contributor{}
	}
	if wire.ModelVersions == nil {
		wire.ModelVersions = []string{}
	}
	b, err := json.Marshal(&wire)
	if err != nil {
		panic(err)
	}
	return append(dst, b...)
}

var (
	alertNames = []string{
		"alert", "state", "since", "evaluated_at", "statistic", "value", "threshold", "window",
		"contributors", "reference", "model_versions", "runbook",
	}
	alertWindowNames = []string{"name", "from", "to", "decisions"}
	contributorNames = []string{"feature", "psi"}
)

const (
	alertStateRule = "must be firing or resolved"
	numberRule     = "must be a number"
)

var isAlertState = oneOf(AlertFiring, AlertResolved)

// DecodeAlert reads an alert. The error is a *DecodeError or a *ContractError.
func DecodeAlert(value []byte, a *Alert) error {
	*a = Alert{}
	r := reader{scanner: scanner{b: value}}
	if !r.open() {
		return r.err
	}
	seen := r.members(1, "", alertNames, func(i int) { r.alertMember(a, i) })
	r.require("", alertNames, seen, 0)
	return r.done()
}

func (r *reader) alertMember(a *Alert, i int) {
	switch name := alertNames[i]; name {
	case "alert":
		r.stringInto(name, &a.Alert, notEmpty, notEmptyRule)
	case "state":
		r.stringInto(name, &a.State, isAlertState, alertStateRule)
	case "since":
		r.timestampInto(name, &a.Since)
	case "evaluated_at":
		r.timestampInto(name, &a.EvaluatedAt)
	case "statistic":
		r.stringInto(name, &a.Statistic, notEmpty, notEmptyRule)
	case "value":
		a.Value = r.doubleInto(name, -math.MaxFloat64, math.MaxFloat64, numberRule)
	case "threshold":
		a.Threshold = r.doubleInto(name, -math.MaxFloat64, math.MaxFloat64, numberRule)
	case "window":
		r.alertWindowInto(&a.Window)
	case "contributors":
		r.contributorsInto(a)
	case "reference":
		r.stringInto(name, &a.Reference, anyText, textRule)
	case "model_versions":
		r.modelVersionsInto(a)
	case "runbook":
		r.stringInto(name, &a.Runbook, anyText, textRule)
	}
}

func (r *reader) alertWindowInto(w *AlertWindow) {
	if !r.object("window", 1, objectRule) {
		return
	}
	seen := r.members(2, "window.", alertWindowNames, func(i int) {
		switch i {
		case 0:
			r.stringInto("window.name", &w.Name, notEmpty, notEmptyRule)
		case 1:
			r.timestampInto("window.from", &w.From)
		case 2:
			r.timestampInto("window.to", &w.To)
		case 3:
			w.Decisions = r.integerInto("window.decisions", 0, math.MaxInt64)
		}
	})
	r.require("window.", alertWindowNames, seen, 0)
}

func (r *reader) contributorsInto(a *Alert) {
	if !r.array("contributors", 1) {
		return
	}
	a.Contributors = []Contributor{}
	for first := true; r.more(first, ']'); first = false {
		field := "contributors." + strconv.Itoa(len(a.Contributors))
		var c Contributor
		if r.object(field, 2, objectRule) {
			seen := r.members(3, field+".", contributorNames, func(i int) {
				if i == 0 {
					r.stringInto(field+".feature", &c.Feature, notEmpty, notEmptyRule)
				} else {
					c.PSI = r.doubleInto(field+".psi", 0, math.MaxFloat64, fromZeroRule)
				}
			})
			r.require(field+".", contributorNames, seen, 0)
		}
		a.Contributors = append(a.Contributors, c)
	}
}

func (r *reader) modelVersionsInto(a *Alert) {
	if !r.array("model_versions", 1) {
		return
	}
	a.ModelVersions = []string{}
	for first := true; r.more(first, ']'); first = false {
		var version string
		r.stringInto("model_versions."+strconv.Itoa(len(a.ModelVersions)), &version, notEmpty, notEmptyRule)
		a.ModelVersions = append(a.ModelVersions, version)
	}
}
