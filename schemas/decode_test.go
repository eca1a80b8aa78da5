package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const contractApplication = `{"application_id": "A-000123", "applied_at": "2026-11-23T10:00:00.123456Z",
 "features": {"limit_bal": 200000, "sex": 2, "education": 2, "marriage": 1, "age": 34,
  "pay_0": 0, "pay_2": 0, "pay_3": -1, "pay_4": 0, "pay_5": 0, "pay_6": 2,
  "bill_amt1": 48210, "bill_amt2": 47102, "bill_amt3": 46001, "bill_amt4": 45230, "bill_amt5": 44990, "bill_amt6": 43120,
  "pay_amt1": 2000, "pay_amt2": 1800, "pay_amt3": 1700, "pay_amt4": 1500, "pay_amt5": 1600, "pay_amt6": 1500}}`

const contractPrediction = `{"application_id":"A-000123","applied_at":"2026-11-23T10:00:00.123456Z","decided_at":"2026-11-23T10:00:00.131002Z",` +
	`"channel":"stream","default_probability":0.18342,"default_prediction":0,"decision":"approve","points":530,` +
	`"reasons":[{"code":"UTILISATION","contribution":0.4121},{"code":"RECENT_DELAY","contribution":0.1277}],` +
	`"model_version":"2026-11-23.1","engine":"native","route":"champion","route_revision":3,"policy_version":"3f9c1a7e",` +
	`"shadow":{"model_version":"2026-12-01.1","default_probability":0.17911,"decision":"approve"},` +
	`"features":{"limit_bal":200000,"sex":2,"education":2,"marriage":1,"age":34,"pay_0":0,"pay_2":0,"pay_3":-1,"pay_4":0,"pay_5":0,"pay_6":null,` +
	`"bill_amt1":48210,"bill_amt2":47102,"bill_amt3":46001,"bill_amt4":45230,"bill_amt5":44990,"bill_amt6":43120,` +
	`"pay_amt1":2000,"pay_amt2":1800,"pay_amt3":1700,"pay_amt4":1500,"pay_amt5":1600,"pay_amt6":1500}}`

func TestContractExamples(t *testing.T) {
	var a Application
	require.NoError(t, DecodeApplication([]byte(contractApplication), &a))
	require.Equal(t, "A-000123", a.ApplicationID)
	require.Equal(t, time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC), a.AppliedAt.Time())
	require.Equal(t, Features{200000, 2, 2, 1, 34, 0, 0, -1, 0, 0, 2, 48210, 47102, 46001, 45230, 44990, 43120, 2000, 1800, 1700, 1500, 1600, 1500}, a.Features)
	var again Application
	require.NoError(t, DecodeApplication(AppendApplication(nil, &a), &again))
	require.Equal(t, a, again)

	var p Prediction
	require.NoError(t, DecodePrediction([]byte(contractPrediction), &p))
	require.Equal(t, contractPrediction, string(AppendPrediction(nil, &p)))
	require.Equal(t, &Shadow{"2026-12-01.1", 0.17911, "approve"}, p.Shadow)
	require.Equal(t, int32(Missing), p.Features[10])

	var o Outcome
	outcome := `{"application_id":"A-000123","defaulted":1,"observed_at":"2027-05-23T00:00:00Z"}`
	require.NoError(t, DecodeOutcome([]byte(outcome), &o))
	require.Equal(t, outcome, string(AppendOutcome(nil, &o)))

	var r Route
	route := `{"champion":"2026-11-23.1","canary":{"model_version":"2026-12-01.1","share":0.1},"shadow":null,"policy":"a: b\n","by":"risk-team","at":"2026-11-23T10:00:00Z","why":"…"}`
	require.NoError(t, DecodeRoute([]byte(route), &r))
	require.Equal(t, route, string(AppendRoute(nil, &r)))
}

