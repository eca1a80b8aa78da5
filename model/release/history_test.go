package release

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func TestHistory_KnowsWhichRouteWasInForce(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	h := &History{}
	require.Nil(t, h.InForceAt(noon))
	for i, number := range []int64{3, 5, 8} {
		h.routes = append(h.routes, Revision{Number: number, Route: schemas.Route{At: schemas.At(noon.Add(time.Duration(i) * time.Hour))}})
	}
	for after, want := range map[time.Duration]int64{
		-time.Hour: 3, // before the first
		0:          3, time.Hour - time.Second: 3, time.Hour: 5, 3 * time.Hour: 8,
	} {
		require.Equal(t, want, h.InForceAt(noon.Add(after)).Number, after)
	}
}

func TestRevision_SaysWhichRolesAVersionHas(t *testing.T) {
	t.Parallel()
	shadow := "v1"
	r := Revision{Route: schemas.Route{Champion: "v1", Canary: &schemas.Canary{ModelVersion: "v2", Share: 0.1}, Shadow: &shadow}}
	require.Equal(t, []string{"champion", "shadow"}, r.Roles("v1"))
	require.Equal(t, []string{"canary"}, r.Roles("v2"))
	require.Empty(t, r.Roles("v3"))
	require.Empty(t, (&Revision{Route: schemas.Route{Champion: "v1"}}).Roles(""))
}
