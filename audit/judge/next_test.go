package judge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func TestJudgement_ChangesOneThingOfTheRoute(t *testing.T) {
	t.Parallel()
	shadow := "v3"
	both := &schemas.Route{Champion: "v1", Canary: &schemas.Canary{ModelVersion: "v2", Share: 0.125}, Shadow: &shadow}
	alone := &schemas.Route{Champion: "v1", Shadow: &shadow}
	for _, c := range []struct {
		role, version, verdict string
		route                  *schemas.Route
		want                   *Step
	}{
		{"canary", "v2", RollBack, both, &Step{NoCanary: true}},
		{"canary", "v2", Promote, both, &Step{Champion: "v2"}},
		{"canary", "v2", Hold, both, nil},
		{"shadow", "v3", RollBack, both, &Step{NoShadow: true}},
		{"shadow", "v3", Promote, both, &Step{Canary: "v3", CanaryShare: 1000}},
		{"shadow", "v3", Promote, alone, &Step{Canary: "v3", CanaryShare: 1000}},
		{"shadow", "v3", Hold, alone, nil},
	} {
		next := (&Judgement{Role: c.role, ModelVersion: c.version, Verdict: c.verdict}).Next(c.route)
		if next != nil {
			require.NotEmpty(t, next.Does)
			next.Does = ""
		}
		require.Equal(t, c.want, next, "%s %s", c.role, c.verdict)
	}
}

func TestCandidate_IsTheCanaryBeforeTheShadow(t *testing.T) {
	t.Parallel()
	shadow := "v3"
	canary := &schemas.Canary{ModelVersion: "v2", Share: 0.125}
	for _, c := range []struct {
		route schemas.Route
		asked string
		want  string // "": there is none
	}{
		{schemas.Route{Canary: canary, Shadow: &shadow}, "", "canary"},
		{schemas.Route{Canary: canary, Shadow: &shadow}, "shadow", "shadow"},
		{schemas.Route{Shadow: &shadow}, "", "shadow"},
		{schemas.Route{Shadow: &shadow}, "canary", ""},
		{schemas.Route{Canary: canary}, "shadow", ""},
		{schemas.Route{}, "", ""},
	} {
		role, ok := Candidate(&c.route, c.asked)
		require.Equal(t, c.want, role)
		require.Equal(t, c.want != "", ok)
	}
}
