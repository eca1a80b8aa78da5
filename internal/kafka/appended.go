package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// clockSkew is how far the clocks of clients and brokers may be apart, and how long
// a record may be on its way.
const clockSkew = 10 * time.Minute

// Appended are the committed offsets of what was written to a topic from one time
// on and before another, by partition, and of a little more: brokers say when they
// appended a record, not when it was made. Zero times are no bounds.
func Appended(ctx context.Context, adm *kadm.Client, topic string, from, to time.Time) (map[int32]Span, error) {
	// A time before 1970 would be one of the protocol's signs.
	begins, err := Listed(adm.ListOffsetsAfterMilli(ctx, max(0, from.Add(-clockSkew).UnixMilli()), topic))
	if err != nil {
		return nil, err
	}
	committed, err := Listed(adm.ListCommittedOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	ends := committed
	if !to.IsZero() {
		if ends, err = Listed(adm.ListOffsetsAfterMilli(ctx, max(0, to.Add(clockSkew).UnixMilli()), topic)); err != nil {
			return nil, err
		}
	}
	found := map[int32]Span{}
	for partition, c := range committed[topic] {
		s := Span{From: begins[topic][partition].Offset, To: min(ends[topic][partition].Offset, c.Offset)}
		if s.From < s.To {
			found[partition] = s
		}
	}
	return found, nil
}
