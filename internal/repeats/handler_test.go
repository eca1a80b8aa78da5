package repeats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// log says things at a time of its own.
type log struct {
	t   *testing.T
	h   slog.Handler
	out *bytes.Buffer
	now time.Time
}

func newLog(t *testing.T) *log {
	out := &bytes.Buffer{}
	return &log{t: t, h: NewHandler(slog.NewTextHandler(out, nil)), out: out, now: time.Unix(1e9, 0)}
}

// says returns what is written of a record.
func (l *log) says(after time.Duration, level slog.Level, message string, args ...any) string {
	l.t.Helper()
	l.now = l.now.Add(after)
	r := slog.NewRecord(l.now, level, message, 0)
	r.Add(args...)
	l.out.Reset()
	require.NoError(l.t, l.h.Handle(context.Background(), r))
	return l.out.String()
}

func TestHandler_WritesARepeatedWarningEverMoreSeldom(t *testing.T) {
	l := newLog(t)
	away := errors.New("no broker answers")
	var written []time.Duration
	start := l.now
	for l.now.Sub(start) < 2*time.Hour {
		if out := l.says(5*time.Second, slog.LevelWarn, "starting again", "error", away, "in", l.now); out != "" {
			written = append(written, l.now.Sub(start)-5*time.Second)
			if len(written) > 1 {
				require.Contains(t, out, " repeated=")
			}
		}
	}
	minute := time.Minute
	require.Equal(t, []time.Duration{0, minute, 3 * minute, 7 * minute, 15 * minute, 31 * minute, 47 * minute, 63 * minute, 79 * minute, 95 * minute, 111 * minute}, written)
}

func TestHandler_WritesWhatIsNewAtOnce(t *testing.T) {
	l := newLog(t)
	away := errors.New("away")
	require.NotEmpty(t, l.says(0, slog.LevelWarn, "starting again", "error", away))
	require.Empty(t, l.says(time.Second, slog.LevelWarn, "starting again", "error", away))
	require.NotEmpty(t, l.says(time.Second, slog.LevelWarn, "starting again", "error", errors.New("refused")), "another cause")
	require.NotEmpty(t, l.says(time.Second, slog.LevelWarn, "cannot follow", "error", away), "another component's")
	require.NotEmpty(t, l.says(0, slog.LevelError, "starting again", "error", away), "an error is always written")
	require.NotEmpty(t, l.says(0, slog.LevelWarn, "starting again"), "no cause")
	require.NotEmpty(t, l.says(0, slog.LevelWarn, "starting again"), "no cause")
	require.Empty(t, l.says(0, slog.LevelWarn, "starting again", "err", away), "as libraries say it")
	out := l.says(ended+time.Second, slog.LevelWarn, "starting again", "error", away)
	require.NotEmpty(t, out, "it had ended in between")
	require.NotContains(t, out, "repeated")
}

func TestHandler_IsOneForAllLoggersMadeOfIt(t *testing.T) {
	var out bytes.Buffer
	base := slog.New(NewHandler(slog.NewTextHandler(&out, nil)))
	base.With("component", "one").Warn("away", "error", errors.New("x"))
	base.WithGroup("g").Warn("away", "error", errors.New("x"))
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
}

func TestHandler_KeepsNoMoreThanItMay(t *testing.T) {
	l := newLog(t)
	for i := range 3 * maxKept {
		require.NotEmpty(t, l.says(0, slog.LevelWarn, "left out", "error", fmt.Errorf("offset %d", i)))
	}
	require.LessOrEqual(t, len(l.h.(*Handler).seen.all), maxKept)
	require.NotEmpty(t, l.says(ended+time.Second, slog.LevelWarn, "away", "error", errors.New("x")))
	require.Len(t, l.h.(*Handler).seen.all, 1)
}
