package schemas

import (
	"errors"
	"time"
)

// Timestamp is an instant in microseconds since the Unix epoch. On the wire it
// is RFC 3339 in UTC with up to six decimals.
type Timestamp int64

// At is t as a Timestamp, cut to the microsecond.
func At(t time.Time) Timestamp { return Timestamp(t.UnixMicro()) }

// Time is the instant as a time.Time in UTC.
func (t Timestamp) Time() time.Time { return time.UnixMicro(int64(t)).UTC() }

// String is the timestamp as it stands on the wire.
func (t Timestamp) String() string { return t.Time().Format(time.RFC3339Nano) }

// MarshalText writes the timestamp as it stands on the wire.
func (t Timestamp) MarshalText() ([]byte, error) {
	return t.Time().AppendFormat(nil, time.RFC3339Nano), nil
}

const timestampRule = "must be an RFC 3339 time in UTC with at most six decimals, as 2026-11-23T10:00:00.123456Z"

// UnmarshalText reads what MarshalText writes.
func (t *Timestamp) UnmarshalText(b []byte) error {
	v, ok := parseTimestamp(b)
	if !ok {
		return errors.New(timestampRule)
	}
	*t = v
	return nil
}

// parseTimestamp reads YYYY-MM-DDTHH:MM:SS[.ffffff]Z. It is stricter than
// time.Parse, which takes other zones, decimal commas and hours of one digit.
func parseTimestamp(b []byte) (Timestamp, bool) {
	const whole = len("2006-01-02T15:04:05")
	if len(b) < whole+1 || len(b) > whole+8 || b[len(b)-1] != 'Z' ||
		b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	ok := true
	digits := func(from, n int) (v int) {
		for _, c := range b[from : from+n] {
			ok = ok && c >= '0' && c <= '9'
			v = v*10 + int(c-'0')
		}
		return v
	}
	year, month, day := digits(0, 4), digits(5, 2), digits(8, 2)
	hour, minute, second := digits(11, 2), digits(14, 2), digits(17, 2)
	micros := 0
	if fraction := len(b) - 1 - whole; fraction > 0 {
		if b[whole] != '.' || fraction == 1 {
			return 0, false
		}
		micros = digits(whole+1, fraction-1)
		for range 6 - (fraction - 1) {
			micros *= 10
		}
	}
	if !ok || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, micros*1000, time.UTC)
	if t.Day() != day { // the month has fewer days
		return 0, false
	}
	return At(t), true
}
