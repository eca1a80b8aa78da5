package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// adjust holds the offsets that a session is to begin from against the log. A
// partition whose offset is outside it is stopped: the client would otherwise go
// on at the nearest end, and skip or repeat in silence. One without a commit
// whose siblings have one was added since, and begins at 0.
func (s *Scorer) adjust(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	topic := s.config.Topics.Applications
	adm := kadm.NewClient(client)
	starts, ends, err := logEnds(ctx, adm, topic)
	if err != nil {
		return nil, err
	}
	siblings := false
	for partition, o := range offsets[topic] {
		at := o.EpochOffset().Offset
		if at < 0 {
			if !siblings {
				has, err := s.hasCommits(ctx, adm)
				if err != nil {
					return nil, err
				}
				if !has {
					return nil, permanent(nil, "the offsets of group %q were deleted; start again, with --from start, end or a time", s.config.Group)
				}
				siblings = true
			}
			at = 0
			offsets[topic][partition] = kgo.NewOffset().At(0)
		}
		first, ok1 := starts.Lookup(topic, partition)
		last, ok2 := ends.Lookup(topic, partition)
		if !ok1 || !ok2 || first.Err != nil || last.Err != nil {
			return nil, fmt.Errorf("looking up the ends of %s/%d: %w", topic, partition, errors.Join(first.Err, last.Err))
		}
		if s.hold(client, partition, at, first.Offset, last.Offset, max(first.Offset-at, at-last.Offset, 0)) {
			// Without its epoch: the client would look for where the log parted,
			// and go on from there.
			offsets[topic][partition] = kgo.NewOffset().At(at)
		}
	}
	return offsets, nil
}

// fellOut stops a partition that left the log under a running session. at is the
// next offset that was to be read, -1 when only the session knows it.
func (s *Scorer) fellOut(ctx context.Context, client *kgo.Client, partition int32, at int64) error {
	topic := s.config.Topics.Applications
	starts, ends, err := logEnds(ctx, kadm.NewClient(client), topic)
	if err != nil {
		return err
	}
	committed, owned := client.CommittedOffsets()[topic][partition]
	if !owned {
		return nil // another session's by now, which looks for itself
	}
	if at < 0 {
		at = committed.Offset
	}
	first, _ := starts.Lookup(topic, partition)
	last, _ := ends.Lookup(topic, partition)
	// Where the log has grown past the offset again, what is there now is not what
	// was to be read: one offset at least is unreachable.
	s.hold(client, partition, at, first.Offset, last.Offset, max(first.Offset-at, at-last.Offset, 1))
	return nil
}

func logEnds(ctx context.Context, adm *kadm.Client, topic string) (starts, ends kadm.ListedOffsets, err error) {
	if starts, err = adm.ListStartOffsets(ctx, topic); err == nil {
		ends, err = adm.ListEndOffsets(ctx, topic)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("looking up the ends of %s: %w", topic, err)
	}
	return starts, ends, nil
}

// hold stops a partition of which offsets are unreachable, naming and counting
// them, and lets any other go on. It says whether it stopped it.
func (s *Scorer) hold(client *kgo.Client, partition int32, at, first, last, unreachable int64) (stopped bool) {
	topic := s.config.Topics.Applications
	s.metrics.unreachable.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(unreachable))
	s.mu.Lock()
	known := s.stopped[partition] == unreachable
	if unreachable > 0 {
		s.stopped[partition] = unreachable
	} else {
		delete(s.stopped, partition)
	}
	s.mu.Unlock()
	here := map[string][]int32{topic: {partition}}
	if unreachable == 0 {
		client.ResumeFetchPartitions(here)
		return false
	}
	client.PauseFetchPartitions(here)
	if !known { // once, not at every rebalance
		s.config.Log.Error("partition stopped: its next offset is outside the log; the others go on", "topic", topic, "partition", partition,
			"offset", at, "log_start", first, "log_end", last, "unreachable", unreachable)
	}
	return true
}