func TestDecodeApplicationRefuses(t *testing.T) {
	for _, c := range []struct {
		name, old, with string
		decode          bool // a *DecodeError, otherwise a *ContractError
		says            string
	}{
		{"a cut value", `1500}}`, `1500`, true, "found the end"},
		{"an array", contractApplication, `[]`, true, "expected one JSON object, found '['"},
		{"nothing", contractApplication, ``, true, "found the end"},
		{"something behind", `1500}}`, `1500}} {}`, true, "nothing after"},
		{"a leading zero", `200000`, `0200000`, true, "found a digit"},
		{"an absent feature", `"sex": 2, `, ``, false, "features.sex: is required"},
		{"an absent id", `"application_id": "A-000123", `, ``, false, "application_id: is required"},
		{"a fraction", `200000`, `200000.0`, false, "features.limit_bal 200000.0: must be a whole number, 1 … 2796202, or null"},
		{"an exponent", `200000`, `2e5`, false, "features.limit_bal 2e5"},
		{"too much", `200000`, `2796203`, false, "features.limit_bal 2796203"},
		{"beyond an int64", `200000`, `99999999999999999999`, false, "features.limit_bal 99999999999999999999"},
		{"a text", `200000`, `"200000"`, false, `features.limit_bal "200000"`},
		{"an object", `200000`, `{"a":1}`, false, "features.limit_bal {…}: must be"},
		{"an array", `200000`, `[1]`, false, "features.limit_bal […]: must be"},
		{"an empty object", `200000`, `{}`, false, "features.limit_bal {}: must be"},
		{"a key twice", `"sex": 2`, `"sex": 2, "sex": 2`, false, "features.sex 2: must not stand twice"},
		{"an unknown key twice", `"sex": 2`, `"sex": 2, "x": 1, "x": 2`, false, "features.x 2: must not stand twice"},
		{"an empty id", `A-000123`, ``, false, `application_id ""`},
		{"a control character", `A-000123`, `A\u0001`, false, "control characters"},
		{"a C1 control character", `A-000123`, "A\u0085", false, "control characters"},
		{"a long id", `A-000123`, strings.Repeat("x", 129), false, "128 bytes"},
		{"half a surrogate pair", `A-000123`, `\ud800`, false, "UTF-8"},
		{"bytes that are no UTF-8", `A-000123`, "\xff", false, "UTF-8"},
		{"another zone", `123456Z`, `123456+01:00`, false, "RFC 3339 time in UTC"},
		{"nanoseconds", `123456Z`, `123456789Z`, false, "six decimals"},
		{"no such day", `2026-11-23`, `2026-02-30`, false, "applied_at"},
		{"features null", contractApplication, `{"application_id":"a","applied_at":"2026-11-23T10:00:00Z","features":null}`, false, "features null: must be an object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, contractApplication, c.old)
			var a Application
			err := DecodeApplication([]byte(strings.Replace(contractApplication, c.old, c.with, 1)), &a)
			require.ErrorContains(t, err, c.says)
			var d *DecodeError
			require.Equal(t, c.decode, errors.As(err, &d), "%T", err)
		})
	}
	var a Application
	err := DecodeApplication([]byte(`{"application_id":7,"features":{}}`), &a)
	var ce *ContractError
	require.ErrorAs(t, err, &ce)
	require.Len(t, ce.Violations, 1+NumFeatures+1, "all at once")
	require.NotContains(t, DecodeApplication([]byte(strings.Replace(contractApplication, "200000", `"`+strings.Repeat("y", 5000)+`"`, 1)), &a).Error(), strings.Repeat("y", 100))
}

func TestPredictionRefuses(t *testing.T) {
	for _, c := range []struct{ old, with, says string }{
		{`"stream"`, `"mail"`, "channel"},
		{`0.18342`, `1.1`, "default_probability 1.1"},
		{`"approve","points"`, `"maybe","points"`, "decision"},
		{`"points":530`, `"points":5.5`, "points 5.5"},
		{`"route_revision":3`, `"route_revision":-2`, "route_revision -2"},
		{`"contribution":0.4121`, `"contribution":-1`, "reasons.0.contribution -1"},
		{`{"code":"UTILISATION",`, `{`, "reasons.0.code: is required"},
		{`"decision":"approve"}`, `"decision":""}`, "shadow.decision"},
		{`[{"code"`, `[{},{},{},{"code"`, "at most 4"},
	} {
		require.Contains(t, contractPrediction, c.old)
		var p Prediction
		require.ErrorContains(t, DecodePrediction([]byte(strings.Replace(contractPrediction, c.old, c.with, 1)), &p), c.says)
	}
}

func TestCodecsAllocateLittle(t *testing.T) {
	var a Application
	value := []byte(contractApplication)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		a.ApplicationID = ""
		_ = DecodeApplication(value, &a)
	}), 2.0)
	var p Prediction
	require.NoError(t, DecodePrediction([]byte(contractPrediction), &p))
	buf := make([]byte, 0, 2048)
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = AppendPrediction(buf[:0], &p) }))
}

var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// members reads one JSON object with encoding/json: its raw members, and whether
// a key stands twice.
func members(value []byte) (m map[string]json.RawMessage, twice bool, err error) {
	d := json.NewDecoder(bytes.NewReader(value))
	open, err := d.Token()
	if err != nil || open != json.Delim('{') {
		return nil, false, errors.New("no object")
	}
	m = map[string]json.RawMessage{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, false, err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, false, err
		}
		name := fmt.Sprint(key)
		_, again := m[name]
		twice = twice || again
		m[name] = raw
	}
	return m, twice, nil
}

