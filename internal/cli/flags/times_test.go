package flags

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimes_AreStartOrRFC3339(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	from, to, err := Stretch{From: "2026-11-23T10:00:00Z", To: "2026-11-23T11:00:00Z"}.Config()
	require.NoError(t, err)
	require.Equal(t, []time.Time{at, at.Add(time.Hour)}, []time.Time{from, to})
	from, _, err = Stretch{From: "start"}.Config()
	require.NoError(t, err)
	require.True(t, from.IsZero())
	for _, wrong := range []Stretch{{From: "end"}, {From: "yesterday"}, {To: "start"}, {To: "2026-11-23"}} {
		_, _, err := wrong.Config()
		require.ErrorAs(t, err, new(UsageError), "%+v", wrong)
		_, err = Letters{From: wrong.From, To: wrong.To}.Config()
		require.ErrorAs(t, err, new(UsageError), "%+v", wrong)
	}
}
