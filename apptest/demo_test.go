package apptest

import (
	"regexp"
	"testing"
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
func pageOf(a *app, says *regexp.Regexp) string { return a.says(says)[1] }
