package schemas

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// TEMPORARY encoding/json implementation; signatures are final.

type featureMap map[string]*int32

func (f *Features) toMap() featureMap {
	m := featureMap{}
	for i := range f {
		if f[i] == Missing {
			m[FeatureRules[i].Name] = nil
		} else {
			v := f[i]
			m[FeatureRules[i].Name] = &v
		}
	}
	return m
}

func (f *Features) fromMap(m featureMap) error {
	var ce ContractError
	for i, r := range FeatureRules {
		v, ok := m[r.Name]
		switch {
		case !ok:
			ce.Violations = append(ce.Violations, Violation{"features." + r.Name, "", "is required"})
		case v == nil:
			f[i] = Missing
		case *v < r.Min || *v > r.Max:
			ce.Violations = append(ce.Violations, Violation{"features." + r.Name, strconv.Itoa(int(*v)), fmt.Sprintf("must be %d … %d", r.Min, r.Max)})
		default:
			f[i] = *v
		}
	}
	if len(ce.Violations) > 0 {
		return &ce
	}
	return nil
}

type applicationJSON struct {
	ApplicationID string     `json:"application_id"`
	AppliedAt     Timestamp  `json:"applied_at"`
	Features      featureMap `json:"features"`
}

// DecodeApplication reads an application and checks every rule of the contract.
// The error is a *DecodeError or a *ContractError. a may share no memory with value.
func DecodeApplication(value []byte, a *Application) error {
	var j applicationJSON
	if err := json.Unmarshal(value, &j); err != nil {
		return &DecodeError{err.Error()}
	}
	a.ApplicationID, a.AppliedAt = j.ApplicationID, j.AppliedAt
	return a.Features.fromMap(j.Features)
}

// AppendApplication appends the application as it stands on the wire.
func AppendApplication(dst []byte, a *Application) []byte {
	b, _ := json.Marshal(applicationJSON{a.ApplicationID, a.AppliedAt, a.Features.toMap()})
	return append(dst, b...)
}

type predictionJSON struct {
	ApplicationID      string     `json:"application_id"`
	AppliedAt          Timestamp  `json:"applied_at"`
	DecidedAt          Timestamp  `json:"decided_at"`
	Channel            string     `json:"channel"`
	DefaultProbability float32    `json:"default_probability"`
	DefaultPrediction  uint8      `json:"default_prediction"`
	Decision           string     `json:"decision"`
	Points             int32      `json:"points"`
	Reasons            []Reason   `json:"reasons"`
	ModelVersion       string     `json:"model_version"`
	Engine             string     `json:"engine"`
	Route              string     `json:"route"`
	RouteRevision      int64      `json:"route_revision"`
	PolicyVersion      string     `json:"policy_version"`
	Shadow             *Shadow    `json:"shadow,omitempty"`
	Features           featureMap `json:"features"`
}

// DecodePrediction reads a prediction. The error is a *DecodeError or a
// *ContractError.
func DecodePrediction(value []byte, p *Prediction) error {
	var j predictionJSON
	if err := json.Unmarshal(value, &j); err != nil {
		return &DecodeError{err.Error()}
	}
	*p = Prediction{j.ApplicationID, j.AppliedAt, j.DecidedAt, j.Channel, j.DefaultProbability, j.DefaultPrediction, j.Decision, j.Points, j.Reasons, j.ModelVersion, j.Engine, j.Route, j.RouteRevision, j.PolicyVersion, j.Shadow, Features{}}
	return p.Features.fromMap(j.Features)
}

// AppendPrediction appends the prediction as it stands on the wire.
func AppendPrediction(dst []byte, p *Prediction) []byte {
	b, _ := json.Marshal(predictionJSON{p.ApplicationID, p.AppliedAt, p.DecidedAt, p.Channel, p.DefaultProbability, p.DefaultPrediction, p.Decision, p.Points, p.Reasons, p.ModelVersion, p.Engine, p.Route, p.RouteRevision, p.PolicyVersion, p.Shadow, p.Features.toMap()})
	return append(dst, b...)
}

type outcomeJSON struct {
	ApplicationID string    `json:"application_id"`
	Defaulted     uint8     `json:"defaulted"`
	ObservedAt    Timestamp `json:"observed_at"`
}

// DecodeOutcome reads an outcome. The error is a *DecodeError or a *ContractError.
func DecodeOutcome(value []byte, o *Outcome) error {
	var j outcomeJSON
	if err := json.Unmarshal(value, &j); err != nil {
		return &DecodeError{err.Error()}
	}
	*o = Outcome(j)
	return nil
}

// AppendOutcome appends the outcome as it stands on the wire.
func AppendOutcome(dst []byte, o *Outcome) []byte {
	b, _ := json.Marshal(outcomeJSON(*o))
	return append(dst, b...)
}

// DecodeRoute reads a route and checks its shape. The error is a *DecodeError or
// a *ContractError.
func DecodeRoute(value []byte, r *Route) error {
	*r = Route{}
	if err := json.Unmarshal(value, r); err != nil {
		return &DecodeError{err.Error()}
	}
	return nil
}

// AppendRoute appends the route as it stands on the wire.
func AppendRoute(dst []byte, r *Route) []byte {
	b, _ := json.Marshal(r)
	return append(dst, b...)
}