func depth(value []byte) (deepest int) {
	d := json.NewDecoder(bytes.NewReader(value))
	for at := 0; ; {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			at++
			deepest = max(deepest, at)
		case json.Delim('}'), json.Delim(']'):
			at--
		}
	}
}

// referenceApplication is the contract on encoding/json, slow and plain. class is
// "" when the value is right.
func referenceApplication(value []byte) (a Application, class string) {
	if !json.Valid(value) {
		return a, ErrorClassDecode
	}
	top, twice, err := members(value)
	if err != nil {
		return a, ErrorClassDecode
	}
	ok := !twice
	text := func(raw json.RawMessage) (s string) {
		if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil || !utf8.Valid(raw) {
			ok = false
		}
		return s
	}
	a.ApplicationID = text(top["application_id"])
	ok = ok && a.ApplicationID != "" && len(a.ApplicationID) <= MaxApplicationID
	for _, r := range a.ApplicationID {
		ok = ok && r >= 0x20 && (r < 0x7f || r > 0x9f)
	}
	applied := text(top["applied_at"])
	at, err := time.Parse(time.RFC3339Nano, applied)
	ok = ok && err == nil && regexp.MustCompile(`^[0-9-]{10}T[0-9:]{8}(\.[0-9]{1,6})?Z$`).MatchString(applied)
	a.AppliedAt = At(at)
	features, twice, err := members(top["features"])
	ok = ok && err == nil && !twice
	for i, rule := range FeatureRules {
		raw := string(features[rule.Name])
		if raw == "null" {
			a.Features[i] = Missing
			continue
		}
		v, err := strconv.ParseInt(raw, 10, 64)
		ok = ok && wholeNumber.MatchString(raw) && err == nil && v >= int64(rule.Min) && v <= int64(rule.Max)
		a.Features[i] = int32(v)
	}
	if !ok {
		return a, ErrorClassContract
	}
	return a, ""
}

func FuzzDecodeApplication(f *testing.F) {
	var plain Application
	require.NoError(f, DecodeApplication([]byte(contractApplication), &plain))
	for _, s := range []string{
		contractApplication, string(AppendApplication(nil, &plain)), `{}`, ``, `{"a":[1,{"b":null}],"a":tru}`, "{\"\xff\":1,\"\xfe\":2}",
		strings.Replace(contractApplication, "200000", "null", 1),
		strings.Replace(contractApplication, "A-000123", `\u00e9\ud83d\ude00\n`, 1),
		strings.Replace(contractApplication, "34", "-0", 1),
		strings.Replace(contractApplication, "sex", `s\u0065x`, 1),
		strings.Replace(contractApplication, "sex", "Sex", 1),
		strings.Replace(contractApplication, "{", `{"x":[[1.5e3,-0.1,true,false,null,"\\"]],`, 1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		want, class := referenceApplication(value)
		if depth(value) > maxDepth || strings.ContainsRune(want.ApplicationID, '\ufffd') {
			return // refused by us; and encoding/json does not tell a broken character from U+FFFD
		}
		var got Application
		err := DecodeApplication(value, &got)
		var d *DecodeError
		switch {
		case err == nil:
			require.Empty(t, class)
			require.Equal(t, want, got)
			require.True(t, json.Valid(AppendApplication(nil, &got)))
			again, class := referenceApplication(AppendApplication(nil, &got))
			require.Empty(t, class)
			require.Equal(t, got, again)
		case errors.As(err, &d):
			require.Equal(t, ErrorClassDecode, class, err)
		default:
			require.Equal(t, ErrorClassContract, class, err)
		}
	})
}

func FuzzDecodePrediction(f *testing.F) {
	f.Add([]byte(contractPrediction))
	f.Fuzz(func(t *testing.T, value []byte) {
		var p, again Prediction
		if DecodePrediction(value, &p) != nil {
			return
		}
		encoded := AppendPrediction(nil, &p)
		require.True(t, json.Valid(encoded))
		require.NoError(t, DecodePrediction(encoded, &again))
		require.Equal(t, encoded, AppendPrediction(nil, &again))
	})
}

func FuzzAppendFloat(f *testing.F) {
	f.Add(float32(0.18342))
	f.Add(float32(1e-9))
	f.Fuzz(func(t *testing.T, v float32) {
		want, err := json.Marshal(v)
		if err != nil {
			return // NaN or infinite
		}
		require.Equal(t, string(want), string(appendFloat(nil, v)))
	})
}

