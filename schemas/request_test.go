package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// bareRequest is the contract's example as the features alone.
var bareRequest = func() string {
	at := strings.Index(contractApplication, `"features": {`) + len(`"features": `)
	return contractApplication[at : len(contractApplication)-1]
}()

func TestRequestComesInTwoForms(t *testing.T) {
	var want Application
	require.NoError(t, DecodeApplication([]byte(contractApplication), &want))
	for _, c := range []struct {
		name, body, id string
		applied        bool
	}{
		{"whole", contractApplication, "A-000123", true},
		{"features within", `{"features": ` + bareRequest + `}`, "", false},
		{"features alone", bareRequest, "", false},
		{"features alone with an id", `{"application_id": "x", ` + bareRequest[1:], "x", false},
		{"null for what may be left out", `{"application_id": null, "applied_at": null, "features": ` + bareRequest + `}`, "", false},
		{"features within win", `{"limit_bal": "no", "sex": 1, "features": ` + bareRequest + `}`, "", false},
		{"unknown keys", `{"x": {"features": 1}, "features": ` + bareRequest + `}`, "", false},
	} {
		q := Request{Application: Application{ApplicationID: "before"}, HasAppliedAt: true}
		require.NoError(t, DecodeRequest([]byte(c.body), &q), c.name)
		require.Equal(t, want.Features, q.Features, c.name)
		require.Equal(t, c.id, q.ApplicationID, c.name)
		require.Equal(t, c.applied, q.HasAppliedAt, c.name)
		if c.applied {
			require.Equal(t, want.AppliedAt, q.AppliedAt, c.name)
		}
	}
}

func TestRequestRefuses(t *testing.T) {
	violations := func(body string) []string {
		var q Request
		err := DecodeRequest([]byte(body), &q)
		var c *ContractError
		require.ErrorAs(t, err, &c, body)
		var fields []string
		for _, v := range c.Violations {
			fields = append(fields, v.Field)
		}
		return fields
	}
	require.Equal(t, []string{"features"}, violations(`{}`))
	require.Equal(t, []string{"features"}, violations(`{"application_id": "a"}`))
	require.Equal(t, []string{"features"}, violations(`{"features": null}`))
	require.Len(t, violations(`{"features": {}}`), NumFeatures)
	require.Len(t, violations(`{"limit_bal": 1}`), NumFeatures-1)
	require.Equal(t, []string{"application_id", "applied_at", "limit_bal", "sex"},
		violations(`{"application_id": "", "applied_at": "today", `+strings.Replace(strings.Replace(bareRequest, "200000", "0", 1), `"sex": 2`, `"sex": 2.5`, 1)[1:]))
	require.Equal(t, []string{"features.sex"}, violations(`{"features": `+strings.Replace(bareRequest, `"sex": 2`, `"sex": 3`, 1)+`}`))
	require.Equal(t, []string{"sex"}, violations(strings.Replace(bareRequest, `"sex": 2`, `"sex": 2, "sex": 2`, 1)))
	require.Equal(t, []string{"features"}, violations(`{"features": `+bareRequest+`, "features": `+bareRequest+`}`))
	for _, body := range []string{``, `[]`, `null`, `{"features":`, `{"features": ` + bareRequest + `} {}`, `{"sex": 02}`} {
		var q Request
		var d *DecodeError
		require.ErrorAs(t, DecodeRequest([]byte(body), &q), &d, body)
	}
}

func TestBatchItemsFailAlone(t *testing.T) {
	body := `{"applications": [{"features": ` + bareRequest + `}, 5, {"features": {}}, ` + bareRequest + `, {"application_id": "a", "sex": 9}]}`
	items, err := DecodeBatchRequest([]byte(body), nil, 5)
	require.NoError(t, err)
	require.Len(t, items, 5)
	var broken []int
	for _, item := range items {
		broken = append(broken, len(item.Violations))
	}
	require.Equal(t, []int{0, 1, NumFeatures, 0, NumFeatures}, broken)
	require.Equal(t, Violation{"", "5", "must be an object"}, items[1].Violations[0])
	require.Equal(t, items[0].Features, items[3].Features)

	f := func(body, says string) {
		items, err := DecodeBatchRequest([]byte(body), items[:0], 5)
		require.ErrorContains(t, err, says)
		require.LessOrEqual(t, len(items), 5)
	}
	f(`{"applications": [1,2,3,4,5,6,7]}`, "applications 7 items: must have at most 5 items")
	f(`{"applications": {}}`, "applications {}: must be an array")
	f(`{}`, "applications: is required")
	f(`{"applications": [], "applications": []}`, "must not stand twice")
	f(`{"applications": [{]}`, "expected a key in quotes")
	f(`[]`, "expected one JSON object")
	items, err = DecodeBatchRequest([]byte(`{"applications": []}`), nil, 5)
	require.NoError(t, err)
	require.Empty(t, items)
}

