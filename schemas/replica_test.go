package schemas

import (
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
	require.Equal(t, ReplicaStretch{300.5, 18, []byte{}}, p.Total)
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
		{`"instance":"one",`, ``, `instance: is required`},
		{`"host"`, `"instance":"two","host"`, `instance "two": must not stand twice`},
		{`"host":"node-7"`, `"host":null`, `host null: must be a text`},
		{`"ready":true`, `"ready":"yes"`, `ready "yes": must be true or false`},
		{`"ready":true`, `"ready":null`, `ready null: must be true or false`},
		{`"ready":true,`, ``, `ready: is required`},
		{`"at":"2026-11-23T10:05:00.000001Z"`, `"at":17`, "at 17: must be an RFC 3339 time"},
		{`"started":"2026-11-23T10:00:00Z"`, `"started":"yesterday"`, `started "yesterday": must be an RFC 3339 time`},
		{`"started":"2026-11-23T10:00:00Z",`, ``, "started: is required"},
		{`"route_revision":3,`, ``, "models.route_revision: is required"},
		{`"route_revision":3`, `"route_revision":-2`, "models.route_revision -2: must be a whole number from -1"},
		{`"newest_revision":4`, `"newest_revision":null`, "models.newest_revision null: must be a whole number from -1"},
		{`"refused":[{"model_version":"v3","reason":"checksum error"}]`, `"refused":{}`, "models.refused {}: must be an array"},
		{`"model_version":"v3"`, `"model_version":""`, `models.refused.0.model_version "": must be a text that is not empty`},
		{`"models":{`, `"models":null,"other":{`, "models null: must be an object"},
		{`"approve":5`, `"approve":-5`, "decisions.approve -5: must be a whole number from 0"},
		{`"approve":5,`, ``, "decisions.approve: is required"},
		{`"decisions":{"approve":5,"refer":6,"decline":7}`, `"decisions":null`, "decisions null: must be an object"},
		{`"decisions":{"approve":5,"refer":6,"decline":7}`, `"decisions":[]`, "decisions []: must be an object"},
		{`"seconds":10`, `"seconds":-1`, "recent.seconds -1: must be a number from 0"},
		{`AQID`, `AQI`, `recent.latency "AQI": must be a text in base64`},
		{`"latency":""`, `"latency":7`, `total.latency 7: must be a text in base64`},
		{`"offsets":12`, `"offsets":1.5`, "lag.0.offsets 1.5: must be a whole number from 0"},
		{`"offsets":12`, `"offsets":-1`, "lag.0.offsets -1"},
		{`"partition":3`, `"partition":2147483648`, "lag.1.partition 2147483648"},
	} {
		require.Contains(t, contractReplica, c.old)
		err := DecodeReplica([]byte(strings.Replace(contractReplica, c.old, c.with, 1)), new(Replica))
		require.ErrorContains(t, err, c.says)
		var ce *ContractError
		require.ErrorAs(t, err, &ce)
	}
	var d *DecodeError
	require.ErrorAs(t, DecodeReplica([]byte(contractReplica[:40]), new(Replica)), &d)
	require.NoError(t, DecodeReplica([]byte(strings.Replace(contractReplica, `{`, `{"later":{"a":[1]},`, 1)), new(Replica)), "an unknown key is ignored")
}

func FuzzDecodeReplica(f *testing.F) {
	for _, s := range []string{
		contractReplica, `{}`, ``, `{"ready":null,"ready":1,"models":{"route_revision":-2},"recent":{"latency":"AQ=="}}`,
		strings.Replace(contractReplica, `"offsets":0`, `"offsets":-0`, 1), `{"models":{"refused":[{}]},"lag":[1]}`,
		string(AppendReplica(nil, &Replica{Component: "view", Instance: "a"})),
		strings.Replace(contractReplica, "score", `sc\u006fre`, 1),
		strings.Replace(contractReplica, "300.5", `1e-400`, 1),
		strings.Replace(contractReplica, "AQID", `AQ\u0049D`, 1),
		strings.Replace(contractReplica, "true", `true `, 1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		var got, again Replica
		if DecodeReplica(value, &got) != nil {
			return
		}
		encoded := AppendReplica(nil, &got)
		require.NoError(t, DecodeReplica(encoded, &again))
		require.Equal(t, got, again)
		require.Equal(t, encoded, AppendReplica(nil, &again))
	})
}
