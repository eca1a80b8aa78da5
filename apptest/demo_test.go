package apptest

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	pageAt  = regexp.MustCompile(`page +(http://\S+)`)
	kafkaAt = regexp.MustCompile(`Kafka +([^\s,]+)`)
)

// demo starts a demo.
func demo(t *testing.T, dir, listen string, args ...string) (a *app, home string) {
	a = start(t, "demo", append([]string{"demo", "--data-dir", dir, "--api-listen", listen, "--seed", "7"}, args...)...)
	return a, pageOf(a, pageAt)
}

// pageOf waits until a process says where its page, or something else of it, is.
func pageOf(a *app, says *regexp.Regexp) string {
	until(a.t, time.Minute, a.name+" says where it is", func() bool {
		require.False(a.t, a.hasEnded(), "%s has ended", a.name)
		return says.Match(a.stderr.bytes())
	})
	return string(says.FindSubmatch(a.stderr.bytes())[1])
}
