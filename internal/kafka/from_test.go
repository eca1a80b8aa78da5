package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseFrom_ReadsStartEndTimeOrNothing(t *testing.T) {
	t.Parallel()
	f := func(text string, want From) {
		from, err := ParseFrom(text)
		require.NoError(t, err)
		require.Equal(t, want, from)
	}
	f("", From{})
	f("start", From{Start: true})
	f("end", From{End: true})
	f("2026-11-23T10:00:00Z", From{Time: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)})
	_, err := ParseFrom("yesterday")
	require.ErrorContains(t, err, `--from "yesterday"`)
}
