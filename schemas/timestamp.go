package schemas

import "time"

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

// UnmarshalText reads RFC 3339.
func (t *Timestamp) UnmarshalText(b []byte) error {
	v, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return err
	}
	*t = At(v)
	return nil
}
