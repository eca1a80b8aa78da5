package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Stalls finds the partitions of a topic that a client waits for in silence: it asks
// again and again for an answer without a whole batch, or for what the broker calls
// corrupt, and says nothing. The zero value is ready to use.
type Stalls struct{ at map[int32]int64 }

// Look is for a reader to whom nothing has come for a while. It takes the offset that
// each partition is to be read on from, and returns what cannot be read there, of
// partitions that two looks find at the same offset. To may be -1: see Unreadable.
func (s *Stalls) Look(ctx context.Context, client *kgo.Client, topic string, next map[int32]int64) (stalled []*UnreadableError, err error) {
	ends, err := Listed(kadm.NewClient(client).ListCommittedOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	now := map[int32]int64{}
	for partition, at := range next {
		if ends[topic][partition].Offset <= at {
			continue
		}
		now[partition] = at
		if before, ok := s.at[partition]; !ok || before != at {
			continue
		}
		v, err := Look(ctx, client, topic, partition, at)
		if err == nil && v.Unreadable != nil && v.Records == 0 { // else it is not known now
			stalled = append(stalled, v.Unreadable)
		}
	}
	s.at = now
	return stalled, ctx.Err()
}