// referenceRequest is the two forms on encoding/json, slow and plain. class is ""
// when the request is right.
func referenceRequest(value []byte) (q Request, class string) {
	if !json.Valid(value) {
		return q, ErrorClassDecode
	}
	top, twice, err := members(value)
	if err != nil {
		return q, ErrorClassDecode
	}
	ok := !twice
	text := func(raw json.RawMessage) (s string) {
		if raw[0] != '"' || json.Unmarshal(raw, &s) != nil || !utf8.Valid(raw) {
			ok = false
		}
		return s
	}
	if raw := top["application_id"]; len(raw) > 0 && string(raw) != "null" {
		q.ApplicationID = text(raw)
		ok = ok && q.ApplicationID != "" && len(q.ApplicationID) <= MaxApplicationID
		for _, r := range q.ApplicationID {
			ok = ok && r >= 0x20 && (r < 0x7f || r > 0x9f)
		}
	}
	if raw := top["applied_at"]; len(raw) > 0 && string(raw) != "null" {
		applied := text(raw)
		at, err := time.Parse(time.RFC3339Nano, applied)
		ok = ok && err == nil && regexp.MustCompile(`^[0-9-]{10}T[0-9:]{8}(\.[0-9]{1,6})?Z$`).MatchString(applied)
		q.AppliedAt, q.HasAppliedAt = At(at), true
	}
	features := top
	if raw, wrapped := top["features"]; wrapped {
		features, twice, err = members(raw)
		ok = ok && err == nil && !twice
	}
	for i, rule := range FeatureRules {
		raw := string(features[rule.Name])
		if raw == "null" {
			q.Features[i] = Missing
			continue
		}
		var v int64
		_, err := fmt.Sscan(raw, &v)
		ok = ok && wholeNumber.MatchString(raw) && err == nil && v >= int64(rule.Min) && v <= int64(rule.Max)
		q.Features[i] = int32(v)
	}
	if !ok {
		return q, ErrorClassContract
	}
	return q, ""
}

func FuzzDecodeRequest(f *testing.F) {
	for _, s := range []string{
		contractApplication, bareRequest, `{"features": ` + bareRequest + `}`, `{}`, ``, `{"features":{},"sex":2}`,
		`{"application_id":null,"applied_at":null,` + bareRequest[1:],
		strings.Replace(bareRequest, "200000", "null", 1),
		strings.Replace(bareRequest, "sex", `s\u0065x`, 1),
		strings.Replace(contractApplication, "A-000123", `\u00e9\ud83d\ude00\n`, 1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		want, class := referenceRequest(value)
		if depth(value) > maxDepth || strings.ContainsRune(want.ApplicationID, '\ufffd') {
			return // refused by us; and encoding/json does not tell a broken character from U+FFFD
		}
		var got Request
		err := DecodeRequest(value, &got)
		var d *DecodeError
		switch {
		case err == nil:
			require.Empty(t, class)
			require.Equal(t, want, got)
		case errors.As(err, &d):
			require.Equal(t, ErrorClassDecode, class, err)
		default:
			require.Equal(t, ErrorClassContract, class, err)
		}
		if depth(value)+2 > maxDepth {
			return // a batch puts it two levels deeper
		}
		items, err := DecodeBatchRequest([]byte(`{"applications":[`+string(value)+`]}`), nil, 1)
		if class == "" {
			require.NoError(t, err)
			require.Len(t, items, 1)
			require.Empty(t, items[0].Violations)
			require.Equal(t, want, items[0].Request)
		}
	})
}

func BenchmarkDecodeRequest(b *testing.B) {
	value := []byte(`{"features": ` + bareRequest + `}`)
	b.ReportAllocs()
	var q Request
	for b.Loop() {
		_ = DecodeRequest(value, &q)
	}
}

func TestAnswerAndSummaryLeaveFeaturesOut(t *testing.T) {
	var p Prediction
	require.NoError(t, DecodePrediction([]byte(contractPrediction), &p))
	text := func(code string) string { return "about " + code }
	require.Equal(t, `{"application_id":"A-000123","default_prediction":0,"default_probability":0.18342,"decision":"approve","points":530,`+
		`"reasons":[{"code":"UTILISATION","text":"about UTILISATION","contribution":0.4121},{"code":"RECENT_DELAY","text":"about RECENT_DELAY","contribution":0.1277}],`+
		`"model_version":"2026-11-23.1","route":"champion","policy_version":"3f9c1a7e","decided_at":"2026-11-23T10:00:00.131002Z"}`,
		string(AppendAnswer(nil, &p, text)))
	p.Reasons = nil
	require.Equal(t, `{"application_id":"A-000123","decided_at":"2026-11-23T10:00:00.131002Z","channel":"stream","decision":"approve",`+
		`"default_probability":0.18342,"points":530,"reasons":[],"model_version":"2026-11-23.1"}`, string(AppendSummary(nil, &p, text)))
}
