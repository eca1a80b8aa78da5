package schemas

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const contractReplica = `{"component":"score","instance":"one","host":"node-7","version":"v1.2.3","started":"2026-11-23T10:00:00Z","at":"2026-11-23T10:05:00.000001Z",` +
	`"ready":true,"reason":"","pending":"models: route revision 4 waits",` +
	`"models":{"route_revision":3,"newest_revision":4,"champion":"v1","canary":"v2","shadow":"","pending":"route revision 4 waits","refused":[{"model_version":"v3","reason":"checksum error"}]},` +
	`"decisions":{"approve":5,"refer":6,"decline":7},"dead_letters":1,"errors":2,` +
	`"recent":{"seconds":10,"records":12,"latency":"AQID"},"total":{"seconds":300.5,"records":18,"latency":""},` +
	`"lag":[{"partition":0,"offsets":12},{"partition":3,"offsets":0}]}`

func TestReplicaRoundTrip(t *testing.T) {
	var p Replica
	require.NoError(t, DecodeReplica([]byte(contractReplica), &p))
	require.Equal(t, "score/one", ReplicaKey(p.Component, p.Instance))
	require.True(t, p.Ready)
	require.Equal(t, &ReplicaModels{
		RouteRevision: 3, NewestRevision: 4, Champion: "v1", Canary: "v2", Pending: "route revision 4 waits",
		Refused: []Refusal{{"v3", "checksum error"}},
	}, p.Models)
	require.Equal(t, DecisionCounts{5, 6, 7}, p.Decisions)
	require.Equal(t, ReplicaStretch{10, 12, []byte{1, 2, 3}}, p.Recent)
	require.Equal(t, ReplicaStretch{300.5, 18, nil}, p.Total)
	require.Equal(t, []PartitionLag{{0, 12}, {3, 0}}, p.Lag)
	require.Equal(t, contractReplica, string(AppendReplica(nil, &p)))
	require.Equal(t, "x"+contractReplica, string(AppendReplica([]byte("x"), &p)))
}

func TestReplicaOfNothingHasEmptyArraysAndNoModels(t *testing.T) {
	p := Replica{Component: "view", Instance: "a"}
	text := AppendReplica(nil, &p)
	require.Contains(t, string(text), `"lag":[]`)
	require.NotContains(t, string(text), "models")
	require.NotContains(t, string(text), "null")
	require.Nil(t, p.Lag, "the replica itself is left as it was")
	var again Replica
	require.NoError(t, DecodeReplica(text, &again))
	require.Nil(t, again.Models)
	p.Models = &ReplicaModels{RouteRevision: -1, NewestRevision: -1}
	require.Contains(t, string(AppendReplica(nil, &p)), `"refused":[]`)
	require.Nil(t, p.Models.Refused)
}

func TestDecodeReplicaForgetsTheLastOne(t *testing.T) {
	var p, fresh Replica
	require.NoError(t, DecodeReplica([]byte(contractReplica), &p))
	other := AppendReplica(nil, &Replica{Component: "view", Instance: "a"})
	require.NoError(t, DecodeReplica(other, &p))
	require.NoError(t, DecodeReplica(other, &fresh))
	require.Equal(t, fresh, p)
}

func TestReplicaRefuses(t *testing.T) {
	for _, c := range []struct{ old, with, says string }{
		{`"component":"score"`, `"component":""`, `component "": must be a text that is not empty`},
		{`"instance":"one",`, ``, "instance: is required"},
		{`"ready":true`, `"ready":"yes"`, `ready "yes": must be true or false`},
		{`"ready":true`, `"ready":null`, "ready null: must be true or false"},
		{`"at":"2026-11-23T10:05:00.000001Z"`, `"at":17`, "at 17"},
		{`"models":{"route_revision":3,`, `"models":{`, "models.route_revision: is required"},
		{`"route_revision":3`, `"route_revision":-2`, "models.route_revision -2: must be a whole number, -1 … "},
		{`"refused":[{"model_version":"v3","reason":"checksum error"}]`, `"refused":{}`, "models.refused {}: must be an array"},
		{`{"model_version":"v3","reason":"checksum error"}`, `7`, "models.refused.0 7: must be an object"},
		{`"model_version":"v3"`, `"model_version":3`, "models.refused.0.model_version 3"},
		{`"approve":5`, `"approve":-5`, "decisions.approve -5"},
		{`"decisions":{"approve":5,"refer":6,"decline":7}`, `"decisions":[]`, "decisions []: must be an object"},
		{`"latency":"AQID"`, `"latency":"AQI"`, `recent.latency "AQI": must be base64`},
		{`"latency":""`, `"latency":null`, "total.latency null: must be base64"},
		{`"seconds":10`, `"seconds":-1`, "recent.seconds -1: must be a number from 0"},
		{`"offsets":12`, `"offsets":1.5`, "lag.0.offsets 1.5: must be a whole number"},
		{`"partition":3`, `"partition":2147483648`, "lag.1.partition 2147483648"},
		{`"errors":2`, `"errors":2,"errors":2`, "errors 2: must not stand twice"},
	} {
		require.Contains(t, contractReplica, c.old)
		err := DecodeReplica([]byte(strings.Replace(contractReplica, c.old, c.with, 1)), new(Replica))
		require.ErrorContains(t, err, c.says)
		var ce *ContractError
		require.ErrorAs(t, err, &ce)
	}
	var d *DecodeError
	require.ErrorAs(t, DecodeReplica([]byte(contractReplica[:40]), new(Replica)), &d)
	var ce *ContractError
	require.ErrorAs(t, DecodeReplica([]byte(`{"recent":{}}`), new(Replica)), &ce)
	require.Len(t, ce.Violations, len(replicaNames)-2+len(replicaStretchNames), "all at once, models are optional")
	require.NoError(t, DecodeReplica([]byte(strings.Replace(contractReplica, `{`, `{"later":{"a":[1]},`, 1)), new(Replica)), "an unknown key is ignored")
}

