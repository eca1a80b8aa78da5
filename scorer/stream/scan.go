package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// The newest offsets of each partition of predictions are looked at first:
	// where the stream ever decided, it most likely did so lately.
	newest = 1000
	// How often a long look back says how far it is.
	progressInterval = 10 * time.Second
	// How long nothing may come before the partitions that are left are looked at.
	scanQuiet = 2 * time.Second
)

// stretch is a part of a partition's log, its last offset excluded.
type stretch struct{ from, to int64 }

// scoredBefore says whether predictions holds a decision from the stream; those
// of the API do not count.
func (s *Scorer) scoredBefore(ctx context.Context, adm *kadm.Client) (bool, error) {
	applications, err := ranges(ctx, adm, s.config.Topics.Applications)
	if err != nil {
		return false, err
	}
	if len(applications) == 0 {
		return false, nil // start and end are the same place: there is nothing to ask
	}
	predictions, err := ranges(ctx, adm, s.config.Topics.Predictions)
	if err != nil {
		return false, err
	}
	last, rest := map[int32]stretch{}, map[int32]stretch{}
	for partition, whole := range predictions {
		middle := max(whole.from, whole.to-newest)
		last[partition] = stretch{middle, whole.to}
		if middle > whole.from {
			rest[partition] = stretch{whole.from, middle}
		}
	}
	found, err := s.anyFromStream(ctx, last)
	if err != nil || found {
		return found, err
	}
	return s.anyFromStream(ctx, rest)
}

// ranges are the stretches of a topic's partitions that hold anything.
func ranges(ctx context.Context, adm *kadm.Client, topic string) (map[int32]stretch, error) {
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("looking up where %s starts: %w", topic, err)
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("looking up where %s ends: %w", topic, err)
	}
	found := map[int32]stretch{}
	starts.Each(func(first kadm.ListedOffset) {
		if end, ok := ends.Lookup(topic, first.Partition); ok && first.Offset < end.Offset {
			found[first.Partition] = stretch{first.Offset, end.Offset}
		}
	})
	return found, nil
}

// anyFromStream reads stretches of predictions until a record has a source.
func (s *Scorer) anyFromStream(ctx context.Context, left map[int32]stretch) (bool, error) {
	topic := s.config.Topics.Predictions
	at, total := map[int32]kgo.Offset{}, int64(0)
	for partition, part := range left {
		at[partition] = kgo.NewOffset().At(part.from)
		total += part.to - part.from
	}
	if len(left) == 0 {
		return false, nil
	}
	// Aborted and control records are read too, so that every stretch is seen to
	// its end. At worst an aborted decision makes the operator say where to begin.
	reader, err := kgo.NewClient(append(s.config.Kafka.Options(), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}))...)
	if err != nil {
		return false, err
	}
	defer reader.Close()
	places := kafka.NewPlaces(s.config.Kafka)
	defer places.Close()
	looked, said := int64(0), s.config.Now()
	passed := func(partition int32, to int64) {
		part, ok := left[partition]
		if part.from = to; ok && to >= part.to {
			delete(left, partition)
			reader.PauseFetchPartitions(map[string][]int32{topic: {partition}})
		} else if ok {
			left[partition] = part
		}
	}
	var patience kafka.Patience
	var silence kafka.Silence
	for len(left) > 0 {
		poll, cancel := context.WithTimeout(ctx, s.scanQuiet)
		fetches := reader.PollFetches(poll)
		cancel()
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if fetches.NumRecords() > 0 {
			silence.Broken(reader)
		}
		broken, silent, err := kafka.Faults(fetches)
		if err != nil {
			return false, err
		}
		found := false
		fetches.EachRecord(func(r *kgo.Record) { // whatever offsets they claim
			looked++
			for _, h := range r.Headers {
				found = found || h.Key == schemas.HeaderSourceTopic
			}
		})
		if found {
			return true, nil
		}
		broken = append(broken, places.TakeOut(ctx, fetches, func(_ string, partition int32) (from, end int64, ok bool) {
			part, ok := left[partition]
			return part.from, part.to, ok
		})...)
		if silent && !silence.Throttled(reader) { // else it continues when that is over
			for partition := range left { // the client waits in silence for a batch whose length is wrong
				broken = append(broken, kgo.FetchError{Topic: topic, Partition: partition})
			}
		}
		if fetches.NumRecords() > 0 {
			patience.Reset()
		}
		fetches.EachRecord(func(r *kgo.Record) { passed(r.Partition, r.Offset+1) })
		var failing error
		for _, e := range broken {
			part, waits := left[e.Partition]
			if !waits {
				continue
			}
			u, next, err := places.Ahead(ctx, reader, e, part.from)
			if err != nil {
				failing = err
			}
			if u != nil && u.From < part.to {
				s.config.Log.Error("a batch cannot be read: it is not known whether it holds decisions from the stream", "topic", topic,
					"partition", e.Partition, "offset", u.From, "next", u.To, "error", u.Err)
			}
			passed(e.Partition, next)
			silence.Broken(reader)
		}
		if failing != nil {
			if err := patience.Wait(ctx, failing); err != nil {
				return false, err
			}
		}
		if now := s.config.Now(); now.Sub(said) >= progressInterval {
			said = now
			message := fmt.Sprintf("looking in %s for decisions from the stream: %d of %d records read; --from start, end or a time skips this", topic, looked, total)
			s.note(errors.New(message))
			s.config.Log.Info(message)
		}
	}
	return false, nil
}
