package schemas

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// featureKey is a key of the features object as it is written, with the
// punctuation before it.
type featureKey struct {
	text   string
	padded [16]byte // the text, so that it is copied in one go
}

var featureKeys = func() (keys [NumFeatures]featureKey) {
	for i, f := range FeatureRules {
		text := `,"` + f.Name + `":`
		if i == 0 {
			text = "{" + text[1:]
		}
		keys[i].text = text
		if copy(keys[i].padded[:], text) < len(text) {
			panic("a feature's name does not fit")
		}
	}
	return keys
}()

// A feature takes at most a padded key and the digits of an int32 with its sign.
const maxFeaturesText = NumFeatures*(16+11) + 1

func appendFeatures(dst []byte, f *Features) []byte {
	dst = slices.Grow(dst, maxFeaturesText)
	b, n := dst[:cap(dst)], len(dst)
	for i, v := range f {
		key := &featureKeys[i]
		copy(b[n:n+16], key.padded[:]) // what is behind the key is written over
		n += len(key.text)
		if v == Missing {
			n += copy(b[n:], "null")
		} else {
			n += putInteger(b[n:], v)
		}
	}
	b[n] = '}'
	return b[:n+1]
}

// digitPairs are 00 to 99.
var digitPairs = func() (pairs [200]byte) {
	for i := range 100 {
		pairs[2*i], pairs[2*i+1] = byte('0'+i/10), byte('0'+i%10)
	}
	return pairs
}()

// putInteger writes v and returns how many bytes it has.
func putInteger(b []byte, v int32) (n int) {
	u := uint32(v)
	if v < 0 {
		b[0] = '-'
		b = b[1:]
		u, n = -u, 1
	}
	digits := 1
	for rest := u; rest >= 10; rest /= 10 {
		digits++
	}
	n += digits
	for digits > 1 {
		digits -= 2
		pair := u % 100 * 2
		u /= 100
		b[digits], b[digits+1] = digitPairs[pair], digitPairs[pair+1]
	}
	if digits == 1 {
		b[0] = byte('0' + u)
	}
	return n
}

// isPlain says whether a text stands in JSON as it is: ASCII without quotes,
// backslashes, control characters and DEL. It looks at eight bytes at once.
func isPlain(s string) bool {
	if len(s) < 8 {
		for i := range len(s) {
			if stringBytes[s[i]] != 0 {
				return false
			}
		}
		return true
	}
	for i := 0; i < len(s)-8; i += 8 {
		if !isPlainWord(s[i : i+8]) {
			return false
		}
	}
	return isPlainWord(s[len(s)-8:])
}

// isPlainWord is isPlain for eight bytes. Taking 1 from every byte of a word sets
// the top bit of one that is 0, and 0x20 of one below that; a borrow goes only from
// such a byte, so that a word without one is never taken for another.
func isPlainWord(s string) bool {
	const (
		ones = 0x0101010101010101
		tops = 0x8080808080808080
	)
	w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	quote, backslash, del := w^ones*'"', w^ones*'\\', w^ones*0x7f
	return (w|(w-ones*0x20)&^w|(quote-ones)&^quote|(backslash-ones)&^backslash|(del-ones)&^del)&tops == 0
}

func appendString(dst []byte, s string) []byte {
	if isPlain(s) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; stringBytes[c] {
		case isQuote, isBackslash:
			dst = append(dst, '\\', c)
		case isControl:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// appendFloat writes the shortest text that reads back as the same float32, in
// encoding/json's form.
func appendFloat(dst []byte, v float32) []byte {
	format := byte('f')
	if a := math.Abs(float64(v)); a != 0 && (float32(a) < 1e-6 || float32(a) >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, float64(v), format, -1, 32)
	if n := len(dst); format == 'e' && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 becomes e-9
		dst = dst[:n-1]
	}
	return dst
}

func appendTimestamp(dst []byte, t Timestamp) []byte {
	dst = append(dst, '"')
	dst = t.Time().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

// AppendApplication appends the application as it stands on the wire.
func AppendApplication(dst []byte, a *Application) []byte {
	dst = append(dst, `{"application_id":`...)
	dst = appendString(dst, a.ApplicationID)
	dst = append(dst, `,"applied_at":`...)
	dst = appendTimestamp(dst, a.AppliedAt)
	dst = append(dst, `,"features":`...)
	dst = appendFeatures(dst, &a.Features)
	return append(dst, '}')
}

// AppendPrediction appends the prediction as it stands on the wire.
func AppendPrediction(dst []byte, p *Prediction) []byte {
	dst = append(dst, `{"application_id":`...)
	dst = appendString(dst, p.ApplicationID)
	dst = append(dst, `,"applied_at":`...)
	dst = appendTimestamp(dst, p.AppliedAt)
	dst = append(dst, `,"decided_at":`...)
	dst = appendTimestamp(dst, p.DecidedAt)
	dst = append(dst, `,"channel":`...)
	dst = appendString(dst, p.Channel)
	dst = append(dst, `,"default_probability":`...)
	dst = appendFloat(dst, p.DefaultProbability)
	dst = append(dst, `,"default_prediction":`...)
	dst = strconv.AppendUint(dst, uint64(p.DefaultPrediction), 10)
	dst = append(dst, `,"decision":`...)
	dst = appendString(dst, p.Decision)
	dst = append(dst, `,"points":`...)
	dst = strconv.AppendInt(dst, int64(p.Points), 10)
	dst = append(dst, `,"reasons":[`...)
	for i := range p.Reasons {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"code":`...)
		dst = appendString(dst, p.Reasons[i].Code)
		dst = append(dst, `,"contribution":`...)
		dst = appendFloat(dst, p.Reasons[i].Contribution)
		dst = append(dst, '}')
	}
	dst = append(dst, `],"model_version":`...)
	dst = appendString(dst, p.ModelVersion)
	dst = append(dst, `,"engine":`...)
	dst = appendString(dst, p.Engine)
	dst = append(dst, `,"route":`...)
	dst = appendString(dst, p.Route)
	dst = append(dst, `,"route_revision":`...)
	dst = strconv.AppendInt(dst, p.RouteRevision, 10)
	dst = append(dst, `,"policy_version":`...)
	dst = appendString(dst, p.PolicyVersion)
	if s := p.Shadow; s != nil {
		dst = append(dst, `,"shadow":{"model_version":`...)
		dst = appendString(dst, s.ModelVersion)
		dst = append(dst, `,"default_probability":`...)
		dst = appendFloat(dst, s.DefaultProbability)
		dst = append(dst, `,"decision":`...)
		dst = appendString(dst, s.Decision)
		dst = append(dst, '}')
	}
	dst = append(dst, `,"features":`...)
	dst = appendFeatures(dst, &p.Features)
	return append(dst, '}')
}

// AppendOutcome appends the outcome as it stands on the wire.
func AppendOutcome(dst []byte, o *Outcome) []byte {
	dst = append(dst, `{"application_id":`...)
	dst = appendString(dst, o.ApplicationID)
	dst = append(dst, `,"defaulted":`...)
	dst = strconv.AppendUint(dst, uint64(o.Defaulted), 10)
	dst = append(dst, `,"observed_at":`...)
	dst = appendTimestamp(dst, o.ObservedAt)
	return append(dst, '}')
}

// AppendRoute appends the route as it stands on the wire.
func AppendRoute(dst []byte, r *Route) []byte {
	b, err := json.Marshal(r)
	if err != nil { // a share that is no number; model/release checks it first
		panic(err)
	}
	return append(dst, b...)
}
