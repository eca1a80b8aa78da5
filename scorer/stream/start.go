package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
)

// From is where a group that has never committed begins. The zero value refuses
// to guess once predictions from the stream exist.
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

// start commits a starting offset for every partition when the group has none:
// from then on nothing is scored again or skipped in silence.
func (s *Scorer) start(ctx context.Context, adm *kadm.Client) error {
	topic := s.config.Topics.Applications
	committed, err := adm.FetchOffsetsForTopics(ctx, s.config.Group, topic)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return s.explain(fmt.Errorf("reading the group's offsets: %w", err))
	}
	for _, o := range committed[topic] {
		if o.At >= 0 {
			return nil
		}
	}
	from := s.config.From
	if from == (From{}) {
		scored, err := s.scoredBefore(ctx, adm)
		if err != nil {
			return s.explain(err)
		}
		if scored {
			return fmt.Errorf("group %q has no committed offsets, but %s already holds decisions from the stream: say where to begin, --from start, end or a time", s.config.Group, s.config.Topics.Predictions)
		}
		from.Start = true
	}
	var listed kadm.ListedOffsets
	switch {
	case from.Start:
		listed, err = adm.ListStartOffsets(ctx, topic)
	case from.End:
		listed, err = adm.ListCommittedOffsets(ctx, topic)
	default:
		listed, err = adm.ListOffsetsAfterMilli(ctx, from.Time.UnixMilli(), topic)
	}
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return s.explain(fmt.Errorf("looking where to begin: %w", err))
	}
	if err := adm.CommitAllOffsets(ctx, s.config.Group, listed.Offsets()); err != nil {
		// Another replica is already a member: it has committed for all.
		if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) {
			return nil
		}
		return s.explain(fmt.Errorf("committing where to begin: %w", err))
	}
	return nil
}

func (s *Scorer) explain(err error) error {
	if why := s.fatal(err); why != nil {
		return why
	}
	return err
}

// scoredBefore says whether predictions holds a decision from the stream; those
// of the API do not count.
func (s *Scorer) scoredBefore(ctx context.Context, adm *kadm.Client) (bool, error) {
	topic := s.config.Topics.Predictions
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return false, err
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return false, err
	}
	left := map[int32]int64{}
	at := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if first, ok := starts.Lookup(topic, o.Partition); ok && first.Offset < o.Offset {
			left[o.Partition] = o.Offset
			at[o.Partition] = kgo.NewOffset().At(first.Offset)
		}
	})
	if len(left) == 0 {
		return false, nil
	}
	reader, err := kgo.NewClient(append(s.config.Kafka.Options(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}))...)
	if err != nil {
		return false, err
	}
	defer reader.Close()
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return false, err
		}
		found := false
		fetches.EachRecord(func(r *kgo.Record) {
			for _, h := range r.Headers {
				found = found || h.Key == schemas.HeaderSourceTopic
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
		if found {
			return true, nil
		}
	}
	return false, nil
}

// adjust holds the offsets that a session is to begin from against the log. A
// partition without a commit, or with one outside the log, is stopped: the client
// would otherwise go on at the nearest end and skip or repeat in silence.
func (s *Scorer) adjust(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	topic := s.config.Topics.Applications
	adm := kadm.NewClient(client)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	for partition, o := range offsets[topic] {
		first, ok1 := starts.Lookup(topic, partition)
		last, ok2 := ends.Lookup(topic, partition)
		if !ok1 || !ok2 || first.Err != nil || last.Err != nil {
			return nil, fmt.Errorf("looking up the ends of %s/%d: %w", topic, partition, errors.Join(first.Err, last.Err))
		}
		label := strconv.Itoa(int(partition))
		at := o.EpochOffset().Offset
		if at < 0 { // no commit, though its siblings have one: it was added since
			at = 0
			offsets[topic][partition] = kgo.NewOffset().At(0)
		}
		var unreachable int64
		switch {
		case at < first.Offset:
			unreachable = first.Offset - at
		case at > last.Offset:
			unreachable = at - last.Offset
		}
		s.metrics.unreachable.WithLabelValues(label).Set(float64(unreachable))
		if unreachable == 0 {
			client.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
			continue
		}
		s.config.Log.Error("partition stopped: its offset is outside the log", "topic", topic, "partition", partition,
			"offset", at, "log_start", first.Offset, "log_end", last.Offset, "unreachable", unreachable)
		client.PauseFetchPartitions(map[string][]int32{topic: {partition}})
	}
	return offsets, nil
}
