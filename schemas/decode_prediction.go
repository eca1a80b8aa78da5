package schemas

import (
	"math"
	"slices"
	"strconv"
)

var predictionNames = []string{
	"application_id", "applied_at", "decided_at", "channel", "default_probability", "default_prediction",
	"decision", "points", "reasons", "model_version", "engine", "route", "route_revision", "policy_version",
	"shadow", "features",
}

const optionalShadow = 1 << 14 // predictionNames' shadow

const (
	channelRule     = "must be stream or api"
	decisionRule    = "must be approve, refer or decline"
	engineRule      = "must be native or onnx"
	routeRule       = "must be champion or canary"
	probabilityRule = "must be a number, 0 … 1"
)

var reasonsRule = "must have at most " + strconv.Itoa(MaxReasons) + " items"

var (
	isChannel  = oneOf(ChannelStream, ChannelAPI)
	isDecision = oneOf(Approve, Refer, Decline)
	isEngine   = oneOf("native", "onnx")
	isRoute    = oneOf(RouteChampion, RouteCanary)
)

// DecodePrediction reads a prediction. The error is a *DecodeError or a
// *ContractError. What p holds already is reused where it is the same.
func DecodePrediction(value []byte, p *Prediction) error {
	r := reader{scanner: scanner{b: value}}
	if !r.open() {
		return r.err
	}
	p.Reasons, p.Shadow = p.Reasons[:0], nil
	seen := r.members(1, "", predictionNames, func(i int) { r.predictionMember(p, i) })
	r.require("", predictionNames, seen, optionalShadow)
	return r.done()
}

// What DecodeDecision reads, as bits of predictionNames.
const decisionMembers = 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<9 | 1<<11 | 1<<14 | 1<<15

// DecodeDecision reads of a prediction what is counted: when and how who was
// decided by which version, and on which features. The other members must be
// there, but no rule is held against them, and p keeps what it has. The error is as
// DecodePrediction's. A shadow of p is used again.
func DecodeDecision(value []byte, p *Prediction) error {
	r := reader{scanner: scanner{b: value}, shadow: p.Shadow}
	if !r.open() {
		return r.err
	}
	p.Shadow = nil
	seen := r.members(1, "", predictionNames, func(i int) {
		if decisionMembers&(1<<i) == 0 {
			r.skip(1)
			return
		}
		r.predictionMember(p, i)
	})
	r.require("", predictionNames, seen, optionalShadow)
	return r.done()
}

func (r *reader) predictionMember(p *Prediction, i int) {
	name := predictionNames[i]
	switch name {
	case "application_id":
		r.stringInto(name, &p.ApplicationID, ValidApplicationID, idRule)
	case "applied_at":
		r.timestampInto(name, &p.AppliedAt)
	case "decided_at":
		r.timestampInto(name, &p.DecidedAt)
	case "channel":
		r.stringInto(name, &p.Channel, isChannel, channelRule)
	case "default_probability":
		p.DefaultProbability = float32(r.floatInto(name, 0, 1, probabilityRule))
	case "default_prediction":
		p.DefaultPrediction = uint8(r.integerInto(name, 0, 1))
	case "decision":
		r.stringInto(name, &p.Decision, isDecision, decisionRule)
	case "points":
		p.Points = int32(r.integerInto(name, math.MinInt32, math.MaxInt32))
	case "reasons":
		r.reasonsInto(p)
	case "model_version":
		r.stringInto(name, &p.ModelVersion, notEmpty, notEmptyRule)
	case "engine":
		r.stringInto(name, &p.Engine, isEngine, engineRule)
	case "route":
		r.stringInto(name, &p.Route, isRoute, routeRule)
	case "route_revision":
		p.RouteRevision = r.integerInto(name, -1, math.MaxInt64)
	case "policy_version":
		r.stringInto(name, &p.PolicyVersion, notEmpty, notEmptyRule)
	case "shadow":
		r.shadowInto(p)
	case "features":
		r.featuresInto(&p.Features)
	}
}

var reasonNames = []string{"code", "contribution"}

// reasonFields name the parts of each reason in a violation.
var reasonFields = func() (fields [MaxReasons]struct{ item, prefix, code, contribution string }) {
	for i := range fields {
		f := &fields[i]
		f.item = "reasons." + strconv.Itoa(i)
		f.prefix = f.item + "."
		f.code, f.contribution = f.prefix+"code", f.prefix+"contribution"
	}
	return fields
}()

func (r *reader) reasonsInto(p *Prediction) {
	from := r.i
	if !r.array("reasons", 1) {
		return
	}
	for first := true; r.more(first, ']'); first = false {
		if len(p.Reasons) == MaxReasons {
			if !r.skip(2) {
				return
			}
			r.violate("reasons", from, reasonsRule)
			continue
		}
		field := &reasonFields[len(p.Reasons)]
		if !r.object(field.item, 2, objectRule) {
			continue
		}
		p.Reasons = slices.Grow(p.Reasons, 1)[:len(p.Reasons)+1]
		reason := &p.Reasons[len(p.Reasons)-1]
		seen := r.members(3, field.prefix, reasonNames, func(i int) {
			if i == 0 {
				r.stringInto(field.code, &reason.Code, notEmpty, notEmptyRule)
			} else {
				reason.Contribution = float32(r.floatInto(field.contribution, 0, math.MaxFloat32, fromZeroRule))
			}
		})
		r.require(field.prefix, reasonNames, seen, 0)
	}
}

var shadowNames = []string{"model_version", "default_probability", "decision"}

func (r *reader) shadowInto(p *Prediction) {
	if r.null() || !r.object("shadow", 1, "must be an object or null") {
		return
	}
	s := r.shadow
	if s == nil {
		s = &Shadow{}
	}
	seen := r.members(2, "shadow.", shadowNames, func(i int) {
		switch i {
		case 0:
			r.stringInto("shadow.model_version", &s.ModelVersion, notEmpty, notEmptyRule)
		case 1:
			s.DefaultProbability = float32(r.floatInto("shadow.default_probability", 0, 1, probabilityRule))
		case 2:
			r.stringInto("shadow.decision", &s.Decision, isDecision, decisionRule)
		}
	})
	r.require("shadow.", shadowNames, seen, 0)
	p.Shadow = s
}
