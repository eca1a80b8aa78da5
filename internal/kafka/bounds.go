package kafka

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Bounds are what readers of committed records find in topics: every partition from the
// first offset that is left up to the last stable one, which is asked for later. A
// partition that cannot be looked up is an error of all.
func Bounds(ctx context.Context, adm *kadm.Client, topics ...string) (Spans, error) {
	starts, err := Listed(adm.ListStartOffsets(ctx, topics...))
	if err != nil {
		return nil, fmt.Errorf("looking for the start of %s: %w", strings.Join(topics, " and "), err)
	}
	ends, err := Listed(adm.ListCommittedOffsets(ctx, topics...))
	if err != nil {
		return nil, fmt.Errorf("looking for the end of %s: %w", strings.Join(topics, " and "), err)
	}
	bounds := Spans{}
	for _, topic := range topics {
		bounds[topic] = map[int32]Span{}
		for partition, end := range ends[topic] {
			if start, ok := starts.Lookup(topic, partition); ok {
				bounds[topic][partition] = Span{From: start.Offset, To: end.Offset}
			}
		}
	}
	return bounds, nil
}
