package schemas

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// featureKeys are the features object's keys as they are written, each with the
// punctuation before it.
var featureKeys = func() (keys [NumFeatures]string) {
	for i, f := range FeatureRules {
		keys[i] = `,"` + f.Name + `":`
	}
	keys[0] = `{` + keys[0][1:]
	return keys
}()

func appendFeatures(dst []byte, f *Features) []byte {
	for i, v := range f {
		dst = append(dst, featureKeys[i]...)
		if v == Missing {
			dst = append(dst, "null"...)
		} else {
			dst = strconv.AppendInt(dst, int64(v), 10)
		}
	}
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte {
	plain := true
	for i := range len(s) {
		if stringBytes[s[i]] != 0 {
			plain = false
			break
		}
	}
	if plain {
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
