package schemas

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const contractAlert = `{"alert":"drift/limit_bal","state":"firing","since":"2026-11-23T10:00:00Z","evaluated_at":"2026-11-23T10:05:00.000001Z",` +
	`"statistic":"psi","value":0.31,"threshold":0.1,` +
	`"window":{"name":"10000","from":"2026-11-23T09:00:00Z","to":"2026-11-23T10:05:00Z","decisions":10012},` +
	`"contributors":[{"feature":"limit_bal","psi":0.31},{"feature":"age","psi":0}],"reference":"sha256:00ff",` +
	`"model_versions":["2026-11-23.1","2026-12-01.1"],"runbook":"docs/runbook.md#drift"}`

func TestAlertRoundTrip(t *testing.T) {
	var a Alert
	require.NoError(t, DecodeAlert([]byte(contractAlert), &a))
	require.Equal(t, "drift/limit_bal", a.Alert)
	require.Equal(t, AlertFiring, a.State)
	require.Equal(t, 0.31, a.Value)
	require.Equal(t, "2026-11-23T10:05:00Z", a.Window.To.String())
	require.Equal(t, int64(10012), a.Window.Decisions)
	require.Equal(t, []Contributor{{"limit_bal", 0.31}, {"age", 0}}, a.Contributors)
	require.Equal(t, []string{"2026-11-23.1", "2026-12-01.1"}, a.ModelVersions)
	require.Equal(t, contractAlert, string(AppendAlert(nil, &a)))
	require.Equal(t, "x"+contractAlert, string(AppendAlert([]byte("x"), &a)))
}

// An alert about no feature and no decision, such as one that nothing arrives.
func TestAlertOfNothingHasEmptyArrays(t *testing.T) {
	a := Alert{Alert: "no-decisions", State: AlertResolved, Statistic: "decisions", Window: AlertWindow{Name: "300"}}
	text := AppendAlert(nil, &a)
	require.Contains(t, string(text), `"contributors":[],"reference":"","model_versions":[]`)
	require.Nil(t, a.Contributors, "the alert itself is left as it was")
	var again Alert
	require.NoError(t, DecodeAlert(text, &again))
	require.Equal(t, text, AppendAlert(nil, &again))
}

func TestAlertKeepsDoublePrecision(t *testing.T) {
	a := Alert{Alert: "a", State: AlertFiring, Statistic: "s", Value: -math.MaxFloat64, Threshold: 0.1 + 1e-16*3, Window: AlertWindow{Name: "w"}, Contributors: []Contributor{{"f", 5e-324}}}
	var again Alert
	require.NoError(t, DecodeAlert(AppendAlert(nil, &a), &again))
	require.Equal(t, a.Value, again.Value)
	require.Equal(t, a.Threshold, again.Threshold)
	require.Equal(t, a.Contributors, again.Contributors)
}

func TestAlertPanicsOnWhatIsNoNumber(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1)} {
		require.Panics(t, func() { AppendAlert(nil, &Alert{Value: v}) })
	}
}

// What was read before must not shine through.
func TestDecodeAlertForgetsTheLastOne(t *testing.T) {
	var a, fresh Alert
	require.NoError(t, DecodeAlert([]byte(contractAlert), &a))
	empty := strings.NewReplacer(`[{"feature":"limit_bal","psi":0.31},{"feature":"age","psi":0}]`, `[]`, `["2026-11-23.1","2026-12-01.1"]`, `[]`, `"sha256:00ff"`, `""`).Replace(contractAlert)
	require.NoError(t, DecodeAlert([]byte(empty), &a))
	require.NoError(t, DecodeAlert([]byte(empty), &fresh))
	require.Equal(t, fresh, a)
	require.Empty(t, a.Contributors)
	require.Empty(t, a.ModelVersions)
}