// referenceReplica is the contract on encoding/json, slow and plain. class is ""
// when the value is right; whole is false where encoding/json cannot tell.
func referenceReplica(value []byte) (class string, whole bool) {
	if !json.Valid(value) {
		return ErrorClassDecode, true
	}
	top, twice, err := members(value)
	if err != nil {
		return ErrorClassDecode, true
	}
	p := &plain{ok: !twice}
	whole = true
	text := func(raw json.RawMessage, empty bool) string {
		s := p.text(raw, empty)
		whole = whole && !strings.ContainsRune(s, '\ufffd')
		return s
	}
	integer := func(raw json.RawMessage, low, high int64) {
		var n int64
		if string(raw) == "null" || json.Unmarshal(raw, &n) != nil || n < low || n > high {
			p.ok = false
		}
	}
	for name, empty := range map[string]bool{"component": false, "instance": false, "host": true, "version": true, "reason": true, "pending": true} {
		text(top[name], empty)
	}
	for _, name := range []string{"started", "at"} {
		p.instant(top[name])
	}
	p.ok = p.ok && (string(top["ready"]) == "true" || string(top["ready"]) == "false")
	if raw, there := top["models"]; there {
		m := p.object(raw)
		integer(m["route_revision"], -1, math.MaxInt64)
		integer(m["newest_revision"], -1, math.MaxInt64)
		for _, name := range []string{"champion", "canary", "shadow", "pending"} {
			text(m[name], true)
		}
		for _, raw := range p.array(m["refused"]) {
			one := p.object(raw)
			text(one["model_version"], false)
			text(one["reason"], true)
		}
	}
	d := p.object(top["decisions"])
	for _, name := range decisionCountNames {
		integer(d[name], 0, math.MaxInt64)
	}
	integer(top["dead_letters"], 0, math.MaxInt64)
	integer(top["errors"], 0, math.MaxInt64)
	for _, name := range []string{"recent", "total"} {
		s := p.object(top[name])
		seconds := p.number(s["seconds"])
		p.ok = p.ok && seconds >= 0
		integer(s["records"], 0, math.MaxInt64)
		_, err := base64.StdEncoding.Strict().DecodeString(text(s["latency"], true))
		p.ok = p.ok && err == nil
	}
	for _, raw := range p.array(top["lag"]) {
		one := p.object(raw)
		integer(one["partition"], 0, math.MaxInt32)
		integer(one["offsets"], 0, math.MaxInt64)
	}
	if !p.ok {
		return ErrorClassContract, whole
	}
	return "", whole
}

func FuzzDecodeReplica(f *testing.F) {
	for _, s := range []string{
		contractReplica, `{}`, ``, `{"models":{"refused":[{}]},"lag":[1]}`,
		string(AppendReplica(nil, &Replica{Component: "view", Instance: "a"})),
		strings.Replace(contractReplica, "score", `sc\u006fre`, 1),
		strings.Replace(contractReplica, "300.5", `1e-400`, 1),
		strings.Replace(contractReplica, "AQID", `AQ\u0049D`, 1),
		strings.Replace(contractReplica, "true", `true `, 1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		class, whole := referenceReplica(value)
		if depth(value) > maxDepth || !whole {
			return // refused by us; and encoding/json does not tell a broken character from U+FFFD
		}
		var got, again Replica
		err := DecodeReplica(value, &got)
		var d *DecodeError
		switch {
		case err == nil:
			require.Empty(t, class)
			encoded := AppendReplica(nil, &got)
			require.NoError(t, DecodeReplica(encoded, &again))
			require.Equal(t, got, again)
			require.Equal(t, encoded, AppendReplica(nil, &again))
		case errors.As(err, &d):
			require.Equal(t, ErrorClassDecode, class, err)
		default:
			require.Equal(t, ErrorClassContract, class, err)
		}
	})
}
