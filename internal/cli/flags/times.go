package flags

import (
	"time"

	"github.com/creditstream/creditstream/internal/kafka"
)

// Time reads the RFC 3339 time of the flag named. Its error is one of usage.
func Time(flag, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, Usagef("--%s %q: expected an RFC 3339 time, as 2026-11-23T10:00:00Z", flag, text)
	}
	return t, nil
}

// since reads --from where it is start, which is the zero time, or an RFC 3339 time. Its
// error is one of usage.
func since(text string) (time.Time, error) {
	from, err := kafka.ParseFrom(text)
	if err != nil || from.End {
		return time.Time{}, Usagef("--from %q: expected start or an RFC 3339 time, as 2026-11-23T10:00:00Z", text)
	}
	return from.Time, nil
}