func TestPutIntegerWritesWhatStrconvDoes(t *testing.T) {
	f := func(v int32) {
		t.Helper()
		var b [16]byte
		require.Equal(t, strconv.Itoa(int(v)), string(b[:putInteger(b[:], v)]))
	}
	f(math.MinInt32)
	f(math.MaxInt32)
	for _, span := range []int32{0, 1_000, 20_000} {
		for v := -span; v <= span; v++ {
			f(v)
		}
	}
	for limit := int32(10); ; limit *= 10 {
		for d := int32(-2); d <= 2; d++ {
			f(limit + d)
			f(-limit - d)
		}
		if limit == 1e9 {
			break
		}
	}
}

func TestIsPlainSeesEveryByteEverywhere(t *testing.T) {
	for length := range 26 {
		for at := range length {
			for c := range 256 {
				text := []byte(strings.Repeat("~", length))
				text[at] = byte(c)
				require.Equal(t, stringBytes[c] == 0, isPlain(string(text)), "%q", text)
			}
		}
	}
	require.True(t, isPlain(""))
}

// What is written as appendFeatures does is read another way than the rest.
func TestFeaturesReadTheSameHoweverTheyStand(t *testing.T) {
	var want, a Application
	require.NoError(t, DecodeApplication([]byte(contractApplication), &want))
	want.Features[5], want.Features[13], want.Features[22] = Missing, -MaxAmount, MaxAmount
	plain := string(AppendApplication(nil, &want))
	require.NoError(t, DecodeApplication([]byte(plain), &a))
	require.Equal(t, want, a)
	spaced := strings.NewReplacer(",", " ,", ":", ": ", "}", "\n}").Replace(plain[:len(plain)-1]) + "}"
	spaced = strings.Replace(spaced, `"2026-11-23T10: 00: 00`, `"2026-11-23T10:00:00`, 1)
	a = Application{}
	require.NoError(t, DecodeApplication([]byte(spaced), &a))
	require.Equal(t, want, a)

	same := func(old, with string, wantErr string) {
		t.Helper()
		text := strings.Replace(plain, old, with, 1)
		require.NotEqual(t, plain, text)
		err := DecodeApplication([]byte(text), &a)
		if wantErr == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, wantErr)
	}
	same(`"age":34`, `"age":034`, "expected , or }")
	same(`"age":34`, `"age":-0`, "features.age -0")
	same(`"pay_2":0`, `"pay_2":-0`, "")
	same(`"age":34`, `"age":34.0`, "features.age 34.0")
	same(`"age":34`, `"age":34e0`, "features.age 34e0")
	same(`"age":34`, `"age":200`, "features.age 200")
	same(`"age":34`, `"age":99999999`, "features.age 99999999")
	same(`"age":34`, `"age":-`, "expected a digit")
	same(`"age":34`, `"age":nul`, "expected null")
	same(`"age":34`, `"age":null`, "")
	same(`"age":34`, `"age":"34"`, `features.age "34"`)
	same(`"age":34`, `"age":34,"age":34`, "features.age 34: must not stand twice")
	same(`"age":34,`, ``, "features.age: is required")
	same(`"age":34,`, `"age":34,"colour":1,`, "")
	same(`2796202}}`, `2796202,}}`, "expected a key")
}

func TestDecodeCutApplication_ReadsTheIDOfWhatWasKept(t *testing.T) {
	f := func(value, id string, known bool) {
		t.Helper()
		got, ok := DecodeCutApplication([]byte(value))
		require.Equal(t, known, ok, value)
		if known {
			require.Equal(t, id, got, value)
		}
	}
	f(`{"application_id": "A-1", "note": "`+strings.Repeat(" ", 1000), "A-1", true)
	f(`{"note": "long", "application_id": "A-\u0031", "applied_at"`, "A-1", true)
	f(`{"application_id": "A-1", "applied_at": "2026-11-23T10:00:00Z", "features": {"limit_bal": 1,`, "A-1", true)
	f(`{"application_id": "A-1", "features": {"limit_bal": 0,`, "", false)          // breaks a rule
	f(`{"application_id": "A-1", "application_id": "A-2", "note": "`, "", false)    // twice
	f(`{"application_id": "A-1", "features": {"limit_bal" 1, "more": "`, "", false) // no JSON
	f(`{"application_id": "", "note": "`, "", false)                                // no id
	f(`{"application_id": "A-1`, "", false)                                         // cut within it
	f(`{"note": "`, "", false)
	f("\x00\x00\x00\x00\x01\x06A-1", "", false)
	f("", "", false)
}
