package cli

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
	f := func(role, verdict string, canary *schemas.Canary, shadow *string, command string) *nextStep {
		t.Helper()
		version := "v2"
		if role == "shadow" {
			version = "v3"
		}
		route := &release.Revision{Number: 7, Route: schemas.Route{Champion: "v1", Canary: canary, Shadow: shadow}}
		out := withNext(&judge.Judgement{Role: role, ModelVersion: version, Verdict: verdict, Why: "the champion's"}, route)
		require.Equal(t, verdict, out.Verdict)
		if command == "" {
			require.Nil(t, out.Next)
			text, err := json.Marshal(out)
			require.NoError(t, err)
			require.Contains(t, string(text), `"next":null`)
			return nil
		}
		require.Equal(t, "creditstream model route "+command+` --expect 7 --why "judged: the champion's"`, out.Next.Command)
		var printed bytes.Buffer
		require.NoError(t, out.print(&printed))
		require.Contains(t, printed.String(), "\n    "+out.Next.Command+"\n")
		return out.Next
	}
	f("canary", judge.RollBack, canary, nil, "--no-canary")
	f("canary", judge.RollBack, canary, &shadow, "--no-canary")
	f("canary", judge.Promote, canary, &shadow, "--champion v2")
	f("canary", judge.Hold, canary, &shadow, "")
	f("shadow", judge.RollBack, canary, &shadow, "--no-shadow")
	require.Equal(t, "the shadow becomes canary", f("shadow", judge.Promote, nil, &shadow, "--canary v3=10%").Does)
	require.Contains(t, f("shadow", judge.Promote, canary, &shadow, "--canary v3=10%").Does, "in place of v2, which is better decided on first")
	f("shadow", judge.Hold, nil, &shadow, "")
}
