package schemas

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep a JSON value may nest: what is skipped is skipped by
// recursion.
const maxDepth = 100

// scanner reads one JSON text in a single pass. Its methods stop at the first
// thing that is not JSON and leave what it was in err; everything else, a wrong
// type for instance, is for the caller to judge.
type scanner struct {
	b   []byte
	i   int
	err *DecodeError
}

// What a byte may mean within a string.
const (
	isQuote = 1 << iota
	isBackslash
	isControl // may not stand in a string
	isWide    // part of a character beyond ASCII, or DEL: needs a closer look
)

var stringBytes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < 0x20:
			t[c] = isControl
		case c >= 0x7f:
			t[c] = isWide
		}
	}
	t['"'] = isQuote
	t['\\'] = isBackslash
	return t
}()

// fail notes the first error: what was expected at byte i. A digit that is found is
// not shown: it may be all of a feature.
func (s *scanner) fail(i int, msg string) {
	if s.err != nil {
		return
	}
	found := "the end"
	if i < len(s.b) {
		found = strconv.QuoteRuneToASCII(rune(s.b[i]))
		switch c := s.b[i]; {
		case c >= utf8.RuneSelf:
			found = "byte 0x" + strconv.FormatUint(uint64(c), 16)
		case c >= '0' && c <= '9':
			found = "a digit"
		}
	}
	s.err = &DecodeError{Msg: "byte " + strconv.Itoa(i) + ": " + msg + ", found " + found, atEnd: i >= len(s.b)}
}

// ws skips white space.
func (s *scanner) ws() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// open steps into the one object that a text must be.
func (s *scanner) open() bool {
	s.ws()
	if s.peek() != '{' {
		s.fail(s.i, "expected one JSON object")
		return false
	}
	s.i++
	return true
}

// end checks that nothing follows the object.
func (s *scanner) end() bool {
	if s.err != nil {
		return false
	}
	if s.ws(); s.i < len(s.b) {
		s.fail(s.i, "expected nothing after the JSON object")
		return false
	}
	return true
}

// more steps to the next member of an object or item of an array that ends with
// closer. It says no at the end, having stepped over closer, and on an error.
func (s *scanner) more(first bool, closer byte) bool {
	s.ws()
	c := s.peek()
	switch {
	case s.err != nil:
		return false
	case c == closer:
		s.i++
		return false
	case first:
	case c == ',':
		s.i++
		s.ws()
	default:
		s.fail(s.i, "expected , or "+string(rune(closer)))
		return false
	}
	return true
}

// literal steps over a member's key, where it is this name, plainly written, and
// to its value. Otherwise it says no and stays.
func (s *scanner) literal(name string) bool {
	b, n := s.b[s.i:], len(name)
	if len(b) < n+3 || b[0] != '"' || string(b[1:1+n]) != name || b[1+n] != '"' || b[2+n] != ':' {
		return false
	}
	s.i += n + 3
	s.ws()
	return true
}

// key reads a member's key and steps to its value. The key is decoded; like
// encoding/json, what is not UTF-8 in it counts as U+FFFD.
func (s *scanner) key() (key []byte, ok bool) {
	if s.peek() != '"' {
		s.fail(s.i, "expected a key in quotes")
		return nil, false
	}
	raw, flags, ok := s.str()
	if !ok {
		return nil, false
	}
	if flags&isBackslash != 0 {
		raw, _ = unescape(nil, raw)
	}
	if flags&isWide != 0 && !utf8.Valid(raw) {
		raw = toValidUTF8(raw)
	}
	s.ws()
	if s.peek() != ':' {
		s.fail(s.i, "expected :")
		return nil, false
	}
	s.i++
	s.ws()
	return raw, true
}

// toValidUTF8 puts U+FFFD for each byte that is not UTF-8.
func toValidUTF8(b []byte) []byte {
	var out []byte
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		out = utf8.AppendRune(out, r)
		b = b[n:]
	}
	return out
}

// str reads a string, raw without its quotes, and says which kinds of bytes it
// has. Its escapes are well-formed, its bytes may be no UTF-8.
func (s *scanner) str() (raw []byte, flags uint8, ok bool) {
	b, i := s.b, s.i+1
	start := i
	for ; i < len(b); i++ {
		k := stringBytes[b[i]]
		if k == 0 {
			continue
		}
		switch k {
		case isQuote:
			s.i = i + 1
			return b[start:i], flags, true
		case isControl:
			s.fail(i, "expected no raw control character in a string")
			return nil, 0, false
		case isBackslash:
			i++
			if i >= len(b) {
				s.fail(i, "expected an escape")
				return nil, 0, false
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i >= len(b) || !isHex(b[i]) {
						s.fail(i, `expected four hex digits after \u`)
						return nil, 0, false
					}
				}
			default:
				s.fail(i, "expected an escape")
				return nil, 0, false
			}
		}
		flags |= k
	}
	s.fail(i, "expected the end of a string")
	return nil, 0, false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// hex4 is the number of four hex digits.
