//go:build kafka

package apptest

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/bench/measure"
)

// Ten times as many records must not take a judge much more memory: its ledger
// grows by less than half a byte each, and what it holds of one reading or of one
// partition's ids is bounded. A byte each and some room for the garbage collector
// leave none for a judge that keeps a number per record.
func TestVerifyTakesBoundedMemory(t *testing.T) {
	const mebibyte = 1 << 20
	n, err := strconv.Atoi(os.Getenv("CREDITSTREAM_TEST_RECORDS"))
	require.NoError(t, err, "CREDITSTREAM_TEST_RECORDS; run: make verify-10m")
	g := &stage{t: t, servers: given(t), prefix: "bounded"}
	run(t, g.with("topics", "apply")...)
	for _, name := range []string{"one", "two"} {
		g.scorer(name).ready()
	}
	client := newClient(t, g.servers)
	peak := func(applications int) int64 {
		began := time.Now()
		produce := start(t, "produce", g.with("produce", "--json", "--file", os.Getenv("DATASET"), "--loop",
			"--start", strconv.Itoa(g.emitted), "--count", strconv.Itoa(applications-g.emitted), "--rate", "0")...)
		produce.wait(time.Hour)
		g.emitted = applications
		t.Logf("%d applications emitted, %s", applications, time.Since(began).Round(time.Second))
		until(t, time.Hour, "every application is answered", func() bool {
			left, err := behind(t.Context(), client, g.prefix, g.prefix+".applications")
			return err == nil && left == 0
		})
		t.Logf("and answered, %s", time.Since(began).Round(time.Second))
		began = time.Now()
		judge := start(t, "verify", g.with("verify", "--json", "--group", g.prefix)...)
		bytes := peakUntilItEnds(t, judge, time.Hour)
		var v verdict
		judge.answer(&v)
		require.Equal(t, verdict{Applications: applications, Predictions: applications}, v)
		t.Logf("verify of %d applications: %s, peak resident memory %d MiB", applications, time.Since(began).Round(time.Second), bytes/mebibyte)
		return bytes
	}
	few, many := peak(n/10), peak(n)
	require.Less(t, many, few+int64(n-n/10)+32*mebibyte)
}

// peakUntilItEnds is the most memory that a program held, looked at until it ended
// well. What the kernel tells of a process that has ended would be at least what
// this one held when it started that.
func peakUntilItEnds(t *testing.T, a *app, within time.Duration) (peak int64) {
	until(t, within, a.name+" has ended", func() bool {
		peak = max(peak, measure.PeakMemory(a.cmd.Process.Pid))
		return a.hasEnded()
	})
	a.wait(time.Second)
	require.NotZero(t, peak)
	return peak
}
