package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIntegers(t *testing.T) {
	got, err := integers("1,20,300")
	require.NoError(t, err)
	require.Equal(t, []int{1, 20, 300}, got)
	got, err = integers("")
	require.NoError(t, err)
	require.Empty(t, got)
	for _, bad := range []string{"x", "0", "-1", "1,,y", "1.5"} {
		_, err := integers(bad)
		require.Error(t, err, bad)
	}
}

func TestFiguresAreOfTheLastFourFifths(t *testing.T) {
	began := time.Now()
	at := func(ms int, committed int64, cpu, broker int) sample {
		return sample{began.Add(time.Duration(ms) * time.Millisecond), committed, time.Duration(cpu) * time.Millisecond, time.Duration(broker) * time.Millisecond}
	}
	var p pass
	p.figures([]sample{at(0, 0, 500, 0), at(3000, 150, 900, 100), at(3500, 200, 1000, 200), at(4000, 600, 1300, 500), at(5500, 1000, 1800, 1800)}, 1000)
	require.InDelta(t, 400, p.PerSecond, 1e-9)
	require.InDelta(t, 1000, p.CPU, 1e-9)
	require.InDelta(t, 2000, p.BrokerCPU, 1e-9)
}

func TestAppliedAtOfWhateverWasAnswered(t *testing.T) {
	want := time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC)
	for _, value := range []string{
		`{"application_id":"A","applied_at":"2026-11-23T10:00:00.123456Z","features":{}}`,
		`{"application_id":"A","decided_at":"2026-11-23T11:00:00Z","applied_at":"2026-11-23T10:00:00.123456Z"}`,
	} {
		got, err := appliedAt([]byte(value))
		require.NoError(t, err)
		require.True(t, want.Equal(got))
	}
	for _, value := range []string{``, `{}`, `{"applied_at":"`, `{"applied_at":"today"}`} {
		_, err := appliedAt([]byte(value))
		require.Error(t, err, value)
	}
}

func TestOrderOfContestants(t *testing.T) {
	runs := map[string][]pass{"zinc": {{}, {}}, namePython: {{}, {}}, "alloy": {{}, {}}, nameCopy: {{}, {}}}
	require.Equal(t, []string{nameCopy, namePython, "alloy", "zinc"}, order(runs))
	require.Equal(t, 2, rounds(runs))
	require.Zero(t, rounds(map[string][]pass{}))
}

func TestOtherBuildsAnswerAsCreditstreamDoes(t *testing.T) {
	b := bench{brokers: "b", binary: "bin", others: map[string]string{"before": "old"}, only: []string{nameCreditstream}, sessions: 2}
	require.Equal(t, []string{nameCreditstream, "before"}, b.contestants())
	job := task{prefix: "p", group: "g", start: "start"}
	now, before := b.command(nameCreditstream, job), b.command("before", job)
	require.Equal(t, "bin", now[0])
	require.Equal(t, "old", before[0])
	require.Equal(t, now[1:], before[1:])
	require.Equal(t, "p.predictions", job.output("before"))
	require.Equal(t, "p.copy", job.output(nameCopy))
}

func TestCountingIsShownBesideItsReader(t *testing.T) {
	var out strings.Builder
	counting{Decisions: 1000, Partitions: 3, Runs: map[string][]pass{
		nameReader: {{PerSecond: 400, CPU: 1}, {PerSecond: 600, CPU: 3}},
		nameDrift:  {{PerSecond: 200, CPU: 2, PeakMiB: 50}, {PerSecond: 150, CPU: 4, PeakMiB: 70}},
	}}.show(&out)
	require.Regexp(t, `reader +\| +500 \| +1.00 \| +2.00 \| +0.* \| +– \|`, out.String())
	require.Regexp(t, `drift +\| +175 \| +0.375 \| +3.00 \| +0.* \| +60.0 \|`, out.String())
}
