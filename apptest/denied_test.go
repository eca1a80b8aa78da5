//go:build kafka

package apptest

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"
)

var scored = regexp.MustCompile(`(?m)^creditstream_scorer_records_total (\S+)$`)

// deniedAtWork takes a grant from a scorer while it works, and gives it back. What
// comes in meanwhile waits; verdict says what it amounts to in the end.
func (s *securedServers) deniedAtWork(scorer []string, granted []grant, produce []string, verdict func() verdict) {
	t := s.t
	at := slices.IndexFunc(granted, func(g grant) bool {
		return g.resource == "topic" && g.name == securedPrefix+".predictions" && g.operation == "WRITE"
	})
	require.GreaterOrEqual(t, at, 0, "%v", granted)
	writes := granted[at]
	before := verdict()
	const n = 6000
	one := s.service(scorer...).ready()
	steady := s.keep(start(t, "produce", append(produce, "--count", strconv.Itoa(n), "--rate", "500")...))
	until(t, time.Minute, "it works", func() bool {
		status, text := shownBy(one.listen, "/metrics")
		found := scored.FindStringSubmatch(text)
		if status != http.StatusOK || found == nil {
			return false
		}
		answered, err := strconv.ParseFloat(found[1], 64)
		require.NoError(t, err)
		return answered >= 500
	})
	s.deny("scorer", writes)
	select {
	case <-one.ended:
	case <-time.After(time.Minute):
		require.Fail(t, "it goes on without "+writes.String())
	}
	require.Equal(t, 1, one.cmd.ProcessState.ExitCode())
	require.Contains(t, string(one.stderr.bytes()), writes.String())
	require.False(t, steady.hasEnded(), "it was taken away when all was done")
	require.Contains(t, s.refused(scorer...), writes.String(), "started again by its supervisor")
	s.allow("scorer", writes)
	two := s.service(scorer...).ready()
	steady.wait(time.Minute)
	want := before
	want.Applications += n
	want.Predictions += n
	require.Equal(t, want, verdict())
	two.terminate()
}
