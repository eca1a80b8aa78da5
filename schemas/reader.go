package schemas

import (
	"bytes"
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

// Rules that several fields keep.
const (
	textRule     = "must be a text"
	notEmptyRule = "must be a text that is not empty"
	objectRule   = "must be an object"
	fromZeroRule = "must be a number from 0"
)

func anyText([]byte) bool { return true }

func notEmpty(t []byte) bool { return len(t) > 0 }

func oneOf(words ...string) func([]byte) bool {
	return func(t []byte) bool {
		return slices.ContainsFunc(words, func(w string) bool { return w == string(t) })
	}
}

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
	return r.numberInto(field, 32, low, high, rule)
}

// doubleInto reads a number of a range that is kept in double precision.
func (r *reader) doubleInto(field string, low, high float64, rule string) float64 {
	return r.numberInto(field, 64, low, high, rule)
}

func (r *reader) numberInto(field string, bits int, low, high float64, rule string) float64 {
	from := r.i
	v, ok := r.float(bits)
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
