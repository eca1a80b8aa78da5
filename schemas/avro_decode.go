package schemas

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// avroReader reads one Avro body in a single pass. Like the scanner it stops at
// the first thing that is no Avro of the schema; rules that are broken it
// collects, in the words that the same value would get as JSON.
type avroReader struct {
	b          []byte
	i          int
	err        *DecodeError
	violations []Violation
}

// fail notes the first error and steps to the end: what follows reads nothing. msg
// holds no number that was read: in a value by another schema it may be a feature.
func (r *avroReader) fail(msg string) {
	if r.err == nil {
		r.err = &DecodeError{Msg: "Avro byte " + strconv.Itoa(r.i) + ": " + msg}
	}
	r.i = len(r.b)
}

func (r *avroReader) violate(field, value, rule string) {
	if r.err == nil && len(r.violations) < maxViolations {
		r.violations = append(r.violations, Violation{field, value, rule})
	}
}

// done is the verdict on the whole body.
func (r *avroReader) done() error {
	if r.err == nil && r.i != len(r.b) {
		r.fail("expected the end, found " + strconv.Itoa(len(r.b)-r.i) + " more bytes")
	}
	if r.err != nil {
		return r.err
	}
	if len(r.violations) > 0 {
		return &ContractError{r.violations}
	}
	return nil
}

// uvarint reads at most so many bytes of seven bits, the last of them no larger
// than last.
func (r *avroReader) uvarint(most int, last byte) (u uint64) {
	if r.i < len(r.b) && r.b[r.i] < 0x80 { // nearly always
		r.i++
		return uint64(r.b[r.i-1])
	}
	for n := range most {
		if r.i+n >= len(r.b) {
			r.fail("expected the rest of a number, found the end")
			return 0
		}
		c := r.b[r.i+n]
		if n == most-1 && c > last {
			break
		}
		u |= uint64(c&0x7f) << (7 * n)
		if c < 0x80 {
			r.i += n + 1
			return u
		}
	}
	r.fail("expected a number of at most " + strconv.Itoa(most) + " bytes")
	return 0
}

func (r *avroReader) long() int64 {
	u := r.uvarint(10, 1)
	return int64(u>>1) ^ -int64(u&1)
}

func (r *avroReader) int() int32 {
	u := uint32(r.uvarint(5, 0x0f))
	return int32(u>>1) ^ -int32(u&1)
}

func (r *avroReader) float() float32 {
	if len(r.b)-r.i < 4 {
		r.fail("expected the four bytes of a float, found the end")
		return 0
	}
	r.i += 4
	return math.Float32frombits(binary.LittleEndian.Uint32(r.b[r.i-4:]))
}

// branch reads which branch of a union of null and something else follows.
func (r *avroReader) branch() (value bool) {
	switch r.long() {
	case avroNull:
		return false
	case avroValue:
		return true
	default:
		r.fail("expected branch 0 or 1 of a union")
		return false
	}
}

// text reads a string; it lies in the body.
func (r *avroReader) text() []byte {
	n := r.long()
	if n < 0 || n > int64(len(r.b)-r.i) {
		r.fail("expected a text that ends within the value")
		return nil
	}
	r.i += int(n)
	return r.b[r.i-int(n) : r.i]
}

// stringInto reads a string. Where dst holds the same text already it is left,
// so that reading into the same struct again allocates only what differs.
func (r *avroReader) stringInto(field string, dst *string, allowed func([]byte) bool, rule string) {
	t := r.text()
	if !allowed(t) || !utf8.Valid(t) {
		r.violate(field, shownText(t), rule)
		return
	}
	if *dst != string(t) {
		*dst = string(t)
	}
}

// shownText is a text as a violation shows it: as it would stand in JSON.
func shownText(t []byte) string {
	if bytes.ContainsAny(t, "{[") {
		return hiddenText // as shownJSON has it
	}
	cut := t[:min(len(t), maxShown)]
	shown := string(appendString(nil, strings.ToValidUTF8(string(cut), "\ufffd")))
	if len(shown) > maxShown || len(cut) < len(t) {
		shown = shown[:min(len(shown), maxShown)] + "…"
	}
	return strings.ToValidUTF8(shown, "\ufffd")
}

func shownFloat(v float32) string { return string(appendFloat(nil, v)) }

// Instants that RFC 3339 can say: the years 0000 … 9999.
const (
	firstTimestamp Timestamp = -62_167_219_200_000_000
	lastTimestamp  Timestamp = 253_402_300_799_999_999
)

const avroTimestampRule = "must be microseconds since 1970 UTC, within the years 0000 … 9999"

func (r *avroReader) timestampInto(field string, dst *Timestamp) {
	t := Timestamp(r.long())
	if t < firstTimestamp || t > lastTimestamp {
		r.violate(field, strconv.FormatInt(int64(t), 10), avroTimestampRule)
	}
	*dst = t
}

func (r *avroReader) wholeInto(field string, low, high int32) int32 {
	v := r.int()
	if v < low || v > high {
		r.violate(field, strconv.Itoa(int(v)), wholeRule(int64(low), int64(high)))
	}
	return v
}

