package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// From is where reading begins: the log's start, its end, or what it took at a time or
// later. The zero value leaves it to the reader.
type From struct {
	Start bool
	End   bool
	Time  time.Time
}

// ParseFrom reads start, end, an RFC 3339 time or nothing.
func ParseFrom(text string) (From, error) {
	switch text {
	case "":
		return From{}, nil
	case "start":
		return From{Start: true}, nil
	case "end":
		return From{End: true}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return From{}, fmt.Errorf("--from %q: expected start, end or an RFC 3339 time", text)
	}
	return From{Time: t}, nil
}

// Offsets are those of a topic's partitions, by when the log took their records.
func (f From) Offsets(ctx context.Context, adm *kadm.Client, topic string) (listed kadm.ListedOffsets, err error) {
	switch {
	case f.Start:
		listed, err = adm.ListStartOffsets(ctx, topic)
	case f.End:
		listed, err = adm.ListCommittedOffsets(ctx, topic)
	default:
		listed, err = adm.ListOffsetsAfterMilli(ctx, f.Time.UnixMilli(), topic)
	}
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("looking where to begin: %w", err)
	}
	return listed, nil
}
