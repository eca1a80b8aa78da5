package producer

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// shown is what ShowProgress writes over a run of ten seconds at 100
// applications a second.
func shown(t *testing.T, terminal bool, count uint64) string {
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{Rate: 100})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		go p.ShowProgress(ctx, &out, terminal, count)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		require.Empty(t, out.String(), "nothing before it has begun")
		time.Sleep(50 * time.Millisecond) // not in step with the line: what it shows is certain
		p.mu.Lock()
		p.started = time.Now()
		p.mu.Unlock()
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			p.produced.Add(10)
		}
		stop()
		synctest.Wait()
	})
	return out.String()
}

func TestProgressIsABarOnATerminal(t *testing.T) {
	t.Parallel()
	got := shown(t, true, 1_000)
	require.True(t, strings.HasSuffix(got, "\r\x1b[K"), "the bar does not stay")
	require.NotContains(t, got, "\n")
	lines := strings.Split(got, "\r\x1b[K")
	require.Greater(t, len(lines), 40)
	require.Contains(t, lines, "[############------------]  51 %  510 of 1,000 applications  100/s  5s left")
}

func TestProgressIsAPlainLineNowAndThenElsewhere(t *testing.T) {
	t.Parallel()
	got := shown(t, false, 0)
	require.NotContains(t, got, "\x1b")
	lines := strings.Split(strings.TrimSpace(got), "\n")
	require.Len(t, lines, 2)
	for _, l := range lines {
		require.Regexp(t, `^\d+ applications  (98|99|100)/s$`, l)
	}
}

func TestProgressSaysWhatIsGoingOn(t *testing.T) {
	t.Parallel()
	f := func(want string, c Counters, count uint64, terminal bool) {
		t.Helper()
		require.Equal(t, want, progressLine(&c, count, 1234.4, terminal))
	}
	f("1,234,567 applications  1,234/s", Counters{Produced: 1_234_567}, 0, true)
	f(" 10 %  100 of 1,000 applications  1,234/s  1s left", Counters{Produced: 100}, 1_000, false)
	f("[########################] 100 %  990 of 1,000 applications  10 malformed  4 outcomes, 986 to come",
		Counters{Produced: 990, Broken: 10, Malformed: [NumKinds]int64{OutOfRange: 10}, Ended: true, Outcomes: 4, Pending: 986}, 1_000, true)
}

func TestSummaryForPeople(t *testing.T) {
	t.Parallel()
	s := Summary{Produced: 12_345, Seconds: 12.34, Rate: 1000.4}
	require.Equal(t, "12,345 applications in 12.3 s (1,000/s)", s.String())
	s.Malformed = map[string]int64{"not-json": 2, "too-large": 1_000}
	s.MalformedTotal = 1_002
	s.Outcomes, s.OutcomesUntold = 7, 3
	require.Equal(t, "12,345 applications in 12.3 s (1,000/s)\n1,002 malformed records: 2 not-json 1,000 too-large\n7 outcomes (3 more not due or not decided by the end)", s.String())

	require.Equal(t, "1 applications in 0.0 s (0/s)\n2 more were not acknowledged: they may or may not be in the topic", Summary{Produced: 1, Unacknowledged: 2}.String())

	seed := uint64(5)
	require.Equal(t, "--seed 5 --start 9", Summary{Seed: &seed, Next: 9}.GoOn())
	require.Equal(t, "--start 9", Summary{Next: 9}.GoOn(), "a file has no seed")
}

func TestNumbersAreGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1_000: "1,000", -123_456: "-123,456", 1_234_567_890: "1,234,567,890"} {
		require.Equal(t, want, grouped(n))
	}
}
