package schemas

import (
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
		{`#drift"}`, `#drift"`, true, "expected , or }, found the end"},
		{`#drift"}`, `#drift"} 1`, true, "expected nothing after the JSON object, found a digit"},
		{contractAlert, `[]`, true, "expected one JSON object"},
		{contractAlert, `null`, true, "expected one JSON object"},
		{`"since":"2026-11-23T10:00:00Z"`, `"since":"2026-11-23T10:00:00+01:00"`, false, `since "2026-11-23T10:00:00+01:00": must be an RFC 3339 time in UTC`},
		{`"since":"2026-11-23T10:00:00Z"`, `"since":null`, false, `since null: must be an RFC 3339 time`},
		{`"evaluated_at":"2026-11-23T10:05:00.000001Z"`, `"evaluated_at":1763892300`, false, "evaluated_at 1763892300: must be an RFC 3339 time"},
		{`"to":"2026-11-23T10:05:00Z",`, ``, false, "window.to: is required"},
		{`"state":"firing",`, ``, false, `state: is required`},
		{`"firing"`, `"pending"`, false, `state "pending": must be firing or resolved`},
		{`"firing"`, `null`, false, `state null: must be firing or resolved`},
		{`"state"`, `"alert":"x","state"`, false, `alert "x": must not stand twice`},
		{`"state"`, `"more":1,"more":2,"state"`, false, `more 2: must not stand twice`},
		{`"psi":0.31`, `"psi":0.31,"psi":0`, false, `contributors.0.psi 0: must not stand twice`},
		{`"drift/limit_bal"`, `""`, false, `alert "": must be a text that is not empty`},
		{`"value":0.31`, `"value":"0.31"`, false, `value "0.31": must be a number`},
		{`"value":0.31`, `"value":null`, false, `value null: must be a number`},
		{`"value":0.31`, `"value":1e999`, false, "value 1e999: must be a number"},
		{`"threshold":0.1,`, ``, false, "threshold: is required"},
		{`"decisions":10012`, `"decisions":10012.5`, false, "window.decisions 10012.5: must be a whole number from 0"},
		{`"decisions":10012`, `"decisions":-1`, false, "window.decisions -1: must be a whole number from 0"},
		{`"window":{"name":"10000",`, `"window":null,"w":{`, false, `window null: must be an object`},
		{`"name":"10000",`, ``, false, `window.name: is required`},
		{`[{"feature":"limit_bal","psi":0.31},{"feature":"age","psi":0}]`, `null`, false, "contributors null: must be an array"},
		{`{"feature":"age","psi":0}`, `7`, false, "contributors.1 7: must be an object"},
		{`"feature":"age",`, ``, false, `contributors.1.feature: is required`},
		{`"psi":0.31`, `"psi":-0.31`, false, `contributors.0.psi -0.31: must be a number from 0`},
		{`"2026-12-01.1"`, `""`, false, `model_versions.1 "": must be a text that is not empty`},
		{`"2026-12-01.1"`, `null`, false, `model_versions.1 null: must be a text that is not empty`},
		{`"docs/runbook.md#drift"`, `{}`, false, "runbook {}: must be a text"},
	} {
		require.Contains(t, contractAlert, c.old)
		err := DecodeAlert([]byte(strings.Replace(contractAlert, c.old, c.with, 1)), new(Alert))
		require.ErrorContains(t, err, c.says)
		_, decode := errors.AsType[*DecodeError](err)
		require.Equal(t, c.decode, decode, "%T: %v", err, err)
	}
	var ce *ContractError
	require.ErrorAs(t, DecodeAlert([]byte(`{"window":{}}`), new(Alert)), &ce)
	require.Len(t, ce.Violations, 15, "all at once")
	require.NoError(t, DecodeAlert([]byte(strings.Replace(contractAlert, `{`, `{"later":{"a":[1]},`, 1)), new(Alert)), "an unknown key is ignored")
}

func FuzzDecodeAlert(f *testing.F) {
	for _, s := range []string{
		contractAlert, `{}`, ``, `{"alert":null,"alert":1,"window":[],"model_versions":["",null]}`,
		strings.Replace(contractAlert, `"psi":0`, `"psi":-0`, 1), `{"window":{"name":1},"contributors":[{"psi":1e-400}]}`,
		strings.Replace(contractAlert, "firing", "resolved", 1),
		strings.Replace(contractAlert, "0.31", "-1.5E+3", 1),
		strings.Replace(contractAlert, "psi", `ps\u0069`, 2),
		strings.Replace(contractAlert, "limit_bal", `\u00e9\ud83d\ude00<&>`, 1),
		strings.Replace(contractAlert, "{", `{"Alert":"x","x":[[1.5e3,true,null,"\\"]],`, 1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		var got, again Alert
		if DecodeAlert(value, &got) != nil {
			return
		}
		encoded := AppendAlert(nil, &got)
		require.NoError(t, DecodeAlert(encoded, &again))
		require.Equal(t, got, again)
		require.Equal(t, encoded, AppendAlert(nil, &again))
	})
}