// floatInto reads a number of a range, in which NaN does not lie.
func (r *avroReader) floatInto(field string, high float32, rule string) float32 {
	v := r.float()
	if !(v >= 0 && v <= high) {
		r.violate(field, shownFloat(v), rule)
	}
	return v
}

func (r *avroReader) featuresInto(f *Features) {
	for i := range f {
		if !r.branch() {
			f[i] = Missing
			continue
		}
		v := r.int()
		if rule := &FeatureRules[i]; v < rule.Min || v > rule.Max {
			r.violate(featureFields[i], strconv.Itoa(int(v)), wholeRule(int64(rule.Min), int64(rule.Max))+", or null")
		}
		f[i] = v
	}
}

// DecodeAvroApplication reads what AppendAvroApplication writes and checks every
// rule of the contract. Errors, and what becomes of a, are DecodeApplication's.
func DecodeAvroApplication(body []byte, a *Application) error {
	r := avroReader{b: body}
	r.stringInto("application_id", &a.ApplicationID, ValidApplicationID, idRule)
	r.timestampInto("applied_at", &a.AppliedAt)
	r.featuresInto(&a.Features)
	return r.done()
}

// DecodeAvroPrediction reads what AppendAvroPrediction writes. Errors, and what
// becomes of p, are DecodePrediction's.
func DecodeAvroPrediction(body []byte, p *Prediction) error {
	r := avroReader{b: body}
	r.stringInto("application_id", &p.ApplicationID, ValidApplicationID, idRule)
	r.timestampInto("applied_at", &p.AppliedAt)
	r.timestampInto("decided_at", &p.DecidedAt)
	r.stringInto("channel", &p.Channel, isChannel, channelRule)
	p.DefaultProbability = r.floatInto("default_probability", 1, probabilityRule)
	p.DefaultPrediction = uint8(r.wholeInto("default_prediction", 0, 1))
	r.stringInto("decision", &p.Decision, isDecision, decisionRule)
	p.Points = r.int()
	r.reasonsInto(p)
	r.stringInto("model_version", &p.ModelVersion, notEmpty, notEmptyRule)
	r.stringInto("engine", &p.Engine, isEngine, engineRule)
	r.stringInto("route", &p.Route, isRoute, routeRule)
	if p.RouteRevision = r.long(); p.RouteRevision < -1 {
		r.violate("route_revision", strconv.FormatInt(p.RouteRevision, 10), wholeRule(-1, math.MaxInt64))
	}
	r.stringInto("policy_version", &p.PolicyVersion, notEmpty, notEmptyRule)
	if p.Shadow = nil; r.branch() {
		s := &Shadow{}
		r.stringInto("shadow.model_version", &s.ModelVersion, notEmpty, notEmptyRule)
		s.DefaultProbability = r.floatInto("shadow.default_probability", 1, probabilityRule)
		r.stringInto("shadow.decision", &s.Decision, isDecision, decisionRule)
		p.Shadow = s
	}
	r.featuresInto(&p.Features)
	return r.done()
}

// reasonsInto reads an array: blocks of items, each behind their number, and
// a 0. A negative number says that the block's size in bytes stands behind it.
func (r *avroReader) reasonsInto(p *Prediction) {
	p.Reasons = p.Reasons[:0]
	const smallest = 1 + 4 // an empty code and a float
	tooMany := false
	for {
		n := r.long()
		if n < 0 {
			n = -n
			if size := r.long(); size < 0 || size > int64(len(r.b)-r.i) {
				r.fail("expected a block whose size ends within the value")
			}
		}
		if n == 0 || r.err != nil {
			break
		}
		// The least integer is its own negative.
		if n < 0 || n > int64(len(r.b)-r.i)/smallest {
			r.fail("expected a block whose items end within the value")
			break
		}
		for range n {
			if len(p.Reasons) == MaxReasons {
				tooMany = true
				r.text()
				r.float()
				continue
			}
			fields := &reasonFields[len(p.Reasons)]
			p.Reasons = slices.Grow(p.Reasons, 1)[:len(p.Reasons)+1] // a code that is there is used again
			reason := &p.Reasons[len(p.Reasons)-1]
			r.stringInto(fields.code, &reason.Code, notEmpty, notEmptyRule)
			reason.Contribution = r.floatInto(fields.contribution, math.MaxFloat32, fromZeroRule)
		}
	}
	if tooMany {
		r.violate("reasons", "", reasonsRule)
	}
}

// DecodeAvroOutcome reads what AppendAvroOutcome writes. Errors, and what becomes
// of o, are DecodeOutcome's.
func DecodeAvroOutcome(body []byte, o *Outcome) error {
	r := avroReader{b: body}
	r.stringInto("application_id", &o.ApplicationID, ValidApplicationID, idRule)
	o.Defaulted = uint8(r.wholeInto("defaulted", 0, 1))
	r.timestampInto("observed_at", &o.ObservedAt)
	return r.done()
}