func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape appends the text of a string that str read. A surrogate without its
// other half becomes U+FFFD and whole is false.
func unescape(dst, raw []byte) (text []byte, whole bool) {
	whole = true
	for {
		n := bytes.IndexByte(raw, '\\')
		if n < 0 {
			return append(dst, raw...), whole
		}
		dst = append(dst, raw[:n]...)
		c := raw[n+1]
		raw = raw[n+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(raw)
			raw = raw[4:]
			if utf16.IsSurrogate(r) {
				second := rune(-1)
				if len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
					second = hex4(raw[2:])
				}
				if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
					whole = false
				} else {
					raw = raw[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}

// text reads a value that should be a string of UTF-8. Without escapes it lies
// in the scanned bytes, else behind scratch. When ok is false the value has been
// stepped over (or err is set).
func (s *scanner) text(scratch []byte) (t []byte, ok bool) {
	if s.peek() != '"' {
		s.skip(1)
		return nil, false
	}
	raw, flags, ok := s.str()
	if !ok {
		return nil, false
	}
	if flags == 0 {
		return raw, true
	}
	if flags&isBackslash != 0 {
		if raw, ok = unescape(scratch[:0], raw); !ok {
			return nil, false
		}
	}
	return raw, utf8.Valid(raw)
}

// integer reads a value that should be a whole number: digits without a fraction
// or an exponent, within an int64. When ok is false the value has been stepped
// over (or err is set).
func (s *scanner) integer() (v int64, ok bool) {
	b, start := s.b, s.i
	i := start
	negative := i < len(b) && b[i] == '-'
	if negative {
		i++
	}
	first := i
	for ; i < len(b); i++ {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		v = v*10 + int64(c)
	}
	switch n := i - first; {
	case n == 0, n > 1 && b[first] == '0', i < len(b) && (b[i] == '.' || b[i]|0x20 == 'e'):
		// Something else, or no JSON at all.
		s.skip(1)
		return 0, false
	case n > 18:
		// 18 digits always fit; beyond that only a closer look can tell.
		s.i = i
		v, err := strconv.ParseInt(string(b[start:i]), 10, 64)
		return v, err == nil
	}
	s.i = i
	if negative {
		v = -v
	}
	return v, true
}

// float reads a value that should be a number. When ok is false the value has
// been stepped over (or err is set).
func (s *scanner) float(bits int) (v float64, ok bool) {
	start := s.i
	if c := s.peek(); c != '-' && (c < '0' || c > '9') {
		s.skip(1)
		return 0, false
	}
	if !s.number() {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(s.b[start:s.i]), bits)
	return v, err == nil
}

// number steps over a number.
func (s *scanner) number() bool {
	b, i := s.b, s.i
	digits := func() bool {
		start := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == start {
			s.fail(i, "expected a digit")
			return false
		}
		return true
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return false
	}
	if i < len(b) && b[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	s.i = i
	return true
}

// null steps over a null, if there is one.
func (s *scanner) null() bool {
	if s.peek() == 'n' && s.i+4 <= len(s.b) && string(s.b[s.i:s.i+4]) == "null" {
		s.i += 4
		return true
	}
	return false
}

// skip steps over any value. depth is how many objects and arrays it lies in.
func (s *scanner) skip(depth int) bool {
	switch c := s.peek(); c {
	case '"':
		_, _, ok := s.str()
		return ok
	case '{', '[':
		if depth >= maxDepth {
			s.fail(s.i, "expected at most "+strconv.Itoa(maxDepth)+" levels")
			return false
		}
		s.i++
		for first := true; s.more(first, c+2); first = false {
			if c == '{' {
				if s.peek() != '"' {
					s.fail(s.i, "expected a key in quotes")
					return false
				}
				if _, _, ok := s.str(); !ok {
					return false
				}
				if s.ws(); s.peek() != ':' {
					s.fail(s.i, "expected :")
					return false
				}
				s.i++
				s.ws()
			}
			if !s.skip(depth + 1) {
				return false
			}
		}
		return s.err == nil
	case 't', 'f', 'n':
		word := "null"
		switch c {
		case 't':
			word = "true"
		case 'f':
			word = "false"
		}
		if !bytes.HasPrefix(s.b[s.i:], []byte(word)) {
			s.fail(s.i, "expected "+word)
			return false
		}
		s.i += len(word)
		return true
	default:
		if c != '-' && (c < '0' || c > '9') {
			s.fail(s.i, "expected a value")
			return false
		}
		return s.number()
	}
}

// keySet finds keys that stand twice in one object, among those that the
// contract does not know.
type keySet struct {
	few  [8][]byte
	n    int
	many map[string]struct{} // beyond a few, so that a thousand keys cost no million comparisons
}

// add says whether the key is new.
func (k *keySet) add(key []byte) bool {
	for _, have := range k.few[:k.n] {
		if bytes.Equal(have, key) {
			return false
		}
	}
	if k.n < len(k.few) {
		k.few[k.n] = key
		k.n++
		return true
	}
	if _, ok := k.many[string(key)]; ok {
		return false
	}
	if k.many == nil {
		k.many = map[string]struct{}{}
	}
	k.many[string(key)] = struct{}{}
	return true
}
