package schemas

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
)

// reader is a scanner that also collects the rules a well-formed value breaks.
type reader struct {
	scanner
	violations []Violation
	scratch    []byte
	shadow     *Shadow // to read one into; nil: a new one
}

const (
	// maxShown bounds how much of an offending value a Violation shows.
	maxShown = 64
	// maxViolations bounds how many are listed: more than the contract has fields,
	// so that only a value full of keys that stand twice meets it.
	maxViolations = 64
)

// violate notes a broken rule about the value that began at byte from.
func (r *reader) violate(field string, from int, rule string) {
	if r.err != nil || len(r.violations) >= maxViolations {
		return
	}
	r.violations = append(r.violations, Violation{field, shownJSON(r.b[from:r.i]), rule})
}

// hiddenText stands for a text that is not shown.
const hiddenText = `"…"`

// shownJSON is a value as a violation shows it. What stands inside an object or an
// array is never shown, nor a text that may hold one (JSON within JSON): it may be
// the features, of which an error names the value of no other than its own.
func shownJSON(value []byte) string {
	if len(value) > len("{}") {
		switch value[0] {
		case '{':
			return "{…}"
		case '[':
			return "[…]"
		case '"':
			if bytes.ContainsAny(value, "{[") {
				return hiddenText
			}
		}
	}
	return shorten(string(value))
}

// mistyped notes a value that stands where an object or an array should. A text
// there may be all the features in a form of its own.
func (r *reader) mistyped(field string, from int, rule string) {
	before := len(r.violations)
	r.violate(field, from, rule)
	if len(r.violations) > before && r.b[from] == '"' {
		r.violations[before].Value = hiddenText
	}
}

// done is the verdict on the whole text.
func (r *reader) done() error {
	if !r.end() {
		return r.err
	}
	if len(r.violations) > 0 {
		return &ContractError{r.violations}
	}
	return nil
}

// members walks an object that the scanner stands inside of, just behind its
// brace. names are the keys it knows (at most 32), each handed to value by index;
// others are skipped. A key that stands twice is an error. It returns which were
// there, as bits. prefix begins every field's name in a violation.
func (r *reader) members(depth int, prefix string, names []string, value func(i int)) (seen uint32) {
	var others keySet
	next := 0
	for first := true; r.more(first, '}'); first = false {
		var key []byte
		i := next // keys mostly come in the contract's order
		if i >= len(names) || !r.literal(names[i]) {
			var ok bool
			if key, ok = r.key(); !ok {
				return seen
			}
			i = slices.IndexFunc(names, func(n string) bool { return n == string(key) })
		}
		at := r.i
		switch {
		case i < 0 && others.add(key):
			if !r.skip(depth) {
				return seen
			}
		case i < 0 || seen&(1<<i) != 0:
			if !r.skip(depth) {
				return seen
			}
			if i >= 0 {
				key = []byte(names[i])
			}
			r.violate(shorten(prefix+string(key)), at, "must not stand twice")
		default:
			seen |= 1 << i
			next = i + 1
			value(i)
			if r.err != nil {
				return seen
			}
		}
	}
	return seen
}

