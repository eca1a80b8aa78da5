package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/audit/judge"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
)

func TestEveryVerdictHasItsCommand(t *testing.T) {
	shadow := "v3"
	canary := &schemas.Canary{ModelVersion: "v2", Share: 0.125}
	const own = "threshold: 0.4\n"
	f := func(role, verdict string, canary *schemas.Canary, shadow *string, policy, command string) *nextStep {
		t.Helper()
		version := "v2"
		if role == "shadow" {
			version = "v3"
		}
		route := &release.Revision{Number: 7, Route: schemas.Route{Champion: "v1", Canary: canary, Shadow: shadow, Policy: policy}}
		out := withNext(&judge.Judgement{Role: role, ModelVersion: version, Verdict: verdict, Why: "the champion's"}, route)
		require.Equal(t, verdict, out.Verdict)
		if command == "" {
			require.Nil(t, out.Next)
			text, err := json.Marshal(out)
			require.NoError(t, err)
			require.Contains(t, string(text), `"next":null`)
			return nil
		}
		require.Equal(t, "creditstream model route --champion "+command+` --expect 7 --why "judged: the champion's"`, out.Next.Command)
		var printed bytes.Buffer
		require.NoError(t, out.print(&printed))
		require.Contains(t, printed.String(), "\n    "+out.Next.Command+"\n")
		return out.Next
	}
	const same = schemas.DefaultPolicyText
	f("canary", judge.RollBack, canary, nil, same, "v1")
	f("canary", judge.RollBack, canary, &shadow, same, "v1 --shadow v3")
	f("canary", judge.RollBack, canary, &shadow, own, "v1 --shadow v3 --same-policy")
	f("canary", judge.Promote, canary, nil, same, "v2")
	f("canary", judge.Promote, canary, &shadow, own, "v2 --shadow v3 --same-policy")
	f("canary", judge.Hold, canary, &shadow, own, "")
	f("shadow", judge.RollBack, nil, &shadow, same, "v1")
	f("shadow", judge.RollBack, canary, &shadow, same, "v1 --canary v2=12.5%")
	require.Equal(t, "the shadow becomes canary", f("shadow", judge.Promote, nil, &shadow, own, "v1 --canary v3=10% --same-policy").Does)
	require.Contains(t, f("shadow", judge.Promote, canary, &shadow, same, "v1 --canary v3=10%").Does, "in place of v2, which is better decided on first")
	f("shadow", judge.Hold, nil, &shadow, same, "")
}