func TestAlertRefuses(t *testing.T) {
	for _, c := range []struct {
		old, with string
		decode    bool // a *DecodeError, otherwise a *ContractError
		says      string
	}{
		{`#drift"}`, `#drift"`, true, "found the end"},
		{`#drift"}`, `#drift"} 1`, true, "nothing after"},
		{contractAlert, `[]`, true, "expected one JSON object, found '['"},
		{`10012}`, `10012,}`, true, "expected a key in quotes"},
		{`"state":"firing",`, ``, false, "state: is required"},
		{`"firing"`, `"pending"`, false, `state "pending": must be firing or resolved`},
		{`"firing"`, `null`, false, "state null: must be firing or resolved"},
		{`"state":"firing"`, `"state":"firing","state":"firing"`, false, `state "firing": must not stand twice`},
		{`"value":0.31`, `"value":0.31,"x":1,"x":1`, false, "x 1: must not stand twice"},
		{`"drift/limit_bal"`, `""`, false, `alert "": must be a text that is not empty`},
		{`"since":"2026-11-23T10:00:00Z"`, `"since":"2026-11-23T10:00:00+01:00"`, false, "RFC 3339 time in UTC"},
		{`"evaluated_at":"2026-11-23T10:05:00.000001Z"`, `"evaluated_at":1763892300`, false, "evaluated_at 1763892300"},
		{`"value":0.31`, `"value":"0.31"`, false, `value "0.31": must be a number`},
		{`"value":0.31`, `"value":null`, false, "value null: must be a number"},
		{`"value":0.31`, `"value":1e999`, false, "value 1e999: must be a number"},
		{`"threshold":0.1`, `"threshold":true`, false, "threshold true: must be a number"},
		{`"decisions":10012`, `"decisions":10012.0`, false, "window.decisions 10012.0: must be a whole number"},
		{`"decisions":10012`, `"decisions":-1`, false, "window.decisions -1"},
		{`"name":"10000",`, ``, false, "window.name: is required"},
		{`"name":"10000"`, `"name":10000`, false, "window.name 10000: must be a text"},
		{`"name":"10000"`, `"name":"1","name":"2"`, false, `window.name "2": must not stand twice`},
		{`"from":"2026-11-23T09:00:00Z"`, `"from":""`, false, `window.from ""`},
		{`[{"feature":"limit_bal","psi":0.31},{"feature":"age","psi":0}]`, `{}`, false, "contributors {}: must be an array"},
		{`[{"feature":"limit_bal","psi":0.31},{"feature":"age","psi":0}]`, `null`, false, "contributors null: must be an array"},
		{`{"feature":"age","psi":0}`, `7`, false, "contributors.1 7: must be an object"},
		{`"psi":0}`, `"psi":-0.1}`, false, "contributors.1.psi -0.1: must be a number from 0"},
		{`"feature":"age",`, ``, false, "contributors.1.feature: is required"},
		{`"feature":"age"`, `"feature":"age","feature":"age"`, false, "contributors.1.feature \"age\": must not stand twice"},
		{`"sha256:00ff"`, `null`, false, "reference null: must be a text"},
		{`["2026-11-23.1","2026-12-01.1"]`, `"2026-11-23.1"`, false, `model_versions "…": must be an array`},
		{`"2026-12-01.1"]`, `""]`, false, `model_versions.1 "": must be a text that is not empty`},
		{`"2026-12-01.1"]`, `2]`, false, "model_versions.1 2: must be a text that is not empty"},
		{`"docs/runbook.md#drift"`, `{}`, false, "runbook {}: must be a text"},
	} {
		require.Contains(t, contractAlert, c.old)
		var a Alert
		err := DecodeAlert([]byte(strings.Replace(contractAlert, c.old, c.with, 1)), &a)
		require.ErrorContains(t, err, c.says)
		var d *DecodeError
		require.Equal(t, c.decode, errors.As(err, &d), "%T: %v", err, err)
	}
	var ce *ContractError
	require.ErrorAs(t, DecodeAlert([]byte(`{"window":{}}`), new(Alert)), &ce)
	require.Len(t, ce.Violations, len(alertNames)-1+len(alertWindowNames), "all at once")
	require.NoError(t, DecodeAlert([]byte(strings.Replace(contractAlert, `{`, `{"later":{"a":[1]},`, 1)), new(Alert)), "an unknown key is ignored")
}

