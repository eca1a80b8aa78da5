package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func samples(t testing.TB) (lines []string) {
	text, err := os.ReadFile("../../applications.jsonl")
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func TestTheSamplesAreApplications(t *testing.T) {
	now := time.Date(2026, 11, 23, 11, 0, 0, 123456789, time.FixedZone("", 3600))
	for _, line := range samples(t) {
		m, err := parse(line, now)
		require.NoError(t, err)
		var want, have map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &want))
		require.NoError(t, json.Unmarshal(m.Value, &have))
		require.Equal(t, want["application_id"], string(m.Key))
		want["applied_at"] = "2026-11-23T10:00:00.123456Z"
		require.Equal(t, want, have)
	}
}

func TestWhatIsNoUTF8IsNotChanged(t *testing.T) {
	_, err := parse(strings.Replace(samples(t)[0], "EXAMPLE", "\xff", 1), time.Now())
	require.ErrorContains(t, err, "expected UTF-8")
}

func FuzzParse(f *testing.F) {
	for _, line := range samples(f) {
		f.Add(line)
		f.Add(line + line)
		f.Add(strings.Replace(line, `"application_id"`, `"applied_at": "2026-11-23T10:00:00Z", "application_id"`, 1))
	}
	f.Add(`{"application_id": "x", "features": null}`)
	f.Fuzz(func(t *testing.T, line string) {
		m, err := parse(line, time.Unix(0, 0))
		if err != nil {
			return
		}
		var a application
		require.NoError(t, json.Unmarshal(m.Value, &a))
		require.Equal(t, a.ID, string(m.Key))
		require.Len(t, a.Features, len(featureNames))
		require.NotEmpty(t, a.AppliedAt)
		// What is written is read as the same.
		again, err := parse(string(m.Value), time.Unix(1, 0))
		require.NoError(t, err)
		require.True(t, bytes.Equal(m.Value, again.Value))
	})
}
