package kafka

import (
	"context"
	"maps"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Stalls finds the partitions of a topic that a client waits for in silence: it asks
// again and again for an answer without a whole batch, or for what the broker calls
// corrupt, and says nothing. The zero value is ready to use.
type Stalls struct {
	at      map[int32]int64            // at the look before
	found   map[int32]*UnreadableError // where nothing has moved since
	next    map[int32]int64            // all that the reader gave then
	silent  silent
	silence Silence
}

// Look is for a reader to whom nothing has come for a while. It takes the offset that
// each partition is to be read on from, and returns what no client gets past there, of
// partitions that two looks find at the same offset: what cannot be read, whose To may be
// -1, or was aborted, which Unreadable tells apart. What
// a look cannot tell is as it was at the last, and so is all while a quota keeps the
// client from reading. What can be read and does not come the client is made to fetch again.
func (s *Stalls) Look(ctx context.Context, client *kgo.Client, topic string, next map[int32]int64) (stalled []*UnreadableError, err error) {
	if !maps.Equal(s.next, next) {
		s.next = maps.Clone(next)
		s.silence.Broken(client)
	}
	if s.silence.Throttled(client) {
		for partition, u := range s.found {
			if u != nil && s.at[partition] == next[partition] {
				stalled = append(stalled, u)
			}
		}
		return stalled, ctx.Err()
	}
	ends, err := Listed(kadm.NewClient(client).ListCommittedOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	now, found := map[int32]int64{}, map[int32]*UnreadableError{}
	for partition, at := range next {
		if ends[topic][partition].Offset <= at {
			continue
		}
		now[partition] = at
		if before, ok := s.at[partition]; !ok || before != at {
			continue
		}
		v, err := Look(ctx, client, topic, partition, at)
		switch {
		case err != nil:
			found[partition] = s.found[partition]
		case v.Impassable && v.Blocks() != nil:
			found[partition] = &UnreadableError{topic, partition, at, v.Next, Reason(v.Blocks())}
		case v.Blocks() != nil:
			found[partition] = v.Unreadable
		case v.Records > 0 && s.silent.again(topic, partition, at):
			ReadAgain(client, topic, partition, at)
		}
		if u := found[partition]; u != nil {
			stalled = append(stalled, u)
		}
		s.silence.Broken(client)
	}
	s.at, s.found = now, found
	return stalled, ctx.Err()
}