// referenceAlert is the contract on encoding/json, slow and plain. class is ""
// when the value is right.
func referenceAlert(value []byte) (a Alert, class string) {
	if !json.Valid(value) {
		return a, ErrorClassDecode
	}
	top, twice, err := members(value)
	if err != nil {
		return a, ErrorClassDecode
	}
	p := &plain{ok: !twice}
	a = Alert{
		Alert: p.text(top["alert"], false), State: p.text(top["state"], false), Since: p.instant(top["since"]), EvaluatedAt: p.instant(top["evaluated_at"]),
		Statistic: p.text(top["statistic"], false), Value: p.number(top["value"]), Threshold: p.number(top["threshold"]),
		Contributors: []Contributor{}, Reference: p.text(top["reference"], true), ModelVersions: []string{}, Runbook: p.text(top["runbook"], true),
	}
	p.ok = p.ok && (a.State == "firing" || a.State == "resolved")
	window := p.object(top["window"])
	a.Window = AlertWindow{Name: p.text(window["name"], false), From: p.instant(window["from"]), To: p.instant(window["to"])}
	decisions := window["decisions"]
	p.ok = p.ok && wholeNumber.Match(decisions) && json.Unmarshal(decisions, &a.Window.Decisions) == nil && a.Window.Decisions >= 0
	for _, raw := range p.array(top["contributors"]) {
		m := p.object(raw)
		c := Contributor{p.text(m["feature"], false), p.number(m["psi"])}
		p.ok = p.ok && c.PSI >= 0
		a.Contributors = append(a.Contributors, c)
	}
	for _, raw := range p.array(top["model_versions"]) {
		a.ModelVersions = append(a.ModelVersions, p.text(raw, false))
	}
	if !p.ok {
		return a, ErrorClassContract
	}
	return a, ""
}

func FuzzDecodeAlert(f *testing.F) {
	for _, s := range []string{
		contractAlert, `{}`, ``, `{"window":{"name":1},"contributors":[{"psi":1e-400}]}`,
		strings.Replace(contractAlert, "firing", "resolved", 1),
		strings.Replace(contractAlert, "0.31", "-1.5E+3", 1),
		strings.Replace(contractAlert, "psi", `ps\u0069`, 2),
		strings.Replace(contractAlert, "limit_bal", `\u00e9\ud83d\ude00<&>`, 1),
		strings.Replace(contractAlert, "{", `{"Alert":"x","x":[[1.5e3,true,null,"\\"]],`, 1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		want, class := referenceAlert(value)
		texts := want.Alert + want.State + want.Statistic + want.Window.Name + want.Reference + want.Runbook + strings.Join(want.ModelVersions, "")
		for _, c := range want.Contributors {
			texts += c.Feature
		}
		if depth(value) > maxDepth || strings.ContainsRune(texts, '\ufffd') {
			return // refused by us; and encoding/json does not tell a broken character from U+FFFD
		}
		var got, again Alert
		err := DecodeAlert(value, &got)
		var d *DecodeError
		switch {
		case err == nil:
			require.Empty(t, class)
			require.Equal(t, want, got)
			encoded := AppendAlert(nil, &got)
			require.NoError(t, DecodeAlert(encoded, &again))
			require.Equal(t, got, again)
			require.Equal(t, encoded, AppendAlert(nil, &again))
		case errors.As(err, &d):
			require.Equal(t, ErrorClassDecode, class, err)
		default:
			require.Equal(t, ErrorClassContract, class, err)
		}
	})
}
