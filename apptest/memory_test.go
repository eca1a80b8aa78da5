//go:build kafka

package apptest

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Ten times as many records must not take a judge much more memory: its ledger
// grows by three bits and a quarter of a byte each, what it reads at once does not.
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
		judge.wait(time.Hour)
		var v verdict
		judge.answer(&v)
		require.Equal(t, verdict{Applications: applications, Predictions: applications}, v)
		bytes := judge.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
		t.Logf("verify of %d applications: %s, peak resident memory %d MiB", applications, time.Since(began).Round(time.Second), bytes/mebibyte)
		return bytes
	}
	few, many := peak(n/10), peak(n)
	require.Less(t, many, few+int64(n)*4+64*mebibyte)
}
