//go:build kafka

package apptest

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// unreported is a scorer that may not say what it is doing: it names what is missing
// and goes on without, and is reported again as soon as it may.
func (s *securedServers) unreported(scorer []string, reports grant) {
	s.deny("scorer", reports)
	one := s.service(scorer...).ready()
	says := func(text string) func() bool {
		return func() bool { return strings.Contains(string(one.stderr.bytes()), text) }
	}
	until(s.t, time.Minute, "it says what is missing", says("replica status reports are being dropped"))
	require.Contains(s.t, string(one.stderr.bytes()), "needs "+reports.operation+" on topic "+reports.name)
	require.False(s.t, one.hasEnded())
	one.ready()
	s.allow("scorer", reports)
	until(s.t, time.Minute, "it is reported", says("replica status reports are sent again"))
	one.terminate()
}

// goesOnWithout is a scorer that lacks a grant which it can do without, and says so.
func (s *securedServers) goesOnWithout(scorer []string, lacks grant, says string) {
	s.deny("scorer", lacks)
	one := s.service(scorer...).ready()
	until(s.t, time.Minute, "it says that it lacks "+lacks.String(), func() bool { return strings.Contains(string(one.stderr.bytes()), says) })
	one.terminate()
	s.allow("scorer", lacks)
}