func shorten(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// require notes every known key but the optional ones that was not there.
func (r *reader) require(prefix string, names []string, seen, optional uint32) {
	if r.err != nil {
		return
	}
	for i, n := range names {
		if (seen|optional)&(1<<i) == 0 {
			r.violations = append(r.violations, Violation{prefix + n, "", "is required"})
		}
	}
}

// stringInto reads a string. Where dst holds the same text already it is left,
// so that reading into the same struct again allocates only what differs.
func (r *reader) stringInto(field string, dst *string, allowed func([]byte) bool, rule string) {
	from := r.i
	t, ok := r.text(r.scratch)
	if !ok || !allowed(t) {
		r.violate(field, from, rule)
		return
	}
	if *dst != string(t) {
		*dst = string(t)
	}
}

// integerInto reads a whole number of a range.
func (r *reader) integerInto(field string, low, high int64) int64 {
	from := r.i
	v, ok := r.integer()
	if !ok || v < low || v > high {
		r.violate(field, from, wholeRule(low, high))
	}
	return v
}

func wholeRule(low, high int64) string {
	return "must be a whole number, " + strconv.FormatInt(low, 10) + " … " + strconv.FormatInt(high, 10)
}

// floatInto reads a number of a range.
func (r *reader) floatInto(field string, low, high float64, rule string) float64 {
	from := r.i
	v, ok := r.float(32)
	if !ok || v < low || v > high {
		r.violate(field, from, rule)
	}
	return v
}

// doubleInto reads a number of a range that is kept in double precision.
func (r *reader) doubleInto(field string, low, high float64, rule string) float64 {
	from := r.i
	v, ok := r.float(64)
	if !ok || v < low || v > high {
		r.violate(field, from, rule)
	}
	return v
}

func (r *reader) timestampInto(field string, dst *Timestamp) {
	from := r.i
	t, ok := r.text(r.scratch)
	if ok {
		*dst, ok = parseTimestamp(t)
	}
	if !ok {
		r.violate(field, from, timestampRule)
	}
}

// object steps into an object value; anything else breaks a rule.
func (r *reader) object(field string, depth int, rule string) bool {
	if r.peek() == '{' {
		r.i++
		return true
	}
	from := r.i
	if r.skip(depth) {
		r.mistyped(field, from, rule)
	}
	return false
}

// array steps into an array value; anything else breaks a rule.
func (r *reader) array(field string, depth int) bool {
	if r.peek() == '[' {
		r.i++
		return true
	}
	from := r.i
	if r.skip(depth) {
		r.mistyped(field, from, "must be an array")
	}
	return false
}

const idRule = "must be 1–128 bytes of UTF-8 without control characters"

// ValidApplicationID says whether the contract allows an application_id.
func ValidApplicationID(id []byte) bool {
	if len(id) == 0 || len(id) > MaxApplicationID {
		return false
	}
	for i, c := range id {
		// C0, DEL, and C1 as UTF-8 (0xc2 0x80 … 0x9f).
		if c < 0x20 || c == 0x7f || c == 0xc2 && i+1 < len(id) && id[i+1] < 0xa0 {
			return false
		}
	}
	return true // reader.text has seen that it is UTF-8
}

var featureNames, featureFields = func() (names, fields []string) {
	for _, f := range FeatureRules {
		names = append(names, f.Name)
		fields = append(fields, "features."+f.Name)
	}
	return names, fields
}()

// plainFeatures reads the features object where it stands as appendFeatures writes
// it, which most producers do too. It says no where anything is otherwise, a rule
// broken for instance, and has then read nothing.
func (r *reader) plainFeatures(f *Features) bool {
	b := r.b[r.i:]
	for i := range f {
		key := featureKeys[i].text
		if len(b) < len(key) || string(b[:len(key)]) != key {
			return false
		}
		b = b[len(key):]
		v, n := shortInteger(b)
		rule := &FeatureRules[i]
		switch {
		case n > 0 && v >= rule.Min && v <= rule.Max:
		case bytes.HasPrefix(b, []byte("null")):
			v, n = Missing, len("null")
		default:
			return false
		}
		f[i] = v
		b = b[n:]
	}
	if len(b) == 0 || b[0] != '}' {
		return false
	}
	r.i = len(r.b) - len(b) + 1
	return true
}

// shortInteger reads a whole number of at most seven digits, which hold every
// feature's range, and says how many bytes it has: none where there is something
// else. What follows the digits is for the caller to look at.
func shortInteger(b []byte) (v int32, n int) {
	if len(b) > 0 && b[0] == '-' {
		n = 1
	}
	first := n
	for ; n < len(b); n++ {
		c := b[n] - '0'
		if c > 9 {
			break
		}
		if n-first == 7 {
			return 0, 0
		}
		v = v*10 + int32(c)
	}
	if n == first || n > first+1 && b[first] == '0' {
		return 0, 0
	}
	if first > 0 {
		v = -v
	}
	return v, n
}

// featuresInto reads the features object.
func (r *reader) featuresInto(f *Features) {
	if r.plainFeatures(f) {
		return
	}
	if !r.object("features", 1, "must be an object of the 23 features") {
		return
	}
	seen := r.members(2, "features.", featureNames, func(i int) { r.featureInto(featureFields[i], i, f) })
	r.require("features.", featureNames, seen, 0)
}

// featureInto reads the value of feature i. field names it in a violation.
func (r *reader) featureInto(field string, i int, f *Features) {
	if r.null() {
		f[i] = Missing
		return
	}
	rule, from := &FeatureRules[i], r.i
	v, ok := r.integer()
	if !ok || v < int64(rule.Min) || v > int64(rule.Max) {
		r.violate(field, from, wholeRule(int64(rule.Min), int64(rule.Max))+", or null")
		return
	}
	f[i] = int32(v)
}

var applicationNames = []string{"application_id", "applied_at", "features"}

// DecodeApplication reads an application and checks every rule of the contract.
// The error is a *DecodeError or a *ContractError that lists every broken rule;
// a is then in no defined state. a shares no memory with value.
func DecodeApplication(value []byte, a *Application) error {
	r := reader{scanner: scanner{b: value}}
	if !r.open() {
		return r.err
	}
	seen := r.members(1, "", applicationNames, func(i int) {
		switch i {
		case 0:
			r.stringInto("application_id", &a.ApplicationID, ValidApplicationID, idRule)
		case 1:
			r.timestampInto("applied_at", &a.AppliedAt)
		case 2:
			r.featuresInto(&a.Features)
		}
	})
	r.require("", applicationNames, seen, 0)
	return r.done()
}

var predictionNames = []string{
	"application_id", "applied_at", "decided_at", "channel", "default_probability", "default_prediction",
	"decision", "points", "reasons", "model_version", "engine", "route", "route_revision", "policy_version",
	"shadow", "features",
}

const optionalShadow = 1 << 14 // predictionNames' shadow

const (
	channelRule      = "must be stream or api"
	decisionRule     = "must be approve, refer or decline"
	engineRule       = "must be native or onnx"
	routeRule        = "must be champion or canary"
	probabilityRule  = "must be a number, 0 … 1"
	contributionRule = "must be a number from 0"
)

var reasonsRule = "must have at most " + strconv.Itoa(MaxReasons) + " items"

func oneOf(words ...string) func([]byte) bool {
	return func(t []byte) bool {
		return slices.ContainsFunc(words, func(w string) bool { return w == string(t) })
	}
}

var (
	isChannel  = oneOf(ChannelStream, ChannelAPI)
	isDecision = oneOf(Approve, Refer, Decline)
	isEngine   = oneOf("native", "onnx")
	isRoute    = oneOf(RouteChampion, RouteCanary)
)

func notEmpty(t []byte) bool { return len(t) > 0 }

const notEmptyRule = "must be a text that is not empty"

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
		if !r.object(field.item, 2, "must be an object") {
			continue
		}
		p.Reasons = slices.Grow(p.Reasons, 1)[:len(p.Reasons)+1]
		reason := &p.Reasons[len(p.Reasons)-1]
		seen := r.members(3, field.prefix, reasonNames, func(i int) {
			if i == 0 {
				r.stringInto(field.code, &reason.Code, notEmpty, notEmptyRule)
			} else {
				reason.Contribution = float32(r.floatInto(field.contribution, 0, math.MaxFloat32, contributionRule))
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

var outcomeNames = []string{"application_id", "defaulted", "observed_at"}

// DecodeOutcome reads an outcome. The error is a *DecodeError or a *ContractError.
func DecodeOutcome(value []byte, o *Outcome) error {
	r := reader{scanner: scanner{b: value}}
	if !r.open() {
		return r.err
	}
	seen := r.members(1, "", outcomeNames, func(i int) {
		switch i {
		case 0:
			r.stringInto("application_id", &o.ApplicationID, ValidApplicationID, idRule)
		case 1:
			o.Defaulted = uint8(r.integerInto("defaulted", 0, 1))
		case 2:
			r.timestampInto("observed_at", &o.ObservedAt)
		}
	})
	r.require("", outcomeNames, seen, 0)
	return r.done()
}

var (
	routeNames  = []string{"champion", "policy", "by", "at", "why", "canary", "shadow"}
	canaryNames = []string{"model_version", "share"}
)

const optionalRoute = 1<<5 | 1<<6 // routeNames' canary and shadow

func anyText([]byte) bool { return true }

// DecodeRoute reads a route and checks its shape; ParsePolicy checks the policy.
// The error is a *DecodeError or a *ContractError.
func DecodeRoute(value []byte, route *Route) error {
	*route = Route{}
	r := reader{scanner: scanner{b: bytes.Clone(value)}}
	if !r.open() {
		return r.err
	}
	seen := r.members(1, "", routeNames, func(i int) {
		switch name := routeNames[i]; name {
		case "champion":
			r.stringInto(name, &route.Champion, notEmpty, notEmptyRule)
		case "policy":
			r.stringInto(name, &route.Policy, notEmpty, notEmptyRule)
		case "by":
			r.stringInto(name, &route.By, anyText, "must be a text")
		case "at":
			r.timestampInto(name, &route.At)
		case "why":
			r.stringInto(name, &route.Why, anyText, "must be a text")
		case "shadow":
			if !r.null() {
				route.Shadow = new(string)
				r.stringInto(name, route.Shadow, notEmpty, "must be a model version or null")
			}
		case "canary":
			r.canaryInto(route)
		}
	})
	r.require("", routeNames, seen, optionalRoute)
	return r.done()
}

func (r *reader) canaryInto(route *Route) {
	if r.null() || !r.object("canary", 1, "must be an object or null") {
		return
	}
	c := &Canary{}
	seen := r.members(2, "canary.", canaryNames, func(i int) {
		if i == 0 {
			r.stringInto("canary.model_version", &c.ModelVersion, notEmpty, notEmptyRule)
			return
		}
		c.Share = r.doubleInto("canary.share", 0, 1, probabilityRule)
	})
	r.require("canary.", canaryNames, seen, 0)
	route.Canary = c
}
