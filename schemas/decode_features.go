package schemas

import "bytes"

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
